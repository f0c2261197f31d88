//! Known run: all eight verdicts, a row in doubt, one pending, and hostile texts.

use std::sync::OnceLock;

use jiff::Timestamp;

use super::ReportLab;
use crate::control::{self, By, Command, Wait};
use crate::event::kind::EventKind;
use crate::event::lane::{LaneEvent, LaneId};
use crate::event::outcome::{Outcome, StatedQuota};
use crate::event::row::RowEvent;
use crate::event::run::{DrainReason, RunEvent};
use crate::event::verdict::Verdict;
use crate::exit::Exit;
use crate::model::state::{SeenState, TargetState};
use crate::model::words::Word;
use crate::model::{Row, RowId, SourceId};
use crate::waves::hooks::{Hook, HookEnd, HookOrigin};
use crate::waves::{Part, Stage};

pub(crate) fn row(id: u32, source_id: &str) -> Row {
    Row {
        id: RowId(id),
        line: id + 1,
        source_id: SourceId::new(source_id).unwrap(),
        wave: Some(if id <= 6 { "first" } else { "second" }.to_owned()),
        ..Row::first(TargetState {
            copystate: Some(Word::new("finished")),
            migrationcycle: Some(Word::new("cutovered")),
        })
    }
}

fn state(copystate: &str, cycle: &str) -> SeenState {
    SeenState { copystate: Some(Word::new(copystate)), migrationcycle: Some(Word::new(cycle)) }
}

pub(crate) fn seen(row: u32) -> EventKind {
    RowEvent::Seen { seen: Some(state("cutovering", "cutovering")) }.about(RowId(row))
}

pub(crate) fn attempt(row: u32, attempt: u32, outcome: Outcome) -> [EventKind; 2] {
    let sends = TargetState { copystate: Some(Word::new("finished")), migrationcycle: Some(Word::new("cutovered")) };
    let request_id = match outcome {
        Outcome::Lost { status: None, .. } => None,
        _ => Some(format!("req-{row}-{attempt}")),
    };
    [
        RowEvent::AttemptStarted { attempt, sends }.about(RowId(row)),
        RowEvent::AttemptEnded { attempt, outcome, request_id, took_ms: 120, via: None }.about(RowId(row)),
    ]
}

pub(crate) fn settled(row: u32, verdict: Verdict, seen: Option<(&str, &str)>, reason: Option<&str>) -> EventKind {
    let seen = seen.map(|(copystate, cycle)| state(copystate, cycle));
    RowEvent::Settled { verdict, seen, reason: reason.map(str::to_owned), ground: None }.about(RowId(row))
}

pub(crate) const ACCEPTED: Outcome = Outcome::Accepted { status: 200 };

pub(crate) fn lost() -> Outcome {
    Outcome::Lost { status: None, code: None, cause: "no answer within 30 s".into() }
}

/// Text of a hostile service or plan.
const HOSTILE: &str = "=cmd|' /C calc'!A0\n| a | b |\u{1b}[31m\u{202e}drawkcab <script>";

/// Makes the known run: all eight verdicts, one row in doubt, one pending, and hostile texts. Row 2 was settled without a
/// change.
pub(crate) fn night() -> ReportLab {
    // Made once and copied: every event is a commit to disk.
    static NIGHT: OnceLock<Vec<u8>> = OnceLock::new();
    let folder = tempfile::tempdir().unwrap();
    let lab = ReportLab { folder, order: Vec::new() };
    let bytes = NIGHT.get_or_init(|| {
        let told = told_night();
        let copy = told.folder.path().join("copy.db");
        told.raw().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        std::fs::read(copy).unwrap()
    });
    std::fs::write(lab.path(), bytes).unwrap();
    lab
}

fn told_night() -> ReportLab {
    let mut rows: Vec<Row> = [
        "vm-applied",
        "vm-already",
        "vm-unverified",
        "vm-no-effect",
        "vm-overtaken",
        "vm-refused",
        "vm-refused-too",
        "vm-failed",
        "vm-blocked",
        "vm-in-doubt",
        "vm-pending",
        "-vm|it's ☃\u{202e}",
    ]
    .into_iter()
    .zip(1..)
    .map(|(source_id, id)| row(id, source_id))
    .collect();
    rows[0].name = Some("web-01".into());
    rows[0].extra = vec![("owner".into(), "ops".into()), ("verdict".into(), "-1".into())];
    rows[11].name = Some(HOSTILE.into());
    rows[11].note = Some("@SUM(A1)".into());
    rows[11].extra = vec![("=1+1".into(), "+1".into())];
    let mut lab = ReportLab::with(&rows);
    lab.begins();
    tell(&mut lab);
    lab.ends(Exit::NotOnTarget, None);
    lab.at_known_times()
}

