//! Start and end of the process: arguments, settings, the verb, and the failure that it ends with.

use std::any::Any;
use std::ffi::{OsStr, OsString};
use std::io;
use std::panic::{self, AssertUnwindSafe};

use clap::Parser;
use rustix::process::Signal;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::commands::dispatch;
use crate::console::log_file::{LogFile, ReopenSignal};
use crate::console::{self, Console};
use crate::diagnostics::{self, Depth};
use crate::exit::{Exit, ProcessEnd};
use crate::launch::exporting::tell_not_begun;
use crate::launch::signals::end_is_decided;
use crate::plan::error::PlanError;
use crate::report::failure::Failure;
use crate::report::plugin::PluginAnswer;
use crate::settings::Settings;
use crate::settings::error::SettingsError;
use crate::settings::flags::Flags;
use crate::settings::flags::verbs::Verb;
use crate::settings::layers::Layers;
use crate::settings::names::RUN_KEY;
use crate::settings::tips::Misread;
use crate::verb::context::Context;
use crate::verb::engine::logs;
use crate::verb::error::{CommandError, causes, text_without_list, whole_text, whole_text_without_list};
use crate::verb::here::Here;
use crate::verb::notices::Notices;
use crate::wording::sieve::Form;

/// Runs the program on its arguments, the first of which is its name.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ProcessEnd {
    let end = start(args);
    console::flush();
    end
}

fn start(args: impl IntoIterator<Item = OsString>) -> ProcessEnd {
    crate::child::keep_files_of_caller_from_children();
    let reopen = ReopenSignal::take();
    // Without it, a limit is an end without a word at whatever is written next.
    let outlived = outlive_limits();
    crate::memory::keep_to_ourselves();
    let args: Vec<OsString> = args.into_iter().collect();
    console::tell_of_panics(Console::PLAIN);
    let flags = match Flags::try_parse_from(&args) {
        Ok(flags) => flags,
        Err(error) => return misread(&args, &Misread::from_error(&error, &args)),
    };
    let common = &flags.common;
    let of_a_timetable = || common.quiet || flags.verb.has_run_key() || std::env::var_os(RUN_KEY).is_some();
    let mut here = Here::new(&flags.given(), flags.reading(), |name| std::env::var_os(name)).typed_as(&args);
    if flags.verb.launches().is_some() {
        here = here.unattended_if(of_a_timetable);
    }
    let is_plugin = flags.is_plugin();
    let depth = Depth::from_count(common.verbose);
    // Some monitoring systems take standard error for a part of the answer.
    let mut console = Console { quiet: common.quiet || is_plugin, json: common.json, ..Console::PLAIN };
    console::tell_of_panics(console);
    let mut notices = Notices::default();
    // A panic is a bug, and ends with its own exit code.
    let ended = panic::catch_unwind(AssertUnwindSafe(|| {
        let ready = outlived.map_err(CommandError::Start);
        let (layers, settings) = match ready.and_then(|()| prepare(&flags, &mut console, &mut here, reopen)) {
            Ok(both) => both,
            Err(error) => {
                // Nothing is launched, and that is an end as well.
                if let Some((launch, (layers, settings))) = flags.verb.launches().zip(settings_to_tell_by(&flags)) {
                    (notices, _) = Notices::open(launch.name, console, &layers, &settings);
                    tell_not_begun(console, &layers, &settings, launch.plan, error.exit());
                }
                return Err(error);
            }
        };
        console::tell_of_panics(console);
        if depth != Depth::Messages {
            console.queue();
        }
        diagnostics::start(depth, move |diagnostic| console.diagnose(diagnostic));
        console.note(&format!("cutover {}, process {}", env!("CARGO_PKG_VERSION"), std::process::id()));
        layers.warnings().iter().for_each(|warning| console.warn(warning));
        layers.told_of_folder().for_each(|line| console.say(&line));
        if let Some(launch) = flags.verb.launches() {
            let opened;
            (notices, opened) = Notices::open(launch.name, console, &layers, &settings);
            if let Err(error) = opened.map_err(CommandError::from) {
                tell_not_begun(console, &layers, &settings, launch.plan, error.exit());
                return Err(error);
            }
        }
        let (here, logs, notices) = (here.clone(), logs(console, &settings), notices.clone());
        dispatch(&Context { console, settings, layers, here, logs, notices }, flags.verb)
    }));
    let ended = ended.unwrap_or_else(|panic| Err(CommandError::Bug(text_of(panic.as_ref()))));
    let mut exit = match &ended {
        Ok(ProcessEnd::Exit(exit)) => *exit,
        Ok(end @ (ProcessEnd::ToChange | ProcessEnd::Plugin(_))) => return *end,
        Err(error) if is_plugin => return unknown(&whole_text(error)),
        Err(error) => {
            complain(console, error, &here);
            error.exit()
        }
    };
    end_is_decided(exit, &notices);
    if console.quiet && exit != Exit::Done && !console::has_results() && !console::has_failed() {
        // Whoever hears nothing takes it that all is well.
        console.fail(exit.meaning(), &[], None);
    }
    console.note(&format!("ends with {} ({})", exit.code(), exit.name()));
    if console.json && !console::has_results() {
        let failure = match &ended {
            Ok(_) => Failure::plain(exit),
            Err(error) => failure_of(error, &here),
        };
        exit = tell(&failure, exit);
        end_is_decided(exit, &notices);
    }
    let error = ended.as_ref().err();
    let hint = error.and_then(|error| error.hint(&here));
    notices.end(exit, error.map(whole_text_without_list).as_deref(), hint.as_deref());
    ProcessEnd::Exit(exit)
}

