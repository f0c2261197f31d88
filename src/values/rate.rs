//! Rate of requests.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Requests per second, with the text as it was written, which is its stored form.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    text: String,
    /// `None` for no limit of ours.
    per_second: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRate {
    #[error("`{0}` is not a rate such as 10, 0.5, 30/m, 600/h or off")]
    Shape(String),
    #[error("`{0}` is not between one an hour and 100000 a second")]
    Range(String),
}

impl Rate {
    /// Limit in requests per second; `None` for `off`.
    #[must_use]
    pub fn per_second(&self) -> Option<f64> {
        self.per_second
    }
}

impl FromStr for Rate {
    type Err = BadRate;

    /// Parses `10` (per second), `30/m` (per minute), `100/h` (per hour), and `off`, no limit of ours.
    fn from_str(text: &str) -> Result<Self, BadRate> {
        Ok(Self { text: text.to_owned(), per_second: per_second(text)? })
    }
}

fn per_second(text: &str) -> Result<Option<f64>, BadRate> {
    if text == "off" {
        return Ok(None);
    }
    let shape = || BadRate::Shape(text.to_owned());
    let (number, period) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match period.trim() {
        "s" | "sec" | "second" => 1.0,
        "m" | "min" | "minute" => 60.0,
        "h" | "hour" => 3600.0,
        _ => return Err(shape()),
    };
    let number: f64 = number.trim().parse().map_err(|_| shape())?;
    if number.is_finite() && number / seconds >= 1.0 / 3600.0 && number / seconds <= 100_000.0 {
        Ok(Some(number / seconds))
    } else {
        Err(BadRate::Range(text.to_owned()))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_in_any_period() {
        let per_second = |text: &str| text.parse::<Rate>().map(|rate| rate.per_second());
        assert_eq!(per_second("10"), Ok(Some(10.0)));
        assert_eq!(per_second("30/m"), Ok(Some(0.5)));
        assert_eq!(per_second("off"), Ok(None));
        for bad in ["0", "-1", "ten", "10/fortnight", "nan", "inf", ""] {
            assert!(per_second(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rate_is_stored_as_it_was_written() {
        for text in ["30/m", "0.50", "600 / h", "off"] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(serde_json::to_value(&rate).unwrap(), text);
            assert_eq!(serde_json::from_value::<Rate>(text.into()).unwrap(), rate);
        }
    }
}
