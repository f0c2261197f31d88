//! Diagnostics: decisions and requests of a process, told with `-v` and `-vv`, for whoever looks for the reason of what it does. The only
//! room that knows `tracing`.
//!
//! Nothing here is stored but in a log file that somebody asked for: what a later launch depends on is an event, in the journal.
//! While nobody asked, a diagnostic costs the comparison of a level: its text is made by a closure that is not called.

use std::fmt;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Diagnostics that are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// No diagnostics.
    Messages,
    Decisions,
    DecisionsAndRequests,
}

impl Depth {
    /// Returns the depth for this number of `-v`.
    pub(crate) fn from_count(n: u8) -> Self {
        match n {
            0 => Depth::Messages,
            1 => Depth::Decisions,
            _ => Depth::DecisionsAndRequests,
        }
    }

    fn level(self) -> Option<Level> {
        match self {
            Depth::Messages => None,
            Depth::Decisions => Some(Level::DEBUG),
            Depth::DecisionsAndRequests => Some(Level::TRACE),
        }
    }
}

/// Subject of a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiagnosticKind {
    Decision,
    Request,
}

/// Diagnostic that is told.
pub(crate) struct Diagnostic {
    pub(crate) kind: DiagnosticKind,
    pub(crate) text: String,
    /// Source id of the row that it is about.
    pub(crate) row: Option<String>,
    /// Other facts, by name.
    pub(crate) fields: Vec<(&'static str, Value)>,
}

/// Targets of our own events. The HTTP libraries use `tracing` as well, and their events may hold headers: those are never heard.
const DECISION: &str = "cutover::decision";
const REQUEST: &str = "cutover::request";

/// Tells a decision about the process, the run or an account.
pub(crate) fn decided(text: impl FnOnce() -> String) {
    tracing::debug!(target: DECISION, "{}", text());
}

/// Tells a decision about a row, by its source id.
pub(crate) fn decided_of(row: &str, text: impl FnOnce() -> String) {
    tracing::debug!(target: DECISION, row, "{}", text());
}

/// Tells whether requests are told.
pub(crate) fn tells_requests() -> bool {
    tracing::enabled!(target: REQUEST, Level::TRACE)
}

/// Tells whether anything is told.
pub(crate) fn is_on() -> bool {
    LevelFilter::current() >= LevelFilter::DEBUG
}

/// Request on its way.
pub(crate) struct RequestSent<'a> {
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    /// Path and query, without any secret.
    pub(crate) path: &'a str,
    pub(crate) row: Option<&'a str>,
}

/// End of a request.
pub(crate) struct Answered {
    pub(crate) status: Option<u16>,
    pub(crate) request_id: Option<String>,
    /// Reason for which there is no whole answer, without any secret.
    pub(crate) cause: Option<String>,
    pub(crate) took_ms: u64,
}

/// Tells that a request leaves.
pub(crate) fn sends(RequestSent { method, host, path, row }: &RequestSent<'_>) {
    tracing::trace!(target: REQUEST, row, method, host, path, "sends");
}

/// Tells the end of a request.
pub(crate) fn ended(sent: &RequestSent<'_>, answered: &Answered) {
    let RequestSent { method, host, path, row } = sent;
    let Answered { status, request_id, cause, took_ms } = answered;
    let what = if status.is_some() { "was answered" } else { "ended without an answer" };
    tracing::trace!(
        target: REQUEST,
        row,
        method,
        host,
        path,
        status,
        request_id,
        cause,
        took_ms,
        "{what}"
    );
}

/// Passes diagnostics on from here to the end of the process.
pub(crate) fn start(depth: Depth, tell: impl Fn(&Diagnostic) + Send + Sync + 'static) {
    if let Some(least) = depth.level() {
        // Fails where this process hears of diagnostics already.
        _ = tracing::subscriber::set_global_default(Listener { least, tell });
    }
}

/// Receiver of our own events, and of no others.
struct Listener<T> {
    least: Level,
    tell: T,
}

impl<T: Fn(&Diagnostic) + Send + Sync + 'static> Subscriber for Listener<T> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !metadata.is_span() && kind_of(metadata).is_some() && *metadata.level() <= self.least
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.least))
    }

    fn event(&self, event: &Event<'_>) {
        let Some(kind) = kind_of(event.metadata()) else { return };
        let mut diagnostic = Diagnostic { kind, text: String::new(), row: None, fields: Vec::new() };
        event.record(&mut diagnostic);
        (self.tell)(&diagnostic);
    }

    // No span is ever enabled.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn kind_of(metadata: &Metadata<'_>) -> Option<DiagnosticKind> {
    match metadata.target() {
        DECISION => Some(DiagnosticKind::Decision),
        REQUEST => Some(DiagnosticKind::Request),
        _ => None,
    }
}

impl Visit for Diagnostic {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.text = text,
            name => self.fields.push((name, text.into())),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "row" => self.row = Some(value.to_owned()),
            name => self.fields.push((name, value.into())),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), value.into()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Diagnostics that are told at a depth, as kind, row and text with fields.
    fn told(depth: Depth, happens: impl FnOnce()) -> Vec<String> {
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&told);
        let tell = move |Diagnostic { kind, text, row, fields }: &Diagnostic| {
            kept.lock().unwrap().push(format!("{kind:?} {row:?} {text} {fields:?}"));
        };
        let listener = Listener { least: depth.level().unwrap(), tell };
        tracing::subscriber::with_default(listener, happens);
        let told = told.lock().unwrap();
        told.clone()
    }

    fn everything() {
        decided(|| "it goes on".to_owned());
        decided_of("vm-1", || "waits".to_owned());
        let sent = RequestSent { method: "PUT", host: "h", path: "/v3", row: Some("vm-1") };
        let answered = Answered { status: Some(200), request_id: Some("r".to_owned()), cause: None, took_ms: 12 };
        if tells_requests() {
            ended(&sent, &answered);
        }
        tracing::error!(target: "h2::proto", authorization = "secret", "send headers");
    }

    #[test]
    fn each_depth_tells_its_own_and_nothing_of_the_libraries() {
        let decisions = ["Decision None it goes on []", "Decision Some(\"vm-1\") waits []"];
        assert_eq!(told(Depth::Decisions, everything), decisions);
        let request = "Request Some(\"vm-1\") was answered [(\"method\", String(\"PUT\")), (\"host\", String(\"h\")), \
                       (\"path\", String(\"/v3\")), (\"status\", Number(200)), (\"request_id\", String(\"r\")), \
                       (\"took_ms\", Number(12))]";
        assert_eq!(told(Depth::DecisionsAndRequests, everything), [&decisions[..], &[request]].concat());
    }

    #[test]
    fn a_text_that_nobody_asked_for_is_never_made() {
        tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), || {
            decided(|| panic!("nobody hears it"));
        });
        assert_eq!(
            [0, 1, 2, 9].map(Depth::from_count).map(Depth::level).map(|level| level.is_some()),
            [false, true, true, true]
        );
    }
}
