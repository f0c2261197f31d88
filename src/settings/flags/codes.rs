//! Exit codes that each verb can end with, as its help lists them. A black-box test holds every verb that it runs to its list.

use crate::exit::Exit::{
    Credentials, Done, Halted, HungUp, Integrity, Internal, Interrupted, Locked, NotOnTarget, Refused, Terminated,
    Unreachable, Usage,
};
use crate::exit::{CodeLine, Exit, plugin_table, table, table_of};

/// A verb that carries a run out: any code.
pub(super) fn of_launches() -> String {
    table()
}

/// A verb that neither opens a journal nor asks a service.
pub(super) fn of_files(done: &'static str) -> String {
    listed(done, &[])
}

/// A verb that reads the plan offline.
pub(super) fn of_check() -> String {
    listed("the plan has no error", &[Integrity])
}

pub(super) fn of_plan() -> String {
    let done = CodeLine::of_verb(Done, "it could answer; with --exit-code, there is nothing to change");
    let to_change = CodeLine::to_change("with --exit-code, there is something to change");
    let errors = lines(&[&ASKING[..], &SIGNALS, &[Refused, Integrity]].concat());
    table_of(TITLE, [done, to_change].into_iter().chain(errors))
}

pub(super) fn of_approve() -> String {
    listed("the plan has this approval", &[Refused, Integrity])
}

pub(super) fn of_rehearse() -> String {
    listed("every row would be on target", &[&ASKING[..], &SIGNALS, &[NotOnTarget, Refused, Integrity]].concat())
}

/// A verb that answers from the journal.
pub(super) fn of_journal() -> String {
    listed("it could answer", &[Integrity])
}

/// A verb that copies a run from the servers of its log.
#[cfg(feature = "cluster")]
pub(super) fn of_collect() -> String {
    listed("the journal has the run as far as it goes", &[Refused, Locked, Integrity, Unreachable])
}

/// A verb that serves until it is told to stop.
#[cfg(feature = "cluster")]
pub(super) fn of_worker() -> String {
    listed(
        "it was told to stop, and what was under way has ended",
        &[&SIGNALS[..], &[Refused, Credentials, Unreachable]].concat(),
    )
}

pub(super) fn of_status() -> String {
    format!("{}\n{}", of_journal(), plugin_table())
}

/// Codes of a verb that may ask the servers of a log.
const SERVERS: &[Exit] = if cfg!(feature = "cluster") { &[Credentials, Unreachable] } else { &[] };

pub(super) fn of_control() -> String {
    listed("the command was taken", &[&[Locked, Integrity], SERVERS].concat())
}

pub(super) fn of_doctor() -> String {
    listed("nothing is wrong", &[&ASKING[..], &[Refused, Integrity]].concat())
}

/// A verb that asks the service for its sources.
pub(super) fn of_sources() -> String {
    listed("it could answer", &ASKING)
}

pub(super) fn of_source() -> String {
    let not_known = CodeLine::of_verb(NotOnTarget, "the service knows no such source");
    table_of(TITLE, [CodeLine::of_verb(Done, "it could answer"), not_known].into_iter().chain(lines(&ASKING)))
}

pub(super) fn of_prune() -> String {
    listed("what was to leave has left; the rest is named", &[Refused, Locked, Integrity])
}

pub(super) fn of_audit() -> String {
    listed("everything is as it was", &[Integrity])
}

const TITLE: &str = "Exit codes";

/// Ends of a verb that asks the service.
const ASKING: [Exit; 3] = [Halted, Credentials, Unreachable];

/// Ends of a verb that awaits what is under way when it is told to stop.
const SIGNALS: [Exit; 3] = [HungUp, Interrupted, Terminated];

fn listed(done: &'static str, others: &[Exit]) -> String {
    table_of(TITLE, [CodeLine::of_verb(Done, done)].into_iter().chain(lines(others)))
}

/// Lines of these exits, and of those of every verb.
fn lines(exits: &[Exit]) -> Vec<CodeLine> {
    exits.iter().copied().chain([Usage, Internal]).map(CodeLine::of_table).collect()
}
