//! Share of the rows of a plan or a wave.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Number of rows, or a percentage of all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    Rows(u64),
    Percent(f64),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a number of rows nor a percentage such as 5%")]
pub struct BadShare(String);

impl FromStr for Share {
    type Err = BadShare;

    fn from_str(text: &str) -> Result<Self, BadShare> {
        let bad = || BadShare(text.to_owned());
        match text.trim().strip_suffix('%') {
            Some(number) => match number.trim().parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Share::Percent(percent)),
                Ok(_) | Err(_) => Err(bad()),
            },
            None => text.trim().parse().map(Share::Rows).map_err(|_| bad()),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Share::Rows(rows) => rows.fmt(f),
            Share::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Share {
    /// Returns the rows that this share is of `n_rows`, rounded up and at most `n_rows`.
    #[must_use]
    pub fn rows_of(self, n_rows: u64) -> u64 {
        match self {
            Share::Rows(rows) => rows.min(n_rows),
            Share::Percent(percent) => {
                #[expect(
                    clippy::cast_precision_loss,
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a part of a number of rows"
                )]
                let part = (percent * n_rows as f64 / 100.0).ceil() as u64;
                part.min(n_rows)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rows_or_a_percentage() {
        assert_eq!("5".parse(), Ok(Share::Rows(5)));
        assert_eq!("2.5%".parse(), Ok(Share::Percent(2.5)));
        for bad in ["", "-1", "5.5", "101%", "-1%", "%", "many"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
        assert_eq!(Share::Percent(10.0).rows_of(55), 6);
        assert_eq!(Share::Percent(0.0).rows_of(55), 0);
        for percent in [7.0, 14.0, 28.0, 55.0, 56.0] {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole numbers")]
            let rows = percent as u64;
            assert_eq!(Share::Percent(percent).rows_of(100), rows);
        }
        assert_eq!(Share::Rows(9).rows_of(3), 3);
    }
}
