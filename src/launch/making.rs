//! A run as it is made from a plan.

use jiff::Timestamp;

use super::accounts::account::Account;
use super::given::given_by_hand;
use super::planned::PlanToLaunch;
use crate::journal::Journal;
use crate::journal::new_run::{NewLane, NewRun, NewlyMade};
use crate::plan::paper::Paper;
use crate::plan::reading::Planned;
use crate::report::next::given::GivenByHand;
use crate::settings::keys::KEYS;
use crate::settings::{Settings, Steering};
use crate::verb::context::reading_of;
use crate::verb::error::CommandError;
use crate::waves::Terms;

/// Makes a run of every row of the plan, which is read again for that and has to be what it was.
pub(super) fn make_run(
    journal: &mut Journal,
    plan: &PlanToLaunch<'_>,
    settings: &Settings,
    accounts: &[Account],
    given: &GivenByHand,
) -> Result<NewlyMade, CommandError> {
    let PlanToLaunch { source, checked, args, .. } = plan;
    let lanes: Vec<NewLane> = accounts.iter().map(Account::lane).collect();
    let new = NewRun {
        id: &new_run_id(),
        made_at: Timestamp::now(),
        plan_path: source.name(),
        plan_digest: &checked.digest.to_string(),
        n_rows: checked.n_rows,
        lanes: &lanes,
        settings: &settings_of_run(settings, &plan.paper())?,
        given: given_by_hand(settings, given, accounts, settings.steering.window(Timestamp::now())?.deadline),
        terms: &checked.terms,
    };
    journal.create_run(&new, |sink| {
        let again = crate::plan::read(source, &reading_of(settings, args), checked, |Planned { row, sealed }| {
            sink.row(&row, sealed.as_ref()).map_err(CommandError::from)
        })?;
        if again.digest == checked.digest { Ok(()) } else { Err(CommandError::PlanChanged(source.name().to_owned())) }
    })
}

/// The texts of the settings, and what the plan says.
fn settings_of_run(settings: &Settings, paper: &Paper) -> Result<serde_json::Value, CommandError> {
    let mut all = serde_json::to_value(paper).expect("a plan's terms are JSON");
    let map = all.as_object_mut().expect("they are an object");
    // What this launch was given by hand holds for it alone, and stands in the event with which it begins.
    let is_of_launch = |name: &str| KEYS.iter().any(|key| key.name == name && key.of_launch);
    let of_run = |key: &&str| !(is_of_launch(key) && settings.by_hand.contains_key(*key));
    let texts = settings.texts.iter().filter(|(key, _)| of_run(key));
    map.extend(texts.map(|(key, text)| ((*key).to_owned(), text.as_str().into())));
    // A time of the day is that of the night on which the run begins, and not every day's.
    let now = Timestamp::now();
    // Before a run is made that could not begin for want of a clock.
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

/// The one that another was given for by hand: it holds again when the run is taken up.
fn deadline_of_plan(settings: &Settings, terms: &Terms, now: Timestamp) -> Result<Option<Timestamp>, CommandError> {
    let Some(deadline) = terms.policy.get("deadline").and_then(|text| text.parse().ok()) else { return Ok(None) };
    let other_deadlines = Vec::new();
    let steering = Steering { deadline: Some(deadline), other_deadlines, ..settings.steering.clone() };
    Ok(steering.window(now)?.deadline)
}

/// When it was made, and four letters that tell it from others of that second: easy to type a prefix of.
fn new_run_id() -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let made = Timestamp::now().strftime("%Y%m%dt%H%M%S");
    let die: u32 = rand::random();
    let letter = |n: u32| char::from(LETTERS[usize::try_from(die >> (5 * n) & 31).expect("below 32")]);
    format!("{made}-{}{}{}{}", letter(0), letter(1), letter(2), letter(3))
}
