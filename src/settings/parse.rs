//! Readers of texts that settings alone have: paths, endpoints, names, and what `off` lifts.

use std::fmt;
use std::path::PathBuf;

use crate::console::LogFormat;
use crate::credentials::fitness::fit_for_a_header;
use crate::model::dialect::{BadDialect, Dialect};
use crate::transport::endpoint::{BadEndpoint, Endpoint};
use crate::transport::region;
use crate::values::zone::{BadZone, Zone};
use crate::values::{on_off, unless_off};
use crate::waves::window::{BadWindow, Deadline, Hours};
use crate::wording::visible::visible;

/// Destination of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    Service(Endpoint),
    /// Inside this process, seeded with the plan's ids.
    Sandbox,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Service(endpoint) => endpoint.fmt(f),
            Destination::Sandbox => f.write_str("sandbox"),
        }
    }
}

pub(crate) fn destination(text: &str) -> Result<Destination, String> {
    if text == "sandbox" {
        return Ok(Destination::Sandbox);
    }
    text.parse().map(Destination::Service).map_err(|error: BadEndpoint| error.to_string())
}

/// Reads an endpoint of this machine, `None` for `off`. It is checked here, so that no text with a password is printed later.
pub(super) fn metadata_endpoint(text: &str) -> Result<Option<String>, String> {
    let read = |text: &str| Endpoint::of_this_machine(text).map(|_| text.to_owned());
    unless_off(text, |text| read(text).map_err(|bad| bad.to_string()))
}

/// Reads a value that is sent in a header beside the credentials.
pub(super) fn header(text: &str) -> Result<String, String> {
    fit_for_a_header(text).map(|()| text.to_owned()).map_err(|unfit| unfit.to_string())
}

pub(super) fn name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// Longest run key, in characters.
const LONGEST_KEY: usize = 100;

/// Reads a run key: 1 to 100 characters that print, without blanks around them. A text that only a shell would have made a key of is
/// refused, because it is the same in every slot.
///
/// source: crontab(5): variables are set without expansion
pub(crate) fn run_key(text: &str) -> Result<String, String> {
    let problem = if text.is_empty() {
        "is empty"
    } else if text.chars().count() > LONGEST_KEY {
        "has more than 100 characters"
    } else if visible(text) != text {
        "has characters that do not print"
    } else if text.trim() != text {
        "begins or ends with a blank"
    } else if ["$(", "${", "`"].iter().any(|sign| text.contains(sign)) {
        "has a command or a variable in it that no shell has replaced"
    } else {
        return Ok(text.to_owned());
    };
    Err(problem.to_owned())
}

/// Reads the path of a file, and refuses names that SQLite would take for something else.
///
/// source: sqlite.org/uri.html, sqlite.org/inmemorydb.html
pub(super) fn journal(text: &str) -> Result<PathBuf, String> {
    let kind = match text {
        "-" => "standard input",
        _ if text.starts_with("file:") => "an address",
        _ if text.starts_with(':') => "a name of SQLite's own",
        _ => return path(text),
    };
    Err(format!("`{text}` is {kind}, and a journal is a file (one of that name is `./{text}`)"))
}

/// Reads the path of a file; an empty one is an error.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(PathBuf::from(text)) }
}

/// A region that is known, and the service's endpoint for it.
pub(crate) struct Region {
    pub(crate) name: String,
    pub(crate) endpoint: Endpoint,
}

pub(super) fn region(text: &str) -> Result<Region, String> {
    Ok(Region { name: text.to_owned(), endpoint: region::endpoint(text)? })
}

#[expect(clippy::unnecessary_wraps, reason = "a reader like all others")]
pub(super) fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("is neither text nor json".to_owned()),
    }
}

pub(super) fn dialect(text: &str) -> Result<Dialect, String> {
    text.parse().map_err(|bad: BadDialect| bad.to_string())
}

pub(super) fn zone(text: &str) -> Result<Zone, String> {
    Zone::from_name(text).map_err(|bad: BadZone| bad.to_string())
}

/// Reads hours of the day; `None` for `off`.
pub(super) fn hours(text: &str) -> Result<Option<Hours>, String> {
    unless_off(text, |text| text.parse().map_err(|bad: BadWindow| bad.to_string()))
}

/// Reads a deadline; `None` for `off`.
pub(super) fn deadline(text: &str) -> Result<Option<Deadline>, String> {
    unless_off(text, |text| text.parse().map_err(|bad: BadWindow| bad.to_string()))
}

/// Checks a value of a profile's credentials, as far as that can be known offline.
pub(super) fn check_credential(key: &str, text: &str) -> Result<(), String> {
    match key {
        "agency" => on_off(text).map(drop),
        "project_id" => header(text).map(drop),
        _ => name(text).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_key_can_be_shown_and_is_what_somebody_meant() {
        let longest = "ä".repeat(LONGEST_KEY);
        for good in ["2026-11-28", "a", "nightly 28/11 #2", "$1", "Nacht-ü", &longest] {
            assert_eq!(run_key(good).as_deref(), Ok(good));
        }
        let too_long = "ä".repeat(LONGEST_KEY + 1);
        for (bad, why) in [
            ("", "is empty"),
            (too_long.as_str(), "more than 100"),
            ("a\nb", "do not print"),
            ("a\u{202e}b", "do not print"),
            (" ", "blank"),
            ("a ", "blank"),
            ("$(date +%F)", "no shell"),
            ("night-${N}", "no shell"),
            ("`date`", "no shell"),
        ] {
            assert!(run_key(bad).is_err_and(|problem| problem.contains(why)), "{bad}");
        }
    }
}
