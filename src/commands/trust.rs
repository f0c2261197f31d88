//! `trust`: shows what the settings file of a folder sets, or which commands a plan runs, and trusts it.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::console;
use crate::exit::Exit;
use crate::files::folder::folder_of;
use crate::settings::entry::{Authority, FileEntry, FileTable};
use crate::settings::file;
use crate::settings::trust::Trust;
use crate::transport::address::Address;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, output_failed, stdout_failed};
use crate::wording::plain::plain;
use crate::wording::printout::Printout;
use crate::wording::sieve::Form;

pub(super) mod candidate;
mod plan;

use candidate::{Aim, FileToTrust};

/// A settings file of a folder, with all its settings.
struct TrustedFile {
    /// Absolute path of the file.
    place: PathBuf,
    digest: String,
    says: Vec<FileEntry>,
    trusted: bool,
}

/// Takes back the trust in a settings file or in the hooks of a plan.
pub(super) fn forget(context: &Context, named: &Path) -> Result<Exit, CommandError> {
    let FileToTrust { path, place, notes } = FileToTrust::new(named)?;
    let forgotten = notes.forget(&place).map_err(output_failed(&path))?;
    let is = if forgotten { "is trusted no longer" } else { "was not trusted" };
    context.console.say(&format!("`{}` {is}", place.display()));
    Ok(Exit::Done)
}

pub(super) fn trust(context: &Context, named: &Path, aim: Aim) -> Result<Exit, CommandError> {
    let candidate = FileToTrust::new(named)?;
    if !candidate.is_settings_file() {
        return plan::trust(context, &candidate, aim);
    }
    let FileToTrust { path, place, notes } = &candidate;
    let opened = file::open(path, Authority::Folder)?;
    let digest = opened.digest();
    // A file that cannot be read cannot be trusted.
    let says = opened.says()?;
    let trusted = notes.knows(place, &digest) == Trust::Unchanged;
    let mut shown = TrustedFile { place: place.clone(), digest, says, trusted };
    if !context.console.json {
        print(context, &shown)?;
    }
    if aim == Aim::Trust {
        candidate.remember(&shown.digest)?;
        shown.trusted = true;
        context.console.say("trusted here, as it is now; `cutover trust --forget` takes it back");
    }
    if context.console.json {
        print(context, &shown)?;
    }
    Ok(Exit::Done)
}

fn print(context: &Context, shown: &TrustedFile) -> Result<(), CommandError> {
    if context.console.answers_by_code() {
        return Ok(());
    }
    let written = if context.console.json {
        console::document(Form::Json, |out| writeln!(out, "{:#}", document(shown)))
    } else {
        console::print(|out| render(shown, out))
    };
    written.map_err(stdout_failed)
}

/// Returns the value of a key as it is shown to be judged: whole, except one that looks like a secret where a name is
/// expected. Of such a value only the beginning and the length are shown; it is still trusted with the file, and may name
/// something when used.
fn value<'a>(said: &'a FileEntry, place: &Path) -> Cow<'a, str> {
    let (key, value) = (said.key.as_deref().unwrap_or_default(), said.value.as_str());
    let is_a_name = match key {
        _ if said.table.is_none() => true,
        // The address of a receiver of notices is a secret.
        "url" => return value.parse().map_or("?".into(), |url: Address| format!("{}/…", url.host()).into()),
        _ if key.ends_with("_env") => names_a_variable(value) || std::env::var_os(value).is_some(),
        _ if key.ends_with("_file") => value.contains('/') || folder_of(place).join(value).exists(),
        _ => true,
    };
    if is_a_name { value.into() } else { beginning(value).into() }
}

/// Tells whether a text looks like the usual name of a variable, as no password or token does.
fn names_a_variable(text: &str) -> bool {
    let begins_well = text.starts_with(|first: char| first.is_ascii_uppercase() || first == '_');
    let is_usual = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    begins_well && text.len() <= 64 && text.bytes().all(is_usual)
}

