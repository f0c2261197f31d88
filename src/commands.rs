//! Verbs, one function each: it wires the parts, runs, and chooses an [`Exit`].

use std::any::Any;
use std::ffi::{OsStr, OsString};
use std::panic::{self, AssertUnwindSafe};

use clap::Parser;

use crate::console::{self, Console, LogFormat};
use crate::exit::Exit;
use crate::launch::unfinished::Unfinished;
use crate::plan::error::PlanError;
use crate::plan::reading::Reading;
use crate::report::failure::Failure;
use crate::settings::Settings;
use crate::settings::error::SettingsError;
use crate::settings::flags::Flags;
use crate::settings::flags::verbs::{AuditVerb, ConfigVerb, SourcesVerb, Verb};
use crate::settings::layers::Layers;
use crate::settings::tips::Misread;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, causes, whole_text};
use crate::verb::here::Here;
use crate::wording::sieve::Form;

mod approve;
mod check;
mod config;
mod control;
mod doctor;
mod evidence;
mod explain;
mod init;
mod plan;
mod reconcile;
mod rehearse;
mod report;
mod resume;
mod retry;
mod rollback;
mod run;
mod runs;
mod sandbox;
mod serve;
mod sources;
mod status;
mod trust;

/// Runs the program on its arguments, the first of which is its name.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    crate::memory::keep_to_ourselves();
    let args: Vec<OsString> = args.into_iter().collect();
    console::tell_of_panics();
    let flags = match Flags::try_parse_from(&args) {
        Ok(flags) => flags,
        Err(error) => return misread(&args, &Misread::of(&error, &args)),
    };
    let here = Here::new(&flags.given(), flags.reading());
    let common = &flags.common;
    let mut console =
        Console { format: LogFormat::Text, quiet: common.quiet, verbose: common.verbose, json: common.json };
    // A panic is a bug, and ends with its own exit code.
    let ended = panic::catch_unwind(AssertUnwindSafe(|| {
        let (layers, settings) = settings(&flags)?;
        console.format = settings.log_format;
        layers.warnings().iter().for_each(|warning| console.warn(warning));
        layers.told_of_folder().for_each(|line| console.say(&line));
        dispatch(&Context { console, settings, layers, here: here.clone() }, flags.verb)
    }));
    let ended = ended.unwrap_or_else(|panic| Err(CommandError::Bug(text_of(panic.as_ref()))));
    let exit = match &ended {
        Ok(exit) => *exit,
        Err(error) => {
            complain(console, error, &here);
            error.exit()
        }
    };
    if console.json && !console::has_results() {
        let failure = match &ended {
            Ok(exit) => Failure::plain(*exit),
            Err(error) => failure_of(error, &here),
        };
        return tell(&failure, exit);
    }
    exit
}

/// Handles arguments that cannot be read, and requests for help or the version.
fn misread(args: &[OsString], misread: &Misread) -> Exit {
    if misread.is_asked_for() {
        return if console::help(|out| misread.write(out)).is_err() { Exit::Internal } else { Exit::Done };
    }
    console::misread(|out| misread.write(out));
    let wants_json = args.iter().take_while(|arg| *arg != OsStr::new("--")).any(|arg| arg == OsStr::new("--json"));
    if wants_json { tell(&Failure::misread(&misread.to_string()), Exit::Usage) } else { Exit::Usage }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").to_owned()
}

/// Prints the document of a verb that printed no other.
fn tell(failure: &Failure, exit: Exit) -> Exit {
    match console::document(Form::Json, |out| failure.write_json(out)) {
        Ok(()) => exit,
        Err(_) => exit.worst(Exit::Internal),
    }
}

fn settings(flags: &Flags) -> Result<(Layers, Settings), SettingsError> {
    let environment = |name: &str| std::env::var_os(name);
    let layers = match flags.verb {
        // `trust` reads no settings files, so that an untrusted one does not keep it from being trusted.
        Verb::Trust { .. } => Layers::without_files(flags.given(), environment)?,
        _ => Layers::read(flags.given(), environment)?,
    };
    layers.check_variables(std::env::vars_os().map(|(name, _)| name))?;
    let settings = Settings::read(&layers, None)?;
    let settings = match &settings.chosen_profile {
        Some(profile) => Settings::read(&layers, Some(profile))?,
        None => settings,
    };
    Ok((layers, settings))
}

