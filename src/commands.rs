//! Verbs, a file each, named as it is typed: it wires the parts, runs, and chooses an [`Exit`].

use crate::exit::{Exit, ProcessEnd};
use crate::plan::reading::Reading;
use crate::settings::flags::verbs::{ConfigVerb, Verb};
use crate::verb::context::Context;
use crate::verb::error::CommandError;

mod approve;
mod audit;
mod check;
#[cfg(feature = "cluster")]
mod collect;
mod config;
mod control;
mod doctor;
mod explain;
mod init;
mod journal;
mod plan;
mod reconcile;
mod rehearse;
mod report;
#[cfg(feature = "cluster")]
mod restore_log;
mod resume;
mod retry;
mod rollback;
mod run;
mod runs;
mod sandbox;
mod serve;
mod sources;
#[cfg(feature = "cluster")]
mod stand_by;
mod status;
mod trust;
#[cfg(feature = "cluster")]
mod worker;

/// Carries out one verb.
pub(crate) fn dispatch(context: &Context, verb: Verb) -> Result<ProcessEnd, CommandError> {
    let exit = match verb {
        Verb::Init { dir } => init::init(context, &dir),
        Verb::Check { plan, .. } => check::check(context, &plan),
        Verb::Plan { plan, output, name, force, exit_code, .. } => {
            let seal = output.as_deref().map(|path| plan::sealing::SealTo { path, name: name.as_deref(), force });
            let n_changes = plan::plan(context, &plan, seal.as_ref())?;
            return Ok(if exit_code && n_changes > 0 { ProcessEnd::ToChange } else { ProcessEnd::Exit(Exit::Done) });
        }
        Verb::Run { plan, launch, new, run_key, dry_run: true, .. } => {
            run::dry_run(context, &plan, &launch, run::RunChoice { new, run_key })
        }
        Verb::Approve { file, name, key } => approve::approve(context, &file, &name, key.as_deref()),
        Verb::Run { plan, launch, new, run_key, dry_run: false, .. } => {
            run::run(context, &plan, &launch, run::RunChoice { new, run_key })
        }
        #[cfg(feature = "cluster")]
        Verb::Resume { run, launch, standby: true, .. } => stand_by::stand_by(context, run.run.as_deref(), &launch),
        #[cfg(feature = "cluster")]
        Verb::Resume { run, launch, restore_log: true, .. } => {
            restore_log::restore_log(context, run.run.as_deref(), &launch)
        }
        Verb::Resume { run, launch, .. } => resume::resume(context, run.run.as_deref(), &launch),
        Verb::Retry { run, selection, launch, .. } => retry::retry(context, run.run.as_deref(), &selection, &launch),
        Verb::Reconcile { run, show, .. } => reconcile::reconcile(context, run.run.as_deref(), &show),
        Verb::Status { run, check: true, .. } => {
            return status::check(context, run.run.as_deref()).map(ProcessEnd::Plugin);
        }
        Verb::Status { run, watch, if_stopped, check: false } => {
            status::status(context, run.run.as_deref(), watch, if_stopped)
        }
        Verb::Rehearse { plan, from_live, .. } => rehearse::rehearse(context, &plan, from_live),
        Verb::Control { words, reason, .. } => control::control(context, &words, reason.as_deref()),
        Verb::Rollback { run, output, force } => {
            rollback::rollback(context, run.run.as_deref(), output.as_deref(), force)
        }
        #[cfg(feature = "cluster")]
        Verb::Worker { targets, .. } => worker::worker(context, &targets),
        #[cfg(feature = "cluster")]
        Verb::Collect { run, .. } => collect::collect(context, &run),
        Verb::Runs { runs, .. } => runs::runs(context, &runs),
        Verb::Explain { source_id, run } => explain::explain(context, run.as_deref(), &source_id),
        Verb::Report { run, format, output } => report::report(context, run.run.as_deref(), format, output.as_deref()),
        Verb::Audit { verb } => audit::audit(context, verb),
        Verb::Journal { verb } => journal::journal(context, &verb),
        Verb::Doctor { notify, .. } => {
            let tests = if notify { doctor::Tests::Sent } else { doctor::Tests::NotSent };
            doctor::doctor(context, tests)
        }
        Verb::Config { verb: ConfigVerb::Show { .. } } => config::show(context),
        Verb::Trust { file, forget: true, .. } => trust::forget(context, &file),
        Verb::Trust { file, show, forget: false } => {
            let aim = if show { trust::candidate::Aim::Show } else { trust::candidate::Aim::Trust };
            trust::trust(context, &file, aim)
        }
        Verb::Sources { verb } => sources::sources(context, verb),
        Verb::Serve { listen, token_file, no_token, hosts } => {
            let key = serve::KeyArgs { token_file: token_file.as_deref(), no_token };
            serve::serve(context, listen, key, hosts)
        }
        Verb::Sandbox { port, sources, plan, encoding, .. } => {
            let reading = Reading { allow_unknown: true, encoding, ..Reading::default() };
            let estate = plan.map(|plan| sandbox::estate_of(&plan, reading)).transpose()?;
            sandbox::sandbox(context, port, sources, estate)
        }
    };
    exit.map(ProcessEnd::Exit)
}
