//! Sentences for events: what happened to a row or to a run, moment by moment, for the terminal and for browsers alike.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::next::flags::flags;
use crate::control::waits_for;
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::lane::{CoolDownCause, LaneEvent};
use crate::event::outcome::Outcome;
use crate::event::row::RowEvent;
use crate::event::run::{DrainReason, RunEvent};
use crate::wording::amounts::{count, duration};
use crate::wording::plain::plain;
use crate::wording::times::time;

/// An event, as stories tell it.
#[derive(Serialize)]
pub(crate) struct Moment<'a> {
    lane: u32,
    seq: u64,
    #[serde(serialize_with = "in_document")]
    pub(crate) at: Timestamp,
    /// Milliseconds since the event before; negative where the clock was set back in between, `None` for the first.
    gap_ms: Option<i64>,
    #[serde(flatten)]
    kind: &'a EventKind,
}

/// Pairs each event with the time since the one before it.
pub(crate) fn told(events: &[Event]) -> impl Iterator<Item = Moment<'_>> {
    let mut before: Option<Timestamp> = None;
    events.iter().map(move |event| {
        let gap_ms = before.map(|before| event.at.as_millisecond() - before.as_millisecond());
        before = Some(event.at);
        Moment { lane: event.lane.0, seq: event.seq, at: event.at, gap_ms, kind: &event.kind }
    })
}

fn in_document<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time(*at))
}

impl Moment<'_> {
    /// Returns the time in UTC.
    pub(crate) fn time(&self) -> String {
        time(self.at)
    }

    /// Returns the time since the event before, such as `+0.250 s`; nothing for the first.
    pub(crate) fn gap(&self) -> String {
        self.gap_ms.map_or_else(String::new, since)
    }

    pub(crate) fn sentence(&self) -> String {
        sentence(self.kind)
    }

    /// Returns what belongs to the event, one line each.
    pub(crate) fn details(&self) -> Vec<String> {
        details(self.kind)
    }
}

fn since(gap_ms: i64) -> String {
    let sign = if gap_ms < 0 { '-' } else { '+' };
    format!("{sign}{}", duration(gap_ms.unsigned_abs()))
}

/// Returns what happened in one sentence, fit to be shown.
pub(crate) fn sentence(kind: &EventKind) -> String {
    plain(&match kind {
        EventKind::Row(_, event) => of_row(event),
        EventKind::Lane(event) => of_lane(event),
        EventKind::Run(event) => of_run(event),
    })
}

fn of_row(event: &RowEvent) -> String {
    match event {
        RowEvent::Seen { seen: Some(seen) } => format!("a look shows {seen}"),
        RowEvent::Seen { seen: None } => "a look: the service does not know this source".to_owned(),
        RowEvent::Moved { seen } => format!("a read made for others shows {seen}: somebody else moved it"),
        RowEvent::AttemptStarted { attempt, sends } => format!("attempt {attempt} begins: {sends}"),
        RowEvent::AttemptEnded { attempt, outcome, .. } => format!("attempt {attempt}: {outcome}"),
        RowEvent::Settled { verdict, seen: Some(seen), .. } => format!("settled: {verdict}, a look shows {seen}"),
        RowEvent::Settled { verdict, seen: None, .. } => format!("settled: {verdict}"),
        RowEvent::Left { cause } => format!("left for later: {cause}"),
        RowEvent::Reopened { cause } => format!("opened again: {cause}"),
    }
}

fn of_lane(event: &LaneEvent) -> String {
    match event {
        LaneEvent::QuotaLearned { per_second, stated: true } => {
            format!("the service says that it takes {per_second:.2} requests a second")
        }
        LaneEvent::QuotaLearned { per_second, stated: false } => {
            format!("found by trying: {per_second:.2} requests a second")
        }
        LaneEvent::ReadThrottled { .. } => "a read met the quota".to_owned(),
        LaneEvent::CoolDownBegan { wait_ms, cause } => {
            let why = match cause {
                CoolDownCause::Throttled => "throttled",
                CoolDownCause::OtherRun => "throttled in another run",
            };
            format!("nothing is sent for {}: {why}", duration(*wait_ms))
        }
        LaneEvent::Served { via: Some(via) } => format!("worker {} makes the requests of this account", plain(via)),
        LaneEvent::Served { via: None } => "no worker that serves this account is heard: it waits".to_owned(),
        LaneEvent::Stopped { message, .. } => format!("nothing more is sent for this account: {message}"),
    }
}

