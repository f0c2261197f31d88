//! Seams between the steps of a launch: what each of them has done, and what it leaves when the next one is refused.

use std::path::Path;

use super::open::{Open, Opened};
use super::planned::PlanToLaunch;
use super::ready::Ready;
use super::request::{Consent, LaunchRequest};
use super::unfinished::Unfinished;
use crate::console::Console;
use crate::lock::LockError;
use crate::settings::Settings;
use crate::settings::flags::arguments::{LaunchArgs, PlanArgs, ShowArgs};
use crate::settings::layers::Layers;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::here::Here;
use crate::verb::notices::Notices;

/// Context of a launch at an endpoint, with its journal in a folder, and a plan of one row in the same folder.
pub(super) fn context(folder: &Path, endpoint: &str) -> (Context, PlanArgs) {
    let journal = folder.join("night.db").display().to_string();
    let flags = vec![("endpoint", endpoint.to_owned()), ("journal", journal)];
    let layers = Layers::without_files(flags, |_| None).unwrap();
    let settings = Settings::read(&layers, None).unwrap();
    let console = Console { quiet: true, ..Console::PLAIN };
    let plan = folder.join("plan.csv");
    std::fs::write(&plan, "source_id,copystate\nvm-1,stopped\n").unwrap();
    let args = PlanArgs {
        plan,
        allow_unknown: false,
        allow_empty: false,
        strict: false,
        allow_outside: false,
        encoding: None,
    };
    (Context { console, settings, layers, here: Here::default(), notices: Notices::default() }, args)
}

pub(super) fn args(releases: &[&str]) -> LaunchArgs {
    LaunchArgs {
        yes: true,
        allow_irreversible: false,
        approve: releases.iter().map(|wave| (*wave).to_owned()).collect(),
        report: None,
        show: ShowArgs { events: false, no_progress: true },
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn opened(plan: &PlanToLaunch<'_>) -> Result<Open, CommandError> {
    let ready = Ready::to_send(plan, LaunchRequest::to_send("run", &args(&[])).unwrap()).unwrap();
    match ready.open(&Unfinished::TakenUp)? {
        Opened::ToLaunch(open) => Ok(*open),
        Opened::HasEnded(_) | Opened::WasPruned(..) | Opened::Skipped(..) => panic!("there is a run to launch"),
    }
}

#[test]
fn a_launch_that_is_ready_or_refused_has_made_nothing_and_one_that_is_open_has_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let (context, plan) = context(folder.path(), "sandbox");
    let plan = PlanToLaunch::read(&context, &plan).unwrap();
    let refused = Ready::to_send(&plan, LaunchRequest::to_send("run", &args(&["nowhere"])).unwrap());
    assert!(matches!(refused.err(), Some(CommandError::UnknownWave { .. })));
    let ready = Ready::to_send(&plan, LaunchRequest::to_send("run", &args(&[])).unwrap()).unwrap();
    assert_eq!(names_in(folder.path()), ["plan.csv"]);
    let _open = ready.open(&Unfinished::TakenUp).unwrap();
    assert!(names_in(folder.path()).contains(&"night.db".to_owned()));
}

#[test]
fn an_open_launch_has_its_run_alone_until_it_is_given_up_and_the_next_one_takes_that_up() {
    let folder = tempfile::tempdir().unwrap();
    let (context, plan) = context(folder.path(), "sandbox");
    let plan = PlanToLaunch::read(&context, &plan).unwrap();
    let open = opened(&plan).unwrap();
    let refused = opened(&plan).err();
    assert!(matches!(refused, Some(CommandError::Lock(LockError::Held { .. }))), "{refused:?}");
    let run = open.run().id.clone();
    drop(open);
    let is_lock = |name: &String| Path::new(name).extension().is_some_and(|extension| extension == "lock");
    assert!(!names_in(folder.path()).iter().any(is_lock));
    assert_eq!(opened(&plan).unwrap().run().id, run);
}

#[test]
fn a_launch_that_only_looks_has_its_journal_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (context, plan) = context(folder.path(), "sandbox");
    let plan = PlanToLaunch::read(&context, &plan).unwrap();
    let open = Ready::to_look(&plan, LaunchRequest::new("plan", Consent::OnlyShown)).unwrap().open_apart().unwrap();
    assert_eq!(names_in(folder.path()), ["plan.csv"]);
    drop(open);
}
