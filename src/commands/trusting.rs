//! `trust`: shows what the settings file of a folder sets, and lets it.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{CommandError, Context, output_failed, stdout_failed};
use crate::console;
use crate::exit::Exit;
use crate::report::plain::plain;
use crate::report::printout::Printout;
use crate::report::sieve::Form;
use crate::settings::SettingsError;
use crate::settings::file::{self, Authority, Said};
use crate::settings::trust::{self, Known, Notes};

/// A settings file of a folder, and all that it says.
struct Shown {
    /// Where it lies.
    place: PathBuf,
    digest: String,
    says: Vec<Said>,
    trusted: bool,
}

pub(super) fn trust(context: &Context, named: &Path, show: bool, forget: bool) -> Result<Exit, CommandError> {
    let path = if named.is_dir() { named.join(file::NAME) } else { named.to_owned() };
    if path.file_name() != Some(file::NAME.as_ref()) {
        return Err(SettingsError::NotOfAFolder(path).into());
    }
    let unreadable = |source| SettingsError::Unreadable { path: path.clone(), source };
    let place = trust::place(&path).map_err(unreadable)?;
    let notes = Notes::of_user(&|name| std::env::var_os(name)).ok_or(SettingsError::NoStateFolder)?;
    if forget {
        let forgotten = notes.forget(&place).map_err(output_failed(&path))?;
        let is = if forgotten { "is trusted no longer" } else { "was not trusted" };
        context.console.say(&format!("`{}` {is}", place.display()));
        return Ok(Exit::Done);
    }
    let opened = file::open(&path, Authority::Folder)?;
    let digest = opened.digest();
    // What cannot be read is nothing to trust.
    let says = opened.says()?;
    let trusted = notes.knows(&place, &digest) == Known::AsItIs;
    let mut shown = Shown { place, digest, says, trusted };
    if !context.console.json {
        print(context, &shown)?;
    }
    if !show {
        notes.remember(&shown.place, &shown.digest).map_err(output_failed(&path))?;
        shown.trusted = true;
        context.console.say("trusted here, as it is now; `cutover trust --forget` takes it back");
    }
    if context.console.json {
        print(context, &shown)?;
    }
    Ok(Exit::Done)
}

fn print(context: &Context, shown: &Shown) -> Result<(), CommandError> {
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

/// The value of a key, but for what stands where a name belongs and may be the secret itself: no name of a variable is like
/// that, and no file is there.
fn value(said: &Said) -> &str {
    let key = said.key.as_deref().unwrap_or_default();
    let names_nothing = match key {
        _ if said.profile.is_none() => false,
        _ if key.ends_with("_env") => {
            said.value.len() > 32 || !said.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        }
        _ if key.ends_with("_file") => !said.value.starts_with("~/") && !Path::new(&said.value).exists(),
        _ => false,
    };
    if names_nothing { "(not repeated here: it names nothing)" } else { &said.value }
}

fn render(shown: &Shown, out: &mut Printout<'_>) -> io::Result<()> {
    let state = if shown.trusted { "trusted" } else { "not trusted" };
    writeln!(out, "{}, {state}, sha256:{}", plain(&shown.place.display().to_string()), shown.digest)?;
    for said in &shown.says {
        let does = said.beyond_a_folder().map_or_else(String::new, |does| format!("  ({does})"));
        writeln!(out, "{:>5}  {} = {}{does}", said.line, plain(&said.to_string()), plain(value(said)))?;
    }
    Ok(())
}

/// The document `cutover.trust.v1`.
fn document(shown: &Shown) -> serde_json::Value {
    let said = |said: &Said| {
        json!({
            "line": said.line, "profile": said.profile, "key": said.key, "value": value(said),
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
    fn the_document_keeps_to_its_schema_and_holds_no_secret() {
        let said = |key: &str, value: &str| {
            let (profile, key) = (Some("a".to_owned()), Some(key.to_owned()));
            Said { line: 2, profile, key, value: value.to_owned() }
        };
        let says = vec![
            said("token_env", "MINE"),
            said("token_env", "gAAAA-hunter2"),
            said("password_file", "hunter2"),
            said("token_file", "/dev/null"),
            Said { profile: None, ..said("rate", "5") },
        ];
        let shown = Shown { place: "/x/cutover.toml".into(), digest: "ab".repeat(32), says, trusted: false };
        let document = document(&shown);
        crate::report::lab::conforms("trust.v1.json", &document);
        assert!(!document.to_string().contains("hunter2"), "{document}");
        let values: Vec<&str> = shown.says.iter().map(value).collect();
        assert_eq!([values[0], values[3], values[4]], ["MINE", "/dev/null", "5"]);
    }
}
