//! Workers that make requests for launches elsewhere, as far as they are heard.

use std::sync::Arc;

use crate::doctor::{Health, Patient};
use crate::exit::Exit;
use crate::hands::{Hands, Worker};
use crate::verb::advice::exit_of_log;
use crate::verb::context::Context;
use crate::verb::engine::is_set;
use crate::wording::amounts::count;
use crate::wording::plain::plain;

/// Difference of clocks from which on times in a journal mean little.
const CLOCKS_APART_MS: u64 = 30_000;

/// Listens to the workers; `None` where none can be heard, with the finding in the second value if something is set.
pub(super) fn workers(context: &Context, exit: &mut Exit) -> (Option<Arc<dyn Hands>>, Option<Patient>) {
    if !is_set(&context.settings) {
        return (None, None);
    }
    let mut patient = Patient::new("workers");
    let hands = match context.logs.hands() {
        Ok(Some(hands)) => hands,
        Ok(None) => return (None, None),
        Err(error) => {
            *exit = exit.worst(exit_of_log(&error));
            let advice = "are the servers up, and is this machine let in?";
            patient.add("servers", Health::Problem, error.to_string(), Some(advice));
            patient.not_checked(&["heard"]);
            return (None, Some(patient));
        }
    };
    patient.ok("servers", "they answer");
    let heard = hands.workers();
    match heard.as_slice() {
        [] => patient.add("heard", Health::Unknown, "none: requests leave from the machine that leads a run", None),
        heard => patient.ok("heard", count(heard.len() as u64, "worker")),
    }
    for worker in &heard {
        tell(&mut patient, worker);
    }
    (Some(hands), Some(patient))
}

fn tell(patient: &mut Patient, worker: &Worker) {
    let targets: Vec<String> = worker.targets.iter().map(|target| plain(&target.name)).collect();
    let (name, version) = (worker.name(), plain(&worker.version));
    let leaves = if worker.is_leaving { ", and leaves" } else { "" };
    let serves = if targets.is_empty() { "nothing".to_owned() } else { targets.join(", ") };
    let found =
        format!("{name} (cutover {version}) serves {serves}{leaves}; its clock is {:+.1} s from here", seconds(worker));
    let apart = worker.ahead_ms.unsigned_abs() > CLOCKS_APART_MS;
    if !worker.is_understood {
        let advice = "use the same version here and there";
        let found = format!("{found}; it speaks protocol {}, and is left alone", worker.protocol);
        patient.add("worker", Health::Warning, found, Some(advice));
    } else if apart {
        patient.add("worker", Health::Warning, found, Some("set both by one source of time (NTP)"));
    } else {
        patient.ok("worker", found);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a difference of clocks, for people")]
fn seconds(worker: &Worker) -> f64 {
    worker.ahead_ms as f64 / 1_000.0
}