fn dispatch(context: &Context, verb: Verb) -> Result<Exit, CommandError> {
    match verb {
        Verb::Init { dir } => init::init(context, &dir),
        Verb::Check { plan, .. } => check::check(context, &plan),
        Verb::Plan { plan, output, name, force, .. } => {
            let seal = output.as_deref().map(|path| plan::sealing::SealTo { path, name: name.as_deref(), force });
            plan::plan(context, &plan, seal.as_ref())
        }
        Verb::Run { plan, dry_run: true, .. } => plan::plan(context, &plan, None),
        Verb::Approve { file, name, key } => approve::approve(context, &file, &name, key.as_deref()),
        Verb::Run { plan, launch, new, dry_run: false, .. } => {
            let unfinished = if new { Unfinished::LeftAsItIs } else { Unfinished::TakenUp };
            run::run(context, &plan, &launch, unfinished)
        }
        Verb::Resume { run, launch, .. } => resume::resume(context, run.run.as_deref(), &launch),
        Verb::Retry { run, selection, launch, .. } => retry::retry(context, run.run.as_deref(), &selection, &launch),
        Verb::Reconcile { run, show, .. } => reconcile::reconcile(context, run.run.as_deref(), &show),
        Verb::Status { run, watch, if_stopped } => status::status(context, run.run.as_deref(), watch, if_stopped),
        Verb::Rehearse { plan, from_live, .. } => rehearse::rehearse(context, &plan, from_live),
        Verb::Control { words, reason } => control::control(context, &words, reason.as_deref()),
        Verb::Rollback { run, output, force } => {
            rollback::rollback(context, run.run.as_deref(), output.as_deref(), force)
        }
        Verb::Runs => runs::runs(context),
        Verb::Explain { source_id, run } => explain::explain(context, run.as_deref(), &source_id),
        Verb::Report { run, format, output } => report::report(context, run.run.as_deref(), format, output.as_deref()),
        Verb::Audit { verb: AuditVerb::Verify { run, anchor, signature, head, signer, bundle } } => {
            let (anchor, signature, signer) = (anchor.as_ref(), signature.as_deref(), signer.as_deref());
            let against = evidence::Against { anchor, signature, head: head.as_deref(), signer };
            match bundle {
                Some(bundle) => evidence::verify_bundle(context, &bundle, run.run.as_deref(), &against),
                None => evidence::verify(context, run.run.as_deref(), &against),
            }
        }
        Verb::Audit { verb: AuditVerb::Export { run, output, key, all_runs } } => {
            let (run, key) = (run.run.as_deref(), key.as_deref());
            evidence::export(context, &evidence::Exported { run, all_runs, output: &output, key })
        }
        Verb::Audit { verb: AuditVerb::Checker } => evidence::checker(),
        Verb::Audit { verb: AuditVerb::Sign { run, key, output, force } } => {
            evidence::sign(context, run.run.as_deref(), &key, output.as_deref(), force)
        }
        Verb::Doctor { .. } => doctor::doctor(context),
        Verb::Config { verb: ConfigVerb::Show { .. } } => config::show(context),
        Verb::Trust { file, show, forget } => trust::trust(context, &file, show, forget),
        Verb::Sources { verb } => match verb {
            SourcesVerb::List { filter, format, .. } => sources::list(context, &filter, format),
            SourcesVerb::Show { id, .. } => sources::show(context, &id),
            SourcesVerb::Plan { filter, to_state, to_cycle, output, force, .. } => {
                let (state, cycle) = (to_state.as_deref(), to_cycle.as_deref());
                sources::plan(context, &filter, &sources::Wanted { state, cycle, output: output.as_deref(), force })
            }
        },
        Verb::Serve { listen, token_file, no_token, hosts } => {
            let key = serve::KeyArgs { token_file: token_file.as_deref(), no_token };
            serve::serve(context, listen, key, hosts)
        }
        Verb::Sandbox { port, sources, plan, encoding, .. } => {
            let reading = Reading { allow_unknown: true, encoding, ..Reading::default() };
            let estate = plan.map(|plan| sandbox::estate_of(&plan, reading)).transpose()?;
            sandbox::sandbox(context, port, sources, estate)
        }
    }
}

/// Reports an error with its causes and the hint.
fn complain(console: Console, error: &CommandError, here: &Here) {
    let mut text = error.to_string();
    // With `--quiet` the list of problems was not printed.
    if let CommandError::Plan(PlanError::Problems { name, problems }) = error
        && console.quiet
        && let Some(first) = problems.shown().next()
    {
        text.push_str(", such as this: ");
        text.push_str(&first.in_file(name));
    }
    console.fail(&text, &causes(error).collect::<Vec<_>>(), error.hint(here).as_deref());
}

/// Returns the document about an error, with all that [`complain`] reports.
fn failure_of(error: &CommandError, here: &Here) -> Failure {
    let failure = Failure::new(error.exit(), &whole_text(error), error.hint(here).as_deref());
    if let CommandError::Plan(PlanError::Problems { name, problems }) = error {
        return failure.with_problems(name, problems);
    }
    failure
}