fn of_run(event: &RunEvent) -> String {
    match event {
        RunEvent::Started { plan, rows, run_key, .. } => {
            let run_key = run_key.as_ref().map_or_else(String::new, |run_key| format!(", key `{run_key}`"));
            format!("the run is made: {}, plan {plan}{run_key}", count(u64::from(*rows), "row"))
        }
        RunEvent::LaunchBegan { launch, verb, pid, host, user, who, version, given, cut_off_ms: _ } => {
            let person = who.told(user.as_deref(), host);
            let given = if given.is_empty() { String::new() } else { format!(", given{}", flags(given)) };
            format!("launch {launch} begins: `{verb}` by {person}, process {pid}, cutover {version}{given}")
        }
        RunEvent::DrainBegan { reason, why } => {
            let why = why.as_deref().map_or_else(String::new, |why| format!(": {why}"));
            format!("draining, no new requests: {}{why}", drained(*reason))
        }
        RunEvent::StageBegan { stage, rows, forecast } => {
            let forecast = forecast.as_deref().map_or_else(String::new, |forecast| format!(", {forecast}"));
            format!("{stage} begins: {}{forecast}", count(*rows, "row"))
        }
        RunEvent::StageEnded { stage } => format!("{stage} is done"),
        RunEvent::WaitBegan { cause, stage, until } => format!("waits {}", waits_for(*cause, stage, *until, None)),
        RunEvent::WaitEnded => "the wait is over".to_owned(),
        RunEvent::Controlled { command, by, .. } => format!("{command}, by {by}"),
        RunEvent::HookRan { hook, from, wave, end, elapsed_ms, wave_no: _, output: _, cut: _ } => {
            let wave = wave.as_deref().map_or_else(String::new, |wave| format!(" for wave `{wave}`"));
            format!("the hook {hook} of {from}{wave} {end}, after {}", duration(*elapsed_ms))
        }
        RunEvent::LaunchEnded { exit, reason, elapsed_ms, refusal: _ } => {
            let reason = reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
            let (took, code) = (duration(*elapsed_ms), exit.code());
            format!("the launch ends after {took} with {code} ({}){reason}", exit.name())
        }
    }
}

fn drained(reason: DrainReason) -> &'static str {
    match reason {
        DrainReason::Interrupted => "interrupted by hand",
        DrainReason::Terminated => "terminated by a signal",
        DrainReason::HungUp => "the terminal hung up",
        DrainReason::JournalGone => "the journal is no longer where it was",
        DrainReason::JournalClosed => "the journal takes no more",
        DrainReason::Panicked => "a bug",
        DrainReason::Halted => "more failed than the plan puts up with",
        DrainReason::StageLeft => "rows of a wave are left",
        DrainReason::Window => "the time is over",
        DrainReason::TooLong => "it would not end in time",
        DrainReason::Unapproved => "nobody released it in time",
        DrainReason::Vetoed => "a hook said no",
        DrainReason::NotBegun => "it could not begin in time",
        DrainReason::Operator => "somebody said so",
    }
}

fn details(kind: &EventKind) -> Vec<String> {
    if let EventKind::Row(_, RowEvent::AttemptEnded { outcome, request_id, took_ms, via, .. }) = kind {
        let request =
            request_id.as_deref().map_or_else(|| "no request id".to_owned(), |id| format!("request id {}", plain(id)));
        let by = via.as_deref().map_or_else(String::new, |via| format!(", by worker {}", plain(via)));
        let mut details = vec![format!("{request}, took {}{by}", duration(*took_ms))];
        details.extend(asked_to_wait(outcome));
        return details;
    }
    if let EventKind::Run(RunEvent::HookRan { output, cut, .. }) = kind {
        let more = cut.then(|| "… and more that is not kept".to_owned());
        return output.lines().map(plain).chain(more).collect();
    }
    if let EventKind::Row(_, RowEvent::Settled { reason: Some(reason), .. }) = kind {
        vec![plain(reason)]
    } else {
        Vec::new()
    }
}

fn asked_to_wait(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Throttled { retry_after_ms: Some(ms), .. } => {
            Some(format!("the service asked to wait {}", duration(*ms)))
        }
        Outcome::Throttled { retry_after_ms: None, .. }
        | Outcome::Accepted { .. }
        | Outcome::Rejected { .. }
        | Outcome::Unauthenticated { .. }
        | Outcome::Barred { .. }
        | Outcome::Unsent { .. }
        | Outcome::Disclaimed { .. }
        | Outcome::Lost { .. } => None,
    }
}
