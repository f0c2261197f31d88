//! The shell's words of a command: its verb, its words and its flags, quoted.

use std::fmt::Write as _;
use std::path::Path;

use super::given::{IRREVERSIBLE, REPORT, YES};
use crate::settings::key::Lifetime;
use crate::settings::keys::KEYS;
use crate::settings::names::CONFIG_FLAG;
use crate::wording::shell::{shell_path, shell_word};

/// Default path of the journal.
pub(crate) const USUAL_JOURNAL: &str = "cutover.db";

/// Returns ` --journal PATH`, or nothing for the default path.
#[must_use]
pub(crate) fn journal_flag(path: &Path) -> String {
    if path == Path::new(USUAL_JOURNAL) {
        return String::new();
    }
    match path.to_str() {
        Some(text) => flag("journal", text),
        None => format!(" --journal {}", shell_path(path)),
    }
}

/// Returns a flag with a blank before it. A value that begins with `-` follows a `=`, or it would be taken for a flag.
pub(super) fn flag(name: &str, value: &str) -> String {
    let between = if value.starts_with('-') { '=' } else { ' ' };
    format!(" --{name}{between}{}", shell_word(value))
}

pub(super) fn output(path: &str) -> String {
    if path.starts_with('-') { flag("output", path) } else { format!(" -o {}", shell_word(path)) }
}

/// Writes a verb, words, and flags, each of which has a blank before it. If a word begins with `-`, all words stand behind the
/// flags and `--`.
pub(super) fn written(verb: &str, words: &[&str], flags: &str) -> String {
    let quoted = words.iter().fold(String::new(), |text, word| text + " " + &shell_word(word));
    if words.iter().any(|word| word.starts_with('-') && *word != "-") {
        return format!("cutover {verb}{flags} --{quoted}");
    }
    format!("cutover {verb}{quoted}{flags}")
}

/// Writes settings and leave as flags, each with a blank before it. They come out of a journal, which anybody may have written: a
/// name that is no flag is left out, and a value is never more than one word of the shell.
#[must_use]
pub(crate) fn flags<'a>(given: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let mut text = String::new();
    // Settings of the endpoint and credentials follow all others.
    let (how, way): (Vec<_>, Vec<_>) =
        given.into_iter().filter(|(key, _)| is_flag(key)).partition(|(key, _)| !is_of_way(key));
    for (key, value) in how.into_iter().chain(way) {
        let name = key.replace('_', "-");
        _ = match (key.as_str(), value.as_str()) {
            (YES | IRREVERSIBLE, _) => write!(text, " --{name}"),
            (key, "on") if is_switch(key) => write!(text, " --{name}"),
            (key, _) if is_switch(key) => write!(text, " --{name}={}", shell_word(value)),
            (_, value) => write!(text, "{}", flag(&name, value)),
        };
    }
    text
}

/// Tells a flag that is given by itself.
fn is_switch(key: &str) -> bool {
    KEYS.iter().any(|known| known.name == key && known.is_switch())
}

/// Tells a flag that a launch which sends nothing does not take.
pub(super) fn is_of_sending(key: &str) -> bool {
    matches!(key, YES | IRREVERSIBLE | REPORT) || KEYS.iter().any(|known| known.name == key && known.is_of_sending())
}

/// Tells whether a setting says where the requests of a run go, or as whom they are sent.
pub(crate) fn is_of_way(key: &str) -> bool {
    KEYS.iter().any(|known| known.name == key && known.lifetime == Lifetime::Route)
}

fn is_flag(key: &str) -> bool {
    matches!(key, YES | IRREVERSIBLE | REPORT | CONFIG_FLAG) || KEYS.iter().any(|known| known.name == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_journal_says_was_given_is_flags_of_ours_and_one_word_each() {
        let cases: [(&[(&str, &str)], &str); 7] = [
            (&[("rate", "5"), ("yes", "on")], " --rate 5 --yes"),
            (&[("reserve_rollback", "on"), ("ignore_forecast", "off")], " --reserve-rollback --ignore-forecast=off"),
            (&[("reserve_rollback", "off; rm -rf ~")], " --reserve-rollback='off; rm -rf ~'"),
            (&[("window", "$(id)"), ("deadline", "-x `id`")], " --window '$(id)' --deadline='-x `id`'"),
            (&[("rate 5; rm -rf ~; true", "x"), ("x", "y"), ("", "")], ""),
            (&[("rate", "5\n\u{202e}6")], " --rate \"$(printf '5\\012\\342\\200\\2566')\""),
            (&[("allow_irreversible", "; id")], " --allow-irreversible"),
        ];
        for (given, expected) in cases {
            let given: Vec<_> = given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            assert_eq!(flags(given.iter().map(|(key, value)| (key, value))), expected, "{given:?}");
        }
    }
}
