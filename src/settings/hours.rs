//! Hours, zone and deadline: three settings that are resolved together, because hours and deadline are read in the zone.

use super::entry::Authority;
use super::error::SettingsError;
use super::layers::Layers;
use super::limits::{Loosened, stricter_of, unlike};
use super::origin::{Held, Origin};
use super::resolved::Resolved;
use super::strict::Stricter;
use crate::waves::window::Deadline;

const WINDOW: &str = "window";
const TIMEZONE: &str = "timezone";
const DEADLINE: &str = "deadline";

impl Layers {
    /// Resolves hours, zone and deadline. Of operator, plan and folder, none has a zone that moves the hours or the deadline of
    /// another (`OneHand::and`); a flag replaces the value of all three.
    pub(super) fn resolve_hours(&self, resolved: &mut Resolved) -> Result<(), SettingsError> {
        let own = |key| self.of_environment(key).or_else(|| self.of_files(key, |whose| whose != Authority::Folder));
        let plan = |key: &str| self.plan.get(key).cloned();
        let folder = |key: &str| self.of_files(key, |authority| authority == Authority::Folder);
        let all = [OneHand::new(own), OneHand::new(plan), OneHand::new(folder)];
        let flags = OneHand::new(|key| self.of_flag(key));
        let parts: [ClockSetting; 3] = [
            (WINDOW, Stricter::Hours, |hand| hand.hours.as_ref()),
            (TIMEZONE, Stricter::Zone, |hand| hand.zone.as_ref()),
            (DEADLINE, Stricter::Earlier, |hand| hand.deadline.as_ref()),
        ];
        for (key, how, part) in parts {
            let Some((flag, _)) = part(&flags) else { continue };
            let held = all.iter().find_map(|hand| part(hand).filter(|(held, _)| how.is_loosened(flag, held)));
            if let Some((held, origin)) = held.cloned() {
                resolved.loosened.push(Loosened { key, flag: flag.clone(), held, origin });
            }
        }
        let under_flags = |hand: OneHand| OneHand {
            hours: hand.hours.filter(|_| flags.hours.is_none()),
            zone: hand.zone.filter(|_| flags.zone.is_none()),
            deadline: hand.deadline.filter(|_| flags.deadline.is_none()),
        };
        let [own, plan, folder] = all.map(under_flags);
        let deadlines = [&own, &plan, &folder].into_iter().filter_map(|hand| hand.deadline.clone());
        let mut deadlines = deadlines.collect::<Vec<_>>().into_iter();
        let held = own.and(plan)?.and(folder)?;
        let held = [
            (WINDOW, flags.hours.or(held.hours)),
            (TIMEZONE, flags.zone.or(held.zone)),
            (DEADLINE, flags.deadline.or_else(|| deadlines.next())),
        ];
        resolved.values.extend(held.into_iter().filter_map(|(key, held)| Some((key, held?))));
        resolved.other_deadlines = deadlines.collect();
        Ok(())
    }
}

/// One of the three settings: its name, the order of its values, and its place in a [`OneHand`].
type ClockSetting = (&'static str, Stricter, fn(&OneHand) -> Option<&Held>);

/// Hours, zone and deadline, as one source has them: the operator, the plan, the folder's file, or flags.
#[derive(Clone, Debug, Default)]
struct OneHand {
    hours: Option<Held>,
    zone: Option<Held>,
    deadline: Option<Held>,
}

impl OneHand {
    fn new(of: impl Fn(&'static str) -> Option<Held>) -> Self {
        Self { hours: of(WINDOW), zone: of(TIMEZONE), deadline: of(DEADLINE) }
    }

    /// Tells whether hours or deadline depend on the zone.
    fn reads_a_clock(&self) -> bool {
        let needs_zone = |(text, _): &Held| text.parse().is_ok_and(Deadline::needs_zone);
        self.hours.as_ref().is_some_and(|(text, _)| text != "off") || self.deadline.as_ref().is_some_and(needs_zone)
    }

    /// Time that both allow, in the zone of the one whose hours or deadline need one. An error if both need one, and theirs
    /// differ: a zone must not move hours that were set without it.
    fn and(self, other: Self) -> Result<Self, SettingsError> {
        let (mine, theirs) = (self.reads_a_clock(), other.reads_a_clock());
        let zone = match (self.zone, other.zone) {
            (zone, None) => zone,
            (Some(one), Some(other)) if one.0 == other.0 => Some(one),
            (one, Some(other)) if mine && theirs => {
                let machines = || ("the machine's".to_owned(), Origin::Default);
                return Err(unlike(TIMEZONE, one.unwrap_or_else(machines), other));
            }
            (one, Some(_)) if mine => one,
            (_, Some(other)) => Some(other),
        };
        let hours = match (self.hours, other.hours) {
            (Some(one), Some(other)) => Some(stricter_of(WINDOW, Stricter::Hours, one, other)?),
            (one, other) => one.or(other),
        };
        Ok(Self { hours, zone, deadline: self.deadline.or(other.deadline) })
    }
}
