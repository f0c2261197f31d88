//! Large journal as a long run leaves it: real events, chained by the journal itself, the same for the same seed. Only the
//! time of making it differs.

use std::error::Error;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use cutover::digest::Digester;
use cutover::event::kind::EventKind;
use cutover::event::lane::LaneId;
use cutover::event::outcome::{Outcome, StatedQuota};
use cutover::event::row::RowEvent;
use cutover::event::run::RunEvent;
use cutover::event::verdict::Verdict;
use cutover::exit::Exit;
use cutover::journal::new_run::{NewLane, NewRun};
use cutover::journal::{Journal, JournalError, RunKey};
use cutover::model::state::{SeenState, TargetState};
use cutover::model::words::Word;
use cutover::model::{Row, RowId, SourceId};
use cutover::waves::{Part, Stage, Terms};
use jiff::Timestamp;

use crate::dice::Dice;

/// Version of the content. It is raised with every change, so that no journal of an earlier version is used.
const EDITION: u32 = 2;
/// Rows whose events are in one transaction.
const WINDOW: u32 = 2_000;
/// Calls that are open at the same time.
const OPEN: usize = 8;
const FIRST_AT_MS: i64 = 1_795_428_000_000;
const ACCOUNTS: [&str; 2] = ["north", "south"];
const WAVES: [&str; 5] = ["pilot", "lab", "branches", "plants", "core"];

/// A finished journal.
pub(crate) struct Night {
    pub(crate) path: PathBuf,
    pub(crate) n_rows: u32,
    pub(crate) n_events: u64,
    pub(crate) n_bytes: u64,
    pub(crate) seed: u64,
}

/// Returns the journal that an earlier call left, if it has this size and seed and was finished; otherwise makes it.
pub(crate) fn made_in(folder: &Path, n_rows: u32, seed: u64) -> Result<Night, Box<dyn Error>> {
    let path = folder.join(format!("{}.db", id(n_rows, seed)));
    if !path.exists() {
        // In a folder of its own, so that nothing remains of one that was cut off.
        let part = tempfile::tempdir_in(folder)?;
        let part_path = part.path().join("night.db");
        make(&part_path, n_rows, seed)?;
        std::fs::rename(&part_path, &path)?;
    }
    let journal = Journal::open_to_read(&path)?;
    let run = journal.find_run(&id(n_rows, seed))?;
    let n_events = journal.heads(run.key)?.iter().map(|(_, seq, _)| seq).sum();
    if run.n_rows != n_rows || run.exit_code.is_none() {
        return Err(format!("`{}` is not what this program makes: remove it", path.display()).into());
    }
    let n_bytes = path.metadata()?.len();
    Ok(Night { path, n_rows, n_events, n_bytes, seed })
}

fn id(n_rows: u32, seed: u64) -> String {
    format!("night-{EDITION}-{n_rows}-{seed}")
}

fn make(path: &Path, n_rows: u32, seed: u64) -> Result<(), Box<dyn Error>> {
    let mut journal = Journal::open(path)?;
    let mut digester = Digester::new();
    (1..=n_rows).try_for_each(|n| row(n, n_rows).map(|row| _ = digester.row(&row)))?;
    let digest = digester.finish().to_string();
    let lanes = ACCOUNTS.map(|name| NewLane {
        name: name.to_owned(),
        endpoint: "https://sms.example.com".to_owned(),
        account: name.to_owned(),
        takes_unnamed: false,
    });
    let new = NewRun {
        id: &id(n_rows, seed),
        made_at: Timestamp::from_millisecond(FIRST_AT_MS)?,
        plan_path: "night.csv",
        plan_digest: &digest,
        n_rows,
        lanes: &lanes,
        settings: &serde_json::json!({"rate": 10, "concurrency": OPEN}),
        given: std::collections::BTreeMap::new(),
        terms: &Terms::default(),
        run_key: None,
    };
    let made = journal.create_run(&new, |sink| {
        (1..=n_rows).try_for_each(|n| Ok::<(), Box<dyn Error>>(sink.row(&row(n, n_rows)?, None)?))
    })?;
    let mut writer = Writer { journal, key: made.run, dice: Dice(seed), at_ms: FIRST_AT_MS };
    writer.own([launched()])?;
    writer.rows(n_rows)?;
    let elapsed_ms = u64::try_from(writer.at_ms - FIRST_AT_MS)?;
    writer.own([RunEvent::LaunchEnded { exit: Exit::NotOnTarget, reason: None, elapsed_ms, refusal: None }.into()])?;
    Ok(())
}

