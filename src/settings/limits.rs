//! Limits: the stricter of two, and those that a flag loosens.

use super::error::SettingsError;
use super::origin::{Held, Origin};
use super::strict::{Pick, Stricter, Unlike};

/// Limit that a flag makes wider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loosened {
    pub(crate) key: &'static str,
    pub(crate) flag: String,
    pub(crate) held: String,
    pub(crate) origin: Origin,
}

pub(super) fn stricter_of(key: &'static str, how: Stricter, held: Held, other: Held) -> Result<Held, SettingsError> {
    match how.pick(&held.0, &other.0) {
        Ok(Pick::First) => Ok(held),
        Ok(Pick::Second) => Ok(other),
        // A value of a variable keeps its origin, so that a command to type next repeats it.
        Ok(Pick::Both(text)) => {
            let by_hand = matches!(held.1, Origin::Environment(_));
            Ok((text, if by_hand { held.1 } else { other.1 }))
        }
        Err(Unlike) => Err(unlike(key, held, other)),
    }
}

pub(super) fn unlike(key: &'static str, (one, of_one): Held, (other, of_other): Held) -> SettingsError {
    SettingsError::Unlike { key, one, of_one: Box::new(of_one), other, of_other: Box::new(of_other) }
}
