//! Values that a launch was given by hand, and those of them that the next launch has to be given again.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::run::RunEvent;

/// Values given to a launch by hand, by name: settings, and the flags below, which are no settings.
pub type GivenByHand = BTreeMap<String, String>;

/// Flags of a launch that are no settings, by name.
pub const YES: &str = "yes";
pub const IRREVERSIBLE: &str = "allow_irreversible";
pub const REPORT: &str = "report";

pub(super) const DEADLINE: &str = "deadline";
pub(super) const WINDOW: &str = "window";

/// Drops a deadline that is over at this time. Returns true if there was one.
pub(super) fn drop_what_is_over(given: &mut GivenByHand, at: Timestamp) -> bool {
    let deadline = given.get(DEADLINE).and_then(|text| text.parse::<Timestamp>().ok());
    let is_over = deadline.is_some_and(|deadline| deadline <= at);
    if is_over {
        given.remove(DEADLINE);
    }
    is_over
}

/// Returns what the next launch would be given, from the beginnings of launches and their stages, the last one first. A launch
/// that began no stage sent nothing: what the launch before it was given still holds, except where the later one was given
/// something else. Only a `run` says anew all that holds: what it was not given is not meant any more.
pub(super) fn passed_on(began: Vec<Event>) -> GivenByHand {
    let (mut passed_on, mut any_stage) = (GivenByHand::new(), false);
    for began in began {
        let Some((verb, given)) = given_of(began.kind) else {
            any_stage = true;
            continue;
        };
        for (name, value) in given {
            passed_on.entry(name).or_insert(value);
        }
        if any_stage || verb == "run" {
            break;
        }
    }
    passed_on
}

/// Returns the verb of a launch and what it was given; `None` for the beginning of a stage.
fn given_of(began: EventKind) -> Option<(String, GivenByHand)> {
    let EventKind::Run(RunEvent::LaunchBegan { verb, given, .. }) = began else { return None };
    Some((verb, given))
}

#[cfg(test)]
mod tests {
    use super::super::flags::flags;
    use super::*;
    use crate::event::lane::LaneId;
    use crate::waves::{Part, Stage};

    fn event(kind: EventKind) -> Event {
        Event { lane: LaneId::RUN, seq: 1, at: Timestamp::UNIX_EPOCH, kind }
    }

    /// Beginning of a launch by this verb, given these values, as the journal has it.
    fn launch(verb: &str, given: &[(&str, &str)]) -> Event {
        event(
            RunEvent::LaunchBegan {
                launch: 1,
                verb: verb.to_owned(),
                pid: 1,
                host: String::new(),
                user: None,
                who: crate::whoami::Who::default(),
                version: String::new(),
                given: given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
                cut_off_ms: 0,
            }
            .into(),
        )
    }

    #[test]
    fn a_launch_that_began_no_stage_passes_on_what_the_one_before_it_had() {
        let stage = || {
            let stage = Stage { wave_no: 0, wave: None, part: Part::Rest };
            event(RunEvent::StageBegan { stage, rows: 1, forecast: None }.into())
        };
        let flags_of = |began: Vec<Event>| flags(&passed_on(began));
        let night = || [stage(), launch("run", &[("window", "22:00-04:00"), ("rate", "5"), ("yes", "on")])];
        let refused = launch("resume", &[("rate", "7")]);
        let [began, run] = night();
        assert_eq!(flags_of(vec![refused, began, run]), " --rate 7 --window 22:00-04:00 --yes");
        let [began, run] = night();
        let twice = vec![launch("reconcile", &[("rate", "2")]), launch("resume", &[("yes", "on")]), began, run];
        assert_eq!(flags_of(twice), " --rate 2 --window 22:00-04:00 --yes");
        let [began, run] = night();
        assert_eq!(flags_of(vec![stage(), stage(), launch("resume", &[("yes", "on")]), began, run]), " --yes");
        // A run that was typed anew without them does not have the flags of the launches before it.
        let [began, run] = night();
        let plain = vec![launch("resume", &[("rate", "7")]), launch("run", &[("yes", "on")]), began, run];
        assert_eq!(flags_of(plain), " --rate 7 --yes");
        assert_eq!(flags_of(Vec::new()), "");
    }
}