fn row(n: u32, n_rows: u32) -> Result<Row, Box<dyn Error>> {
    let wave = wave_of(n, n_rows);
    Ok(Row {
        id: RowId(n),
        line: n + 1,
        file: None,
        source_id: SourceId::new(&format!("{n:08x}-5a1e-4c3d-9e21-{:012x}", u64::from(n) * 0x9e37))?,
        wants: target(),
        expects: TargetState::default(),
        wave: Some(wave.to_owned()),
        account: Some(ACCOUNTS[account_of(n)].to_owned()),
        name: Some(format!("erp-{wave}-{:05}", n % 100_000)),
        note: n.is_multiple_of(50).then(|| "moved by hand once, ask first".to_owned()),
        extra: vec![("owner".to_owned(), format!("team-{}", n % 40))],
    })
}

/// Returns the last row of each wave. The first waves are small.
fn ends(n_rows: u32) -> [u32; WAVES.len()] {
    [100, 20, 5, 2, 1].map(|part| n_rows.div_ceil(part))
}

fn wave_of(n: u32, n_rows: u32) -> &'static str {
    let wave = ends(n_rows).iter().position(|end| n <= *end).expect("the last wave ends with the last row");
    WAVES[wave]
}

/// Returns the account of a row: two of three rows go to the first.
fn account_of(n: u32) -> usize {
    usize::from(n.is_multiple_of(3))
}

/// Returns the lane of a row. The first lane is the run's own.
fn lane_of(n: u32) -> LaneId {
    LaneId(if account_of(n) == 0 { 1 } else { 2 })
}

fn target() -> TargetState {
    TargetState { copystate: Some(Word::new("finished")), migrationcycle: Some(Word::new("cutovered")) }
}

fn state(copystate: &str, cycle: &str) -> SeenState {
    SeenState { copystate: Some(Word::new(copystate)), migrationcycle: Some(Word::new(cycle)) }
}

fn launched() -> EventKind {
    RunEvent::LaunchBegan {
        launch: 1,
        verb: "run".into(),
        pid: 4711,
        host: "bridge".into(),
        user: Some("ops".into()),
        who: cutover::whoami::Who::default(),
        version: env!("CARGO_PKG_VERSION").into(),
        given: [].into(),
        cut_off_ms: 0,
    }
    .into()
}

/// Course of a row, decided before anything happens to it.
enum Fate {
    Healthy,
    Already,
    Refused,
    Throttled,
    Lost,
}

impl Fate {
    /// Draws the course of a row; they average four events.
    fn drawn(dice: &mut Dice) -> Self {
        match dice.below(100) {
            0..=1 => Fate::Throttled,
            2 => Fate::Lost,
            3..=4 => Fate::Already,
            5 => Fate::Refused,
            _ => Fate::Healthy,
        }
    }
}

struct Writer {
    journal: Journal,
    key: RunKey,
    dice: Dice,
    at_ms: i64,
}

impl Writer {
    fn own(&mut self, kinds: impl IntoIterator<Item = EventKind>) -> Result<(), JournalError> {
        self.append(kinds.into_iter().map(|kind| (LaneId::RUN, kind)).collect())
    }

    fn append(&mut self, kinds: Vec<(LaneId, EventKind)>) -> Result<(), JournalError> {
        let (dice, at_ms) = (&mut self.dice, &mut self.at_ms);
        let timed = kinds.into_iter().map(|(lane, kind)| {
            *at_ms += 1 + i64::from(dice.below(20));
            (lane, Timestamp::from_millisecond(*at_ms).ok(), kind)
        });
        self.journal.append_at(self.key, timed).map(drop)
    }

