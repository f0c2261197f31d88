//! `config show`: each setting, and its origin; the credentials that would be used, without their secret.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Serialize;
use serde_json::json;

use crate::console;
use crate::credentials::chain;
use crate::exit::Exit;
use crate::notices::settings::ReceiverSettings;
use crate::settings::hooks::HookSetting;
use crate::settings::resolved::Resolved;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, stdout_failed};
use crate::waves::hooks::Hook;
use crate::wording::plain::{padded, plain};
use crate::wording::printout::Printout;
use crate::wording::sieve::Form;

/// Origin of the credentials, as far as it is known without asking any service.
struct CredentialsOrigin {
    from: Option<String>,
    kind: Option<&'static str>,
    problem: Option<String>,
    warnings: Vec<String>,
}

pub(super) fn show(context: &Context) -> Result<Exit, CommandError> {
    let settings = &context.settings;
    let resolved = context.layers.resolve(settings.profile.as_deref())?;
    let origin = origin(context);
    let profiles = context.layers.profiles();
    let receivers: Vec<ReceiverShown> = context.layers.receivers().map(ReceiverShown::new).collect();
    let hooks = context.layers.hooks();
    let files: Vec<(String, String)> =
        context.layers.files().map(|(path, whose)| (path.display().to_string(), whose.to_string())).collect();
    let written = if context.console.json {
        console::document(Form::Json, |out| {
            writeln!(
                out,
                "{:#}",
                document(settings.profile.as_deref(), &resolved, &origin, &profiles, &receivers, &hooks, &files)
            )
        })
    } else {
        console::print(|out| render(&resolved, &origin, &profiles, &receivers, &hooks, &files, out))
    };
    written.map_err(stdout_failed)?;
    Ok(Exit::Done)
}

fn origin(context: &Context) -> CredentialsOrigin {
    let settings = &context.settings;
    match chain::find(&settings.credentials, &settings.transport, &|name| std::env::var_os(name)) {
        Ok(Some(found)) => CredentialsOrigin {
            from: Some(found.credentials.origin().to_owned()),
            kind: Some(found.credentials.kind()),
            problem: found.is_last_resort.then(|| "nothing is set; this machine may have an agency".to_owned()),
            warnings: found.warnings,
        },
        Ok(None) => {
            CredentialsOrigin { from: None, kind: None, problem: Some("none are set".to_owned()), warnings: Vec::new() }
        }
        Err(error) => {
            CredentialsOrigin { from: None, kind: None, problem: Some(error.to_string()), warnings: Vec::new() }
        }
    }
}

/// Receiver of notices, without what is secret of it.
#[derive(Serialize)]
struct ReceiverShown {
    name: String,
    kind: String,
    to: String,
    on: Vec<&'static str>,
    origin: String,
}

impl ReceiverShown {
    fn new((receiver, path): (&ReceiverSettings, &Path)) -> Self {
        Self {
            name: receiver.name.clone(),
            kind: receiver.kind(),
            to: receiver.destination(),
            on: receiver.on.iter().map(|occasion| occasion.name()).collect(),
            origin: format!("in `{}`", path.display()),
        }
    }
}

/// Paths of the settings files that were read, each with its authority in words.
type Files = [(String, String)];

fn document(
    profile: Option<&str>,
    resolved: &Resolved,
    origin: &CredentialsOrigin,
    profiles: &[&str],
    receivers: &[ReceiverShown],
    hooks: &BTreeMap<Hook, HookSetting>,
    files: &Files,
) -> serde_json::Value {
    let setting = |(name, value): (&str, Option<(&str, String)>)| {
        let (value, origin) = value.map_or((None, None), |(value, origin)| (Some(value.to_owned()), Some(origin)));
        json!({"name": name, "value": value, "origin": origin})
    };
    let CredentialsOrigin { from, kind, problem, warnings } = origin;
    json!({
        "schema": "cutover.config.v1",
        "profile": profile,
        "settings": resolved.every().map(setting).collect::<Vec<_>>(),
        "credentials": {"origin": from, "kind": kind, "problem": problem, "warnings": warnings},
        "profiles": profiles,
        "notify": receivers,
        "hooks": hooks.iter().map(|(hook, of)| json!({"hook": hook, "command": of.command, "origin": of.origin()})).collect::<Vec<_>>(),
        "files": files.iter().map(|(path, whose)| json!({"path": path, "whose": whose})).collect::<Vec<_>>(),
    })
}

fn render(
    resolved: &Resolved,
    origin: &CredentialsOrigin,
    profiles: &[&str],
    receivers: &[ReceiverShown],
    hooks: &BTreeMap<Hook, HookSetting>,
    files: &Files,
    out: &mut Printout<'_>,
) -> io::Result<()> {
    for (name, value) in resolved.every() {
        match value {
            Some((value, origin)) => writeln!(out, "{name:<18} {} {origin}", padded(&plain(value), 32))?,
            None => writeln!(out, "{name:<18} {:<32} not set", "-")?,
        }
    }
    writeln!(out)?;
    for (path, whose) in files {
        writeln!(out, "{:<18} {}: {whose}", "settings file", plain(path))?;
    }
    match (&origin.from, origin.kind) {
        (Some(from), Some(kind)) => writeln!(out, "{:<18} {kind}, {from}", "credentials")?,
        (_, _) => writeln!(out, "{:<18} -", "credentials")?,
    }
    for text in origin.problem.iter().chain(&origin.warnings) {
        writeln!(out, "{:<18} {}", "", plain(text))?;
    }
    for ReceiverShown { name, kind, to, on, origin } in receivers {
        let (name, to, origin) = (plain(name), plain(to), plain(origin));
        writeln!(out, "{:<18} {name}: {kind}, {to}; on {}; {origin}", "notify", on.join(", "))?;
    }
    for (hook, of) in hooks {
        let (command, origin) = (plain(&of.command), plain(&of.origin()));
        writeln!(out, "{:<18} {hook}: {command}; {origin}", "hook")?;
    }
    if profiles.is_empty() {
        return writeln!(out, "{:<18} none is defined", "profiles");
    }
    writeln!(out, "{:<18} {}  (config show --profile NAME)", "profiles", plain(&profiles.join(", ")))
}