/// Returns the first characters of a text: at most eight, and at most a third of it.
fn beginning(text: &str) -> String {
    let length = text.chars().count();
    let shown: String = text.chars().take((length / 3).min(8)).collect();
    format!("{shown}… ({length} characters, which look like a secret and not like a name)")
}

fn render(shown: &TrustedFile, out: &mut Printout<'_>) -> io::Result<()> {
    let state = if shown.trusted { "trusted" } else { "not trusted" };
    writeln!(out, "{}, {state}, sha256:{}", plain(&shown.place.display().to_string()), shown.digest)?;
    for said in &shown.says {
        let does = said.beyond_a_folder().map_or_else(String::new, |does| format!("  ({does})"));
        writeln!(out, "{:>5}  {} = {}{does}", said.line, plain(&said.to_string()), plain(&value(said, &shown.place)))?;
    }
    Ok(())
}

/// Document `cutover.trust.v1`.
fn document(shown: &TrustedFile) -> serde_json::Value {
    let said = |said: &FileEntry| {
        json!({
            "line": said.line, "profile": said.table.as_ref().and_then(FileTable::profile), "key": said.key,
            "table": said.table.as_ref().map(ToString::to_string), "value": value(said, &shown.place),
            "needs_trust": said.beyond_a_folder(),
        })
    };
    json!({
        "schema": "cutover.trust.v1",
        "path": shown.place.display().to_string(),
        "sha256": shown.digest,
        "trusted": shown.trusted,
        "sets": shown.says.iter().map(said).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_holds_no_secret() {
        let said = |key: &str, value: &str| {
            let (table, key) = (Some(FileTable::Profile("a".to_owned())), Some(key.to_owned()));
            FileEntry { line: 2, table, key, value: value.to_owned() }
        };
        let says = vec![
            said("token_env", "MINE"),
            said("token_env", "gAAAA-hunter2"),
            said("password_file", "hunter2"),
            said("token_file", "/dev/null"),
            FileEntry { table: None, ..said("rate", "5") },
            said("url", "https://hooks.example.org/hunter2"),
        ];
        let shown = TrustedFile { place: "/x/cutover.toml".into(), digest: "ab".repeat(32), says, trusted: false };
        let document = document(&shown);
        assert!(!document.to_string().contains("hunter2"), "{document}");
        let values: Vec<Cow<'_, str>> = shown.says.iter().map(|said| value(said, &shown.place)).collect();
        let shown = [&*values[0], &*values[3], &*values[4], &*values[5]];
        assert_eq!(shown, ["MINE", "/dev/null", "5", "hooks.example.org/…"]);
    }

    #[test]
    fn what_names_something_is_shown_and_what_may_be_a_secret_begins_to_be() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tok"), "").unwrap();
        let a = |n| "A".repeat(n);
        let looks = |text: &str, length: u32| {
            format!("{text}… ({length} characters, which look like a secret and not like a name)")
        };
        for (key, text, shown) in [
            ("token_env", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN".to_owned()),
            ("token_env", &a(64), a(64)),
            ("token_env", &a(65), looks("AAAAAAAA", 65)),
            ("token_env", "gAAAAAhunter2hunter2hunter2", looks("gAAAAAhu", 27)),
            ("access_key_env", "hunter2", looks("hu", 7)),
            ("token_file", "tok", "tok".to_owned()),
            ("token_file", "no-tok", looks("no", 6)),
            ("password_file", "/run/user/0/agent-token", "/run/user/0/agent-token".to_owned()),
            ("password_file", "~/absent", "~/absent".to_owned()),
        ] {
            let (table, key) = (Some(FileTable::Profile("a".to_owned())), Some(key.to_owned()));
            let said = FileEntry { line: 1, table, key, value: text.to_owned() };
            assert_eq!(value(&said, &folder.path().join("cutover.toml")), shown);
        }
    }
}
