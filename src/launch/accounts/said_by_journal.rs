//! Endpoints and accounts of a run that only its journal names: the author of a forged journal could have our credentials sent to
//! an endpoint of theirs.

use std::collections::BTreeSet;
use std::io::{self, BufRead};

use super::settings::{begun_at, settings_of_lane};
use crate::console::{self, Console};
use crate::journal::read::lanes::LaneRecord;
use crate::journal::read::runs::RunRecord;
use crate::report::next::flags;
use crate::report::next::given::GivenByHand;
use crate::settings::parse::Destination;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::waves::Terms;
use crate::wording::plain::plain;

/// Endpoint, account and profile of a run, as far as only its journal names them: no flag, variable or settings file does.
pub(in crate::launch) struct Unconfirmed {
    /// Words for all of it, such as "to `URL`, as account `NAME`".
    way: String,
    /// Flags that name the same, each with a blank before it; `None` for several accounts, which need a profile each.
    flags: Option<String>,
}

/// Compares the lanes of a run with the settings; `None` if the settings name all of it. `profile` is that of rows without a target,
/// if only the run names it. Lanes in the sandbox do not count, because it is this process.
pub(in crate::launch) fn said_by_journal_alone(
    context: &Context,
    lanes: &[LaneRecord],
    terms: &Terms,
    profile: Option<&str>,
) -> Result<Option<Unconfirmed>, CommandError> {
    let (mut endpoints, mut accounts) = (BTreeSet::new(), BTreeSet::new());
    let mut is_away = false;
    for lane in lanes.iter().filter(|lane| begun_at(lane) != Some(Destination::Sandbox)) {
        is_away = true;
        let settings = settings_of_lane(context, lane, lanes, terms)?;
        if settings.destination != begun_at(lane) {
            endpoints.insert(lane.endpoint.as_str());
        }
        if settings.account.as_deref().unwrap_or(&lane.name) != lane.account {
            accounts.insert(lane.account.as_str());
        }
    }
    let profile = profile.filter(|_| is_away);
    if endpoints.is_empty() && accounts.is_empty() && profile.is_none() {
        return Ok(None);
    }
    let can_be_flags = lanes.len() == 1 || (endpoints.len() <= 1 && accounts.is_empty());
    let (mut way, mut flags) = (Vec::new(), GivenByHand::new());
    let parts = [("endpoint", "to", endpoints), ("account", "as account", accounts)];
    for (key, joint, said) in parts.into_iter().chain([("profile", "in profile", profile.into_iter().collect())]) {
        way.extend(said.iter().map(|said| format!("{joint} `{}`", plain(said))));
        flags.extend(said.into_iter().map(|said| (key.to_owned(), said.to_owned())));
    }
    Ok(Some(Unconfirmed { way: way.join(", "), flags: can_be_flags.then(|| flags::flags(&flags)) }))
}

/// Asks whether the run may go on there. `--yes` does not answer this: it was given without knowledge of the journal.
pub(in crate::launch) fn must_be_meant(
    console: Console,
    run: &RunRecord,
    Unconfirmed { way, flags }: Unconfirmed,
) -> Result<(), CommandError> {
    let id = plain(&run.id);
    if !console::can_ask() {
        return Err(CommandError::SaidByJournalAlone { run: id, way, flags });
    }
    console.ask(&format!(
        "Only the journal says that run {id} goes {way}: credentials and changes would go there. Go on? [y/N]"
    ));
    let mut answer = String::new();
    // An answer that cannot be read is a no.
    _ = io::stdin().lock().read_line(&mut answer);
    if console::is_yes(&answer) { Ok(()) } else { Err(CommandError::NotAgreed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::lane::LaneId;
    use crate::launch::tests::context;

    #[test]
    fn a_place_that_no_flag_names_is_told_with_the_flags_that_say_it() {
        let folder = tempfile::tempdir().unwrap();
        let (context, _) = context(folder.path(), "https://here.example");
        let lane = |lane, endpoint: &str, account: &str| LaneRecord {
            lane: LaneId(lane),
            name: "default".into(),
            endpoint: endpoint.into(),
            account: account.into(),
            throttled: 0,
            per_second: None,
            stated: false,
            stopped: None,
            learned_at: None,
            cooled_until: None,
        };
        let alone = |lanes: &[LaneRecord], profile| {
            let found = said_by_journal_alone(&context, lanes, &Terms::default(), profile).unwrap();
            found.map(|Unconfirmed { way, flags }| (way, flags))
        };
        let told = |way: &str, flags: &str| Some((way.to_owned(), Some(flags.to_owned())));
        assert_eq!(alone(&[lane(1, "https://here.example", "default")], None), None);
        assert_eq!(
            alone(&[lane(1, "https://there.example", "default")], None),
            told("to `https://there.example`", " --endpoint https://there.example")
        );
        assert_eq!(
            alone(&[lane(1, "https://here.example", "ops")], Some("night")),
            told("as account `ops`, in profile `night`", " --account ops --profile night")
        );
        // The sandbox is this process, whatever the journal says of it.
        assert_eq!(alone(&[lane(1, "sandbox", "ops")], Some("night")), None);
    }
}
