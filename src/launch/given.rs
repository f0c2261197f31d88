//! Flags and settings given by hand: they hold for one launch alone, and are recorded in the event that it begins.

use jiff::Timestamp;

use super::accounts::account::Account;
use super::accounts::reach;
use super::inputs::Launch;
use crate::journal::Journal;
use crate::report::next::given::{self, GivenByHand};
use crate::report::next::{NextCommands, flags};
use crate::settings::Settings;
use crate::settings::key::ENGINE;
use crate::verb::engine::begun_with;
use crate::verb::error::CommandError;
use crate::verb::reach::Reach;
use crate::waves::window::Window;

/// Settings and other flags that a launch is given by hand, besides the servers that its run was begun with.
pub(super) fn given_by_hand(
    settings: &Settings,
    of_launch: &GivenByHand,
    accounts: &[Account],
    deadline: Option<Timestamp>,
    begun_with: Option<&str>,
) -> GivenByHand {
    let mut given = settings.by_hand.clone();
    // The run knows the servers of its log.
    given.retain(|key, servers| key != ENGINE || begun_with != Some(servers));
    // The sandbox is this process, so that a later launch needs no flag to find it.
    if reach(accounts) == Reach::ThisProcess {
        given.retain(|key, _| !flags::is_of_way(key));
    }
    // A time of day means that of this night, and not that of the night of a later launch.
    if let (Some(said), Some(deadline)) = (given.get_mut("deadline"), deadline) {
        *said = deadline.to_string();
    }
    given.extend(of_launch.clone());
    given
}

impl Launch {
    /// Returns what the launch is given by hand. Tells its window, and flags of the launch before that no longer hold.
    pub(super) fn tell_given(&self, journal: &Journal, window: &Window) -> Result<GivenByHand, CommandError> {
        let given =
            given_by_hand(&self.settings, &self.request.given, &self.accounts, window.deadline, begun_with(&self.run));
        if self.request.consent.may_send() {
            let last = NextCommands::from_journal(journal, &self.run, journal.path())?.into_given();
            self.tell_what_no_longer_holds(&last, &given);
            window.told(self.clock.now()).iter().for_each(|line| self.console.say(line));
        }
        Ok(given)
    }

    /// Warns of flags of the launch before that this one lacks: without its window a run may go on into business hours, and without
    /// its rate too fast. `--yes` is no such flag.
    fn tell_what_no_longer_holds(&self, last: &GivenByHand, given: &GivenByHand) {
        let gone = no_longer_held(last, given, &self.settings);
        if !gone.is_empty() {
            let gone = flags::flags(&gone);
            self.console.warn(&format!("the last launch was given{gone}, which does not hold for this one"));
        }
    }
}

/// Flags of the launch before that a launch with these lacks. Those of the way to the service, and `--yes`, are none of them.
pub(super) fn no_longer_held(last: &GivenByHand, given: &GivenByHand, settings: &Settings) -> GivenByHand {
    let is_gone = |(key, value): &(&String, &String)| {
        let holds = given.contains_key(*key) || settings.texts.get(key.as_str()) == Some(*value);
        *key != given::YES && !flags::is_of_way(key) && !holds
    };
    last.iter().filter(is_gone).map(|(key, value)| (key.clone(), value.clone())).collect()
}