/// Returns events about steering in the run's own lane.
fn steering() -> Vec<EventKind> {
    let stage = || Stage { wave_no: 0, wave: Some("pilot".into()), part: Part::Canary };
    let by = |reason: &str| By {
        ask: None,
        user: Some("ada".into()),
        host: "bridge".into(),
        reason: Some(reason.into()),
        via: control::CONTROL.into(),
        who: Box::default(),
    };
    let controlled = |command, reason| RunEvent::Controlled { command, by: by(reason), control: None }.into();
    let release = Command::Release { wave: "pilot".into(), part: Some(Part::Canary) };
    vec![
        RunEvent::WaitBegan { cause: Wait::Approval, stage: stage(), until: Some(Timestamp::UNIX_EPOCH) }.into(),
        controlled(release, "the lead says go"),
        RunEvent::WaitEnded.into(),
        RunEvent::HookRan {
            hook: Hook::BeforeWave,
            from: HookOrigin::Plan,
            wave_no: Some(0),
            wave: Some("pilot".into()),
            end: HookEnd::Exit { code: 0 },
            output: HOSTILE.into(),
            cut: true,
            elapsed_ms: 1_500,
        }
        .into(),
        RunEvent::StageBegan { stage: stage(), rows: 12, forecast: Some("about 12 s (12 s to 42 s)".into()) }.into(),
        controlled(Command::Pause, HOSTILE),
        controlled(Command::Continue, "go on"),
        controlled(Command::Rate { per_second: None }, "no hurry"),
        RunEvent::StageEnded { stage: stage() }.into(),
        RunEvent::DrainBegan { reason: DrainReason::Halted, why: Some("the run: 3 of 9 rows failed".into()) }.into(),
    ]
}

fn tell(lab: &mut ReportLab) {
    let forbidden =
        || Outcome::Rejected { status: 403, code: Some("SMS.0515".into()), message: "no permission".into() };
    let throttled = Outcome::Throttled {
        status: None,
        retry_after_ms: Some(2_000),
        quota: Some(StatedQuota { calls: 60, period_ms: 60_000 }),
        message: "limit:60,time:1 minute".into(),
    };
    let done = Some(("finished", "cutovered"));
    let as_before = Some(("cutovering", "cutovering"));
    let lane = LaneId::FIRST;
    lab.happens(lane, [LaneEvent::ReadThrottled { request_id: Some("req-read".into()), retry_after_ms: None }.into()]);
    for id in (1..=10).filter(|id| *id != 2) {
        lab.happens(lane, [seen(id)]);
    }
    lab.happens(lane, [settled(2, Verdict::Already, done, None)]);
    lab.happens(lane, attempt(1, 1, ACCEPTED));
    lab.happens(lane, [settled(1, Verdict::Applied, done, None)]);
    lab.happens(lane, attempt(3, 1, ACCEPTED));
    lab.happens(lane, [settled(3, Verdict::Unverified, None, Some("no look succeeded: timeout"))]);
    lab.happens(lane, attempt(4, 1, ACCEPTED));
    lab.happens(lane, [settled(4, Verdict::NoEffect, as_before, Some("copystate is still `cutovering`"))]);
    lab.happens(
        lane,
        [settled(5, Verdict::Overtaken, Some(("deleting", "cutovering")), Some("copystate is `deleting`"))],
    );
    for id in [6, 7] {
        lab.happens(lane, attempt(id, 1, forbidden()));
        lab.happens(lane, [settled(id, Verdict::Refused, None, None)]);
    }
    lab.happens(lane, attempt(8, 1, throttled));
    lab.happens(lane, [LaneEvent::QuotaLearned { per_second: 1.0, stated: true }.into()]);
    lab.happens(lane, attempt(8, 2, Outcome::Lost { status: Some(502), code: None, cause: HOSTILE.into() }));
    lab.happens(lane, [seen(8)]);
    lab.happens(lane, attempt(8, 3, lost()));
    lab.happens(lane, [settled(8, Verdict::Failed, as_before, Some("2 attempts used up"))]);
    lab.happens(lane, [settled(9, Verdict::Blocked, as_before, Some("expected `syncing`, seen `cutovering`"))]);
    lab.happens(lane, attempt(10, 1, lost()));
    lab.happens(lane, [RowEvent::Left { cause: "no look succeeded".into() }.about(RowId(10))]);
    lab.happens(lane, [RowEvent::Moved { seen: state("deleting", "cutovered") }.about(RowId(1))]);
    lab.happens(lane, [RowEvent::Seen { seen: None }.about(RowId(12))]);
    lab.happens(lane, [settled(12, Verdict::Blocked, None, Some(HOSTILE))]);
    lab.happens(LaneId::RUN, steering());
}