/// Answers a monitoring system that nothing can be said. A line that cannot be printed changes nothing about that.
fn unknown(why: &str) -> ProcessEnd {
    let PluginAnswer { state, line } = PluginAnswer::unknown(why);
    _ = console::print(|out| writeln!(out, "{line}"));
    ProcessEnd::Plugin(state)
}

/// Handles arguments that cannot be read, and requests for help or the version.
fn misread(args: &[OsString], misread: &Misread) -> ProcessEnd {
    if misread.is_asked_for() {
        let is_told = console::help(|out| misread.write(out)).is_ok();
        return ProcessEnd::Exit(if is_told { Exit::Done } else { Exit::Internal });
    }
    let failure = Failure::misread(&misread.to_string());
    let asks_for = |is_it: fn(&str) -> bool| {
        args.iter().take_while(|arg| *arg != OsStr::new("--")).filter_map(|arg| arg.to_str()).any(is_it)
    };
    if asks_for(|arg| arg == "status") && asks_for(|arg| arg == "--check") {
        return unknown(&failure.message);
    }
    if asks_for(is_quiet) {
        let console = Console { quiet: true, ..Console::PLAIN };
        console.fail(&failure.message, &[], failure.hint.as_deref());
    } else {
        console::misread(|out| misread.write(out));
    }
    ProcessEnd::Exit(if asks_for(|arg| arg == "--json") { tell(&failure, Exit::Usage) } else { Exit::Usage })
}

/// Tells whether an argument is `--quiet`, or has `-q` among flags of one letter.
fn is_quiet(arg: &str) -> bool {
    let letters = arg.strip_prefix('-').filter(|letters| letters.bytes().all(|letter| b"qv".contains(&letter)));
    arg == "--quiet" || letters.is_some_and(|letters| letters.contains('q'))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").to_owned()
}

/// Prints the document of a failure, for a verb that printed no other. Returns a worse exit if it cannot be printed.
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

/// Reads the settings, and opens the log file that they name.
fn prepare(
    flags: &Flags,
    console: &mut Console,
    here: &mut Here,
    reopen: io::Result<ReopenSignal>,
) -> Result<(Layers, Settings), CommandError> {
    let (layers, settings) = settings(flags)?;
    console.format = settings.log_format;
    if settings.journal_by_service {
        here.name_journal_of_service(&settings.journal);
    }
    settings.outputs(flags.verb.output()).check()?;
    console.log = log_file(&settings, *console, reopen)?;
    Ok((layers, settings))
}

/// Returns settings to tell of the end by, where some cannot be used.
fn settings_to_tell_by(flags: &Flags) -> Option<(Layers, Settings)> {
    let layers = Layers::read_usable(flags.given(), |name| std::env::var_os(name));
    let mut settings = Settings::read(&layers, None).ok()?;
    if !settings.outputs(flags.verb.output()).has_metrics_apart() {
        settings.metrics_file = None;
    }
    Some((layers, settings))
}

/// Takes SIGXFSZ, so that a write past a limit on the size of files is an error like that of a full disk, and not the end of the
/// process. Children have its default again, since a handler is reset on exec.
fn outlive_limits() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let _within = runtime.enter();
    // The handler stays when what listens is dropped.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}

/// Opens the log file, if one is set. Nothing is done without it: who asked for one relies on it.
fn log_file(
    settings: &Settings,
    console: Console,
    reopen: io::Result<ReopenSignal>,
) -> Result<Option<&'static LogFile>, CommandError> {
    let Some(path) = &settings.log_file else { return Ok(None) };
    let failed = |source| CommandError::LogFile { path: path.clone(), source };
    let log: &'static LogFile = Box::leak(Box::new(LogFile::open(path, &settings.journal).map_err(failed)?));
    let console = Console { log: Some(log), ..console };
    let tell = move |error| {
        console.warn_all_the_same(&format!("the log file cannot be opened again ({error}): the last one stays in use"));
    };
    reopen.and_then(|signal| log.reopen_at_signals(signal, tell)).map_err(CommandError::Start)?;
    Ok(Some(log))
}

/// Reports an error with its causes and the hint.
fn complain(console: Console, error: &CommandError, here: &Here) {
    // With `--quiet` the list of problems was not printed, nor the place of a bug.
    let mut text = if console.quiet { text_without_list(error) } else { error.to_string() };
    if console.quiet
        && let Some(panic) = console::first_panic()
    {
        text.extend([" (", panic, ")"]);
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
