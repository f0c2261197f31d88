//! Flags and settings that a launch is given by hand: they hold for it alone, and stand in the event with which it begins.

use jiff::Timestamp;

use super::accounts::account::Account;
use super::inputs::Launch;
use super::venue::Venue;
use crate::journal::Journal;
use crate::report::next::given::{self, GivenByHand};
use crate::report::next::{NextCommands, flags};
use crate::settings::Settings;
use crate::verb::error::CommandError;
use crate::waves::window::Window;

/// Everything a launch is given by hand: settings, and flags that are none.
pub(super) fn given_by_hand(
    settings: &Settings,
    of_launch: &GivenByHand,
    accounts: &[Account],
    deadline: Option<Timestamp>,
) -> GivenByHand {
    let mut given = settings.by_hand.clone();
    // The sandbox is this process, and there is no other way to it.
    if accounts.iter().all(|account| matches!(account.venue, Venue::Sandbox(_))) {
        given.retain(|key, _| !flags::is_of_way(key));
    }
    // A time of the day is that of the night on which it was said.
    if let (Some(said), Some(deadline)) = (given.get_mut("deadline"), deadline) {
        *said = deadline.to_string();
    }
    given.extend(of_launch.clone());
    given
}

impl Launch {
    /// Tells what holds for this launch, and what no longer does. Returns what it is given by hand.
    pub(super) fn tell_given(&self, journal: &Journal, window: &Window) -> Result<GivenByHand, CommandError> {
        let given = given_by_hand(&self.settings, &self.request.given, &self.accounts, window.deadline);
        if self.request.consent.may_send() {
            let last = NextCommands::from_journal(journal, &self.run, journal.path())?.into_given();
            self.tell_what_no_longer_holds(&last, &given);
            window.told(self.clock.now()).iter().for_each(|line| self.console.say(line));
        }
        Ok(given)
    }

    /// A window that held for the launch before and not for this one would else be missed in the hours of business, and a rate
    /// by the service. That it was asked for is nothing to be missed.
    fn tell_what_no_longer_holds(&self, last: &GivenByHand, given: &GivenByHand) {
        let is_gone = |(key, value): &(&String, &String)| {
            let holds = given.contains_key(*key) || self.settings.texts.get(key.as_str()) == Some(*value);
            *key != given::YES && !flags::is_of_way(key) && !holds
        };
        let gone = flags::flags(last.iter().filter(is_gone));
        if !gone.is_empty() {
            self.console.warn(&format!("the last launch was given{gone}, which does not hold for this one"));
        }
    }
}
