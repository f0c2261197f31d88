//! Hours, zone and deadline: three settings about one clock, which hold together as somebody set them.

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
    /// Hours and deadline are read off a clock: they are those of whoever named it.
    pub(super) fn resolve_hours(&self, resolved: &mut Resolved) -> Result<(), SettingsError> {
        let own = |key| self.of_environment(key).or_else(|| self.of_files(key, |whose| whose != Authority::Folder));
        let plan = |key: &str| self.plan.get(key).cloned();
        let folder = |key: &str| self.of_files(key, |authority| authority == Authority::Folder);
        let all = [Hand::new(own), Hand::new(plan), Hand::new(folder)];
        let flags = Hand::new(|key| self.of_flag(key));
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
        let under_flags = |hand: Hand| Hand {
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

/// A setting about one clock, what makes it stricter, and where a hand has it.
type ClockSetting = (&'static str, Stricter, fn(&Hand) -> Option<&Held>);

/// Time in which changes may be sent, as one hand has it.
#[derive(Clone, Debug, Default)]
struct Hand {
    hours: Option<Held>,
    zone: Option<Held>,
    deadline: Option<Held>,
}

impl Hand {
    fn new(of: impl Fn(&'static str) -> Option<Held>) -> Self {
        Self { hours: of(WINDOW), zone: of(TIMEZONE), deadline: of(DEADLINE) }
    }

    /// Tells hours that depend on which clock is meant.
    fn reads_a_clock(&self) -> bool {
        let needs_zone = |(text, _): &Held| text.parse().is_ok_and(Deadline::needs_zone);
        self.hours.as_ref().is_some_and(|(text, _)| text != "off") || self.deadline.as_ref().is_some_and(needs_zone)
    }

    /// Time that both allow. Nobody else's zone moves somebody's hours.
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