    fn rows(&mut self, n_rows: u32) -> Result<(), JournalError> {
        let mut first = 1;
        for (wave_no, (wave, last)) in (0..).zip(WAVES.into_iter().zip(ends(n_rows))) {
            let stage = || Stage { wave_no, wave: Some(wave.to_owned()), part: Part::Rest };
            let rows = u64::from((last + 1).saturating_sub(first));
            self.own([RunEvent::StageBegan { stage: stage(), rows, forecast: None }.into()])?;
            while first <= last {
                let until = last.min(first + WINDOW - 1);
                let events = self.window(first..=until);
                self.append(events)?;
                first = until + 1;
            }
            self.own([RunEvent::StageEnded { stage: stage() }.into()])?;
        }
        Ok(())
    }

    /// Makes the events of rows that are looked at together, sent some at a time, and proven together.
    fn window(&mut self, rows: RangeInclusive<u32>) -> Vec<(LaneId, EventKind)> {
        let fates: Vec<(u32, Fate)> = rows.map(|n| (n, Fate::drawn(&mut self.dice))).collect();
        let mut events = Vec::new();
        for (n, fate) in &fates {
            let kind = match fate {
                Fate::Already => settled(*n, Verdict::Already, Some(done())),
                Fate::Healthy | Fate::Refused | Fate::Throttled | Fate::Lost => seen(*n),
            };
            events.push((lane_of(*n), kind));
        }
        let sent: Vec<&(u32, Fate)> = fates.iter().filter(|(_, fate)| !matches!(fate, Fate::Already)).collect();
        for open in sent.chunks(OPEN) {
            events.extend(open.iter().map(|(n, _)| (lane_of(*n), started(*n, 1))));
            for (n, fate) in open {
                events.extend(self.answered(*n, fate).into_iter().map(|kind| (lane_of(*n), kind)));
            }
        }
        for (n, fate) in sent {
            let kind = match fate {
                Fate::Refused => settled(*n, Verdict::Refused, None),
                Fate::Healthy | Fate::Already | Fate::Throttled | Fate::Lost => {
                    settled(*n, Verdict::Applied, Some(done()))
                }
            };
            events.push((lane_of(*n), kind));
        }
        events
    }

    fn answered(&mut self, n: u32, fate: &Fate) -> Vec<EventKind> {
        let accepted = Outcome::Accepted { status: 200 };
        match fate {
            Fate::Healthy | Fate::Already => vec![self.ended(n, 1, accepted)],
            Fate::Refused => {
                let message = "You do not have permission to perform this operation.".to_owned();
                let no = Outcome::Rejected { status: 403, code: Some("SMS.0515".into()), message };
                vec![self.ended(n, 1, no)]
            }
            Fate::Throttled => {
                let wait = Outcome::Throttled {
                    status: None,
                    retry_after_ms: Some(2_000),
                    quota: Some(StatedQuota { calls: 60, period_ms: 60_000 }),
                    message: "Throttled: limit:60,time:1 minute".into(),
                };
                vec![self.ended(n, 1, wait), started(n, 2), self.ended(n, 2, accepted)]
            }
            Fate::Lost => {
                let lost = Outcome::Lost { status: Some(502), code: None, cause: "the answer was 502".into() };
                vec![self.ended(n, 1, lost), seen(n), started(n, 2), self.ended(n, 2, accepted)]
            }
        }
    }

    fn ended(&mut self, n: u32, attempt: u32, outcome: Outcome) -> EventKind {
        let request_id = Some(format!("{:016x}{:016x}", self.dice.roll(), self.dice.roll()));
        let took_ms = u64::from(20 + self.dice.below(200));
        RowEvent::AttemptEnded { attempt, outcome, request_id, took_ms, via: None }.about(RowId(n))
    }
}

fn seen(n: u32) -> EventKind {
    RowEvent::Seen { seen: Some(state("cutovering", "cutovering")) }.about(RowId(n))
}

fn started(n: u32, attempt: u32) -> EventKind {
    RowEvent::AttemptStarted { attempt, sends: target() }.about(RowId(n))
}

fn settled(n: u32, verdict: Verdict, seen: Option<SeenState>) -> EventKind {
    RowEvent::Settled { verdict, seen, reason: None, ground: None }.about(RowId(n))
}

fn done() -> SeenState {
    state("finished", "cutovered")
}
