//! Making of a run from a plan.

use jiff::Timestamp;

use super::accounts::account::Account;
use super::given::given_by_hand;
use super::planned::PlanToLaunch;
use super::ready::Prepared;
use crate::journal::Journal;
use crate::journal::new_run::{NewLane, NewRun, NewlyMade};
use crate::log::making;
use crate::plan::paper::Paper;
use crate::plan::reading::Planned;
use crate::report::next::given::GivenByHand;
use crate::settings::key::{ENGINE, Lifetime};
use crate::settings::keys::KEYS;
use crate::settings::{Settings, Steering};
use crate::verb::context::{Context, reading_of};
use crate::verb::error::CommandError;
use crate::waves::Terms;

/// Makes a run of this id with every row of the plan, and begins its log. The plan is read a second time for that; an error if its digest has
/// changed since.
pub(super) fn make_run(
    journal: &mut Journal,
    id: &str,
    plan: &PlanToLaunch<'_>,
    Prepared { context: Context { settings, logs, .. }, accounts, .. }: &Prepared,
    given: &GivenByHand,
    run_key: Option<&str>,
) -> Result<NewlyMade, CommandError> {
    let PlanToLaunch { source, checked, args, .. } = plan;
    let lanes: Vec<NewLane> = accounts.iter().map(Account::lane).collect();
    let new = NewRun {
        id,
        made_at: Timestamp::now(),
        plan_path: source.name(),
        plan_digest: &checked.digest.to_string(),
        n_rows: checked.n_rows,
        lanes: &lanes,
        settings: &settings_of_run(settings, &plan.paper())?,
        given: given_by_hand(
            settings,
            given,
            accounts,
            settings.steering.window(Timestamp::now())?.deadline,
            settings.texts.get(ENGINE).map(String::as_str),
        ),
        terms: &checked.terms,
        run_key,
    };
    making::make_run(journal, &mut *logs.of_run(id)?, &new, |sink| {
        let again = crate::plan::read(source, &reading_of(settings, args), checked, |Planned { row, sealed }| {
            sink.row(&row, sealed.as_ref()).map_err(CommandError::from)
        })?;
        if again.digest == checked.digest { Ok(()) } else { Err(CommandError::PlanChanged(source.name().to_owned())) }
    })
}

/// Settings of a run as they are stored: texts of settings, terms and seal of the plan.
fn settings_of_run(settings: &Settings, paper: &Paper) -> Result<serde_json::Value, CommandError> {
    let mut all = serde_json::to_value(paper).expect("a plan's terms are JSON");
    let map = all.as_object_mut().expect("they are an object");
    // Settings given by hand hold for this launch alone, and are recorded in the event that it begins.
    let is_of_launch =
        |name: &str| KEYS.iter().any(|key| key.name == name && key.lifetime == Lifetime::RunUnlessByHand);
    let of_run = |key: &&str| !(is_of_launch(key) && settings.by_hand.contains_key(*key));
    let texts = settings.texts.iter().filter(|(key, _)| of_run(key));
    map.extend(texts.map(|(key, text)| ((*key).to_owned(), text.as_str().into())));
    // A time of day is stored as an instant, so that it means the night on which the run begins.
    let now = Timestamp::now();
    // An unusable time zone is an error here, before the run is made.
    let window = settings.steering.window(now)?;
    let deadline = match settings.by_hand.get("deadline") {
        Some(_) => deadline_of_plan(settings, &paper.terms, now)?,
        None => window.deadline,
    };
    if let Some(deadline) = deadline {
        map.insert("deadline".to_owned(), deadline.to_string().into());
    }
    Ok(all)
}

/// Deadline of the plan, stored although one was given by hand: it holds again when the run is taken up.
fn deadline_of_plan(settings: &Settings, terms: &Terms, now: Timestamp) -> Result<Option<Timestamp>, CommandError> {
    let Some(deadline) = terms.policy.get("deadline").and_then(|text| text.parse().ok()) else { return Ok(None) };
    let other_deadlines = Vec::new();
    let steering = Steering { deadline: Some(deadline), other_deadlines, ..settings.steering.clone() };
    Ok(steering.window(now)?.deadline)
}

/// Makes an id: the time in seconds, of which a prefix is easy to type, and four random characters for runs of the same second.
pub(super) fn new_run_id() -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let made = Timestamp::now().strftime("%Y%m%dt%H%M%S");
    let die: u32 = rand::random();
    let letter = |n: u32| char::from(LETTERS[usize::try_from(die >> (5 * n) & 31).expect("below 32")]);
    format!("{made}-{}{}{}{}", letter(0), letter(1), letter(2), letter(3))
}
