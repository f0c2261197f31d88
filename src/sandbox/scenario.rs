//! Scenario of a sandbox: latency, quota, faults, and moves of servers by others.
//!
//! A scenario is written in TOML. Every source draws at most one fault for its changes and one for its reads, by its id and the
//! seed: the same seed gives the same faults, in whatever order requests come. Every word of the language is explained in
//! `scenarios/commented.toml`.

use std::time::Duration;

use serde::Deserialize;

use crate::model::state::TargetState;
use crate::model::words::Word;
use crate::texts;

/// One valid scenario: shares add up to at most the whole estate, and each fault has what its kind needs.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub(super) edition: ApiEdition,
    pub(super) latency_us: (u64, u64),
    /// Age of the state that reads show, in microseconds.
    pub(super) stale_us: u64,
    pub(super) token_lives_us: Option<u64>,
    pub(super) quota: Option<QuotaRule>,
    pub(super) faults: Vec<Fault>,
    pub(super) moves: Vec<Move>,
    pub(super) agents: Vec<Agent>,
    pub(super) overrides: Vec<Override>,
}

#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    #[error("the scenario does not read as one: {0}")]
    Syntax(String),
    #[error("`[[{table}]]` number {n}: {problem}")]
    Entry { table: &'static str, n: usize, problem: &'static str },
    #[error("{0}")]
    Whole(&'static str),
}

/// Edition of the API documentation that the sandbox follows.
///
/// source: intl api-sms/UpdateCopyState.html (2025-11-27: both fields optional), CN api-sms/UpdateCopyState.html
/// (2026-01-27: both mandatory).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum ApiEdition {
    #[serde(rename = "2025-11")]
    Y2025M11,
    #[default]
    #[serde(rename = "2026-01")]
    Y2026M01,
}

#[derive(Clone, Debug)]
pub(super) struct QuotaRule {
    pub(super) limit: usize,
    pub(super) period: Duration,
    /// True if the limit is named in the text of the 429.
    pub(super) stated: bool,
    pub(super) retry_after: bool,
    pub(super) applies_to: AppliesTo,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AppliesTo {
    #[default]
    All,
    Changes,
    Reads,
}

#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) strikes: Strikes,
    pub(super) kind: FaultKind,
    /// Number of requests of one source that it hits; `None` for every one.
    pub(super) times: Option<u32>,
    pub(super) on: On,
}

#[derive(Clone, Debug)]
pub(super) enum Strikes {
    Share(f64),
    Named(Vec<String>),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum On {
    #[default]
    Change,
    Read,
    /// Reads of collections only.
    List,
}

#[derive(Clone, Debug)]
pub(super) enum FaultKind {
    Status(FailureAnswer),
    ResetBefore,
    ResetAfter,
    HangBefore,
    HangAfter,
    /// Answers 200 without a change.
    Silent,
    Forbidden,
    Unknown,
    Redirect {
        effect: bool,
    },
    Garbage {
        effect: bool,
    },
    /// Answers 200 at once, with an effect that shows later.
    SlowEffect {
        after_us: u64,
    },
}

/// An answer that refuses, in one of the shapes that occur.
#[derive(Clone, Debug)]
pub(super) struct FailureAnswer {
    pub(super) status: u16,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) body: BodyShape,
    /// True if the change is made nevertheless.
    pub(super) effect: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BodyShape {
    #[default]
    Json,
    Html,
    Empty,
    Huge,
    Text,
    /// `{"error": {"code": 403, …}}`: the code is a number.
    Iam,
    /// `{"error": {"error_code": …}}`
    Nested,
    /// `{"errorCode": …, "errorMsg": …}`
    AltCode,
}

/// Move of a server by somebody else.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub(super) source: String,
    pub(super) to: TargetState,
    pub(super) when: When,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    /// Microseconds after the source's first change took effect.
    AfterFirstChange(u64),
    SinceStart(u64),
}

/// Move of a server by its own agent, some time after it reached a state.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub(super) from: Word,
    pub(super) to: TargetState,
    pub(super) after_us: u64,
}

/// State of a source that takes precedence over the estate.
#[derive(Clone, Debug)]
pub(super) struct Override {
    pub(super) id: String,
    pub(super) state: TargetState,
    pub(super) missing: bool,
}

impl Scenario {
    pub const NAMES: [&str; 3] = ["calm", "busy", "bad-night"];

    /// Returns one of the built-in scenarios.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let text = match name {
            "calm" => include_str!("scenarios/calm.toml"),
            "busy" => include_str!("scenarios/busy.toml"),
            "bad-night" => include_str!("scenarios/bad-night.toml"),
            _ => return None,
        };
        Some(Self::parse(text).expect("a test reads every built-in scenario"))
    }

    /// Drops the overrides of sources that an earlier launch left: they stay where they are.
    pub(crate) fn goes_on(&mut self, is_left: impl Fn(&str) -> bool) {
        self.overrides.retain(|begins| !is_left(&begins.id));
    }

    pub fn parse(toml: &str) -> Result<Self, ScenarioError> {
        let written: Written =
            toml::from_str(toml).map_err(|error| ScenarioError::Syntax(texts::not_toml(toml, &error)))?;
        if written.latency_ms.0 > written.latency_ms.1 {
            return Err(ScenarioError::Whole("`latency_ms` is `[least, most]`"));
        }
        let faults = numbered("fault", written.fault, FaultWritten::read)?;
        for on in [On::Change, On::Read, On::List] {
            if total_share(&faults, on) > 1.0 + 1e-9 {
                return Err(ScenarioError::Whole("the shares of the faults add up to more than the estate"));
            }
        }
        Ok(Self {
            edition: written.edition,
            latency_us: (micros(written.latency_ms.0), micros(written.latency_ms.1)),
            stale_us: micros(written.stale_reads_ms),
            token_lives_us: (written.token_expires_after_ms > 0).then_some(micros(written.token_expires_after_ms)),
            quota: written.quota.map(QuotaWritten::read).transpose().map_err(ScenarioError::Whole)?,
            faults,
            moves: numbered("moved", written.moved, MoveWritten::read)?,
            agents: numbered("agent", written.agent, AgentWritten::read)?,
            overrides: numbered("source", written.source, OverrideWritten::read)?,
        })
    }
}

impl FaultKind {
    /// Returns the name in scenarios and in the ledger.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::ResetBefore => "reset_before",
            Self::ResetAfter => "reset_after",
            Self::HangBefore => "hang_before",
            Self::HangAfter => "hang_after",
            Self::Silent => "silent",
            Self::Forbidden => "forbidden",
            Self::Unknown => "unknown",
            Self::Redirect { .. } => "redirect",
            Self::Garbage { .. } => "garbage",
            Self::SlowEffect { .. } => "slow_effect",
        }
    }
}

/// Converts milliseconds to microseconds; a number beyond the clock's range means never.
fn micros(ms: u64) -> u64 {
    ms.saturating_mul(1000)
}

fn total_share(faults: &[Fault], on: On) -> f64 {
    let share = |fault: &Fault| match &fault.strikes {
        Strikes::Share(share) => *share,
        Strikes::Named(_) => 0.0,
    };
    faults.iter().filter(|fault| fault.on == on).map(share).sum()
}

/// Reads each entry of an array of tables; an error names the first invalid one by its number.
fn numbered<W, T>(
    table: &'static str,
    written: Vec<W>,
    read: fn(W) -> Result<T, &'static str>,
) -> Result<Vec<T>, ScenarioError> {
    let read_one =
        |(i, entry): (usize, W)| read(entry).map_err(|problem| ScenarioError::Entry { table, n: i + 1, problem });
    written.into_iter().enumerate().map(read_one).collect()
}

/// A scenario as it is written in the file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    edition: ApiEdition,
    latency_ms: (u64, u64),
    stale_reads_ms: u64,
    token_expires_after_ms: u64,
    quota: Option<QuotaWritten>,
    fault: Vec<FaultWritten>,
    moved: Vec<MoveWritten>,
    agent: Vec<AgentWritten>,
    source: Vec<OverrideWritten>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaWritten {
    per_second: Option<usize>,
    per_minute: Option<usize>,
    #[serde(default = "yes")]
    stated: bool,
    #[serde(default)]
    retry_after: bool,
    #[serde(default)]
    applies_to: AppliesTo,
}

fn yes() -> bool {
    true
}

impl QuotaWritten {
    fn read(self) -> Result<QuotaRule, &'static str> {
        let (limit, seconds) = match (self.per_second, self.per_minute) {
            (Some(limit), None) => (limit, 1),
            (None, Some(limit)) => (limit, 60),
            (Some(_), Some(_)) | (None, None) => return Err("`[quota]` needs either `per_second` or `per_minute`"),
        };
        if !(1..=1_000_000).contains(&limit) {
            return Err("the figure of `[quota]` is from 1 to 1,000,000");
        }
        let period = Duration::from_secs(seconds);
        Ok(QuotaRule { limit, period, stated: self.stated, retry_after: self.retry_after, applies_to: self.applies_to })
    }
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum KindWritten {
    Status,
    ResetBefore,
    ResetAfter,
    HangBefore,
    HangAfter,
    Silent,
    Forbidden,
    Unknown,
    Redirect,
    Garbage,
    SlowEffect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultWritten {
    kind: KindWritten,
    share: Option<f64>,
    sources: Option<Vec<String>>,
    #[serde(default = "once")]
    times: u32,
    #[serde(default)]
    on: On,
    status: Option<u16>,
    code: Option<String>,
    message: Option<String>,
    body: Option<BodyShape>,
    #[serde(default)]
    effect: bool,
    after_ms: Option<u64>,
}

fn once() -> u32 {
    1
}

impl FaultWritten {
    fn read(self) -> Result<Fault, &'static str> {
        let only_status = self.code.is_some() || self.message.is_some() || self.body.is_some() || self.status.is_some();
        if only_status && self.kind != KindWritten::Status {
            return Err("`status`, `code`, `message` and `body` go with kind \"status\"");
        }
        if self.after_ms.is_some() && self.kind != KindWritten::SlowEffect {
            return Err("`after_ms` goes with kind \"slow_effect\"");
        }
        let may_have_effect = [KindWritten::Status, KindWritten::Redirect, KindWritten::Garbage].contains(&self.kind);
        if self.effect && !may_have_effect {
            return Err("`effect` goes with the kinds \"status\", \"redirect\" and \"garbage\"");
        }
        let needs_a_change = self.effect || [KindWritten::Silent, KindWritten::SlowEffect].contains(&self.kind);
        if needs_a_change && self.on != On::Change {
            return Err("a read has no effect that could be left out, made or delayed");
        }
        let strikes = match (self.share, self.sources) {
            (Some(share), None) if (0.0..=1.0).contains(&share) => Strikes::Share(share),
            (Some(_), None) => return Err("`share` is from 0 to 1"),
            (None, Some(_)) if self.on == On::List => return Err("a list is of no one source: `share` strikes it"),
            (None, Some(ids)) => Strikes::Named(ids),
            (Some(_), Some(_)) | (None, None) => return Err("needs either `share` or `sources`"),
        };
        let kind = match self.kind {
            KindWritten::Status => {
                let status = self.status.filter(|status| (200..600).contains(status));
                FaultKind::Status(FailureAnswer {
                    status: status.ok_or("kind \"status\" needs a `status` from 200 to 599")?,
                    code: self.code,
                    message: self.message,
                    body: self.body.unwrap_or_default(),
                    effect: self.effect,
                })
            }
            KindWritten::ResetBefore => FaultKind::ResetBefore,
            KindWritten::ResetAfter => FaultKind::ResetAfter,
            KindWritten::HangBefore => FaultKind::HangBefore,
            KindWritten::HangAfter => FaultKind::HangAfter,
            KindWritten::Silent => FaultKind::Silent,
            KindWritten::Forbidden => FaultKind::Forbidden,
            KindWritten::Unknown => FaultKind::Unknown,
            KindWritten::Redirect => FaultKind::Redirect { effect: self.effect },
            KindWritten::Garbage => FaultKind::Garbage { effect: self.effect },
            KindWritten::SlowEffect => {
                let after_ms = self.after_ms.ok_or("kind \"slow_effect\" needs `after_ms`")?;
                FaultKind::SlowEffect { after_us: micros(after_ms) }
            }
        };
        Ok(Fault { strikes, kind, times: (self.times > 0).then_some(self.times), on: self.on })
    }
}

#[derive(Deserialize)]
enum Trigger {
    #[serde(rename = "change")]
    Change,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MoveWritten {
    source: String,
    to: TargetState,
    after: Option<Trigger>,
    after_ms: Option<u64>,
    at_ms: Option<u64>,
}

impl MoveWritten {
    fn read(self) -> Result<Move, &'static str> {
        let when = match (self.after, self.after_ms, self.at_ms) {
            (Some(Trigger::Change), after_ms, None) => When::AfterFirstChange(micros(after_ms.unwrap_or(0))),
            (None, None, Some(at_ms)) => When::SinceStart(micros(at_ms)),
            (_, _, _) => return Err("needs either `after = \"change\"` (with `after_ms`, if wanted) or `at_ms`"),
        };
        if self.to.is_empty() {
            return Err("`to` names neither `copystate` nor `migrationcycle`");
        }
        Ok(Move { source: self.source, to: self.to, when })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentWritten {
    from: Word,
    to: TargetState,
    after_ms: u64,
}

impl AgentWritten {
    fn read(self) -> Result<Agent, &'static str> {
        if self.to.is_empty() {
            return Err("`to` names neither `copystate` nor `migrationcycle`");
        }
        Ok(Agent { from: self.from, to: self.to, after_us: micros(self.after_ms) })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideWritten {
    id: String,
    copystate: Option<Word>,
    migrationcycle: Option<Word>,
    #[serde(default)]
    missing: bool,
}

impl OverrideWritten {
    fn read(self) -> Result<Override, &'static str> {
        let state = TargetState { copystate: self.copystate, migrationcycle: self.migrationcycle };
        if self.missing && !state.is_empty() {
            return Err("a source that is `missing` has no state");
        }
        Ok(Override { id: self.id, state, missing: self.missing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(toml: &str) -> String {
        Scenario::parse(toml).unwrap_err().to_string()
    }

    #[test]
    fn every_built_in_scenario_reads() {
        for name in Scenario::NAMES {
            assert!(Scenario::named(name).is_some(), "{name}");
        }
        assert!(Scenario::named("worse").is_none());
    }

    #[test]
    fn the_commented_scenario_reads() {
        let scenario = Scenario::parse(include_str!("scenarios/commented.toml")).unwrap();
        assert_eq!((scenario.faults.len(), scenario.moves.len(), scenario.overrides.len()), (4, 2, 2));
    }

    #[test]
    fn an_empty_scenario_is_the_newest_edition_without_trouble() {
        let scenario = Scenario::parse("").unwrap();
        assert_eq!(scenario.edition, ApiEdition::Y2026M01);
        assert!(scenario.quota.is_none() && scenario.faults.is_empty() && scenario.stale_us == 0);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        assert!(problem("lattency_ms = [1, 2]").contains("lattency_ms"));
        assert!(problem("latency_ms = [3, 2]").contains("[least, most]"));
        assert!(problem("edition = \"2027-01\"").contains("2026-01"));
        assert!(problem("[quota]\nper_second = 1\nper_minute = 1").contains("either"));
        assert!(problem("[quota]\nper_second = 0").contains("from 1"));
        let ok = "[[fault]]\nkind = \"silent\"\nshare = 0.1\n";
        assert!(problem(&format!("{ok}[[fault]]\nkind = \"silent\"")).contains("`[[fault]]` number 2"));
        assert!(problem("[[fault]]\nkind = \"slient\"\nshare = 0.1").contains("silent"));
        assert!(problem("[[fault]]\nkind = \"status\"\nshare = 0.1").contains("`status`"));
        assert!(problem("[[fault]]\nkind = \"silent\"\nshare = 0.1\non = \"read\"").contains("read"));
        assert!(problem("[[fault]]\nkind = \"forbidden\"\nsources = [\"a\"]\non = \"list\"").contains("no one source"));
        assert!(problem("[[fault]]\nkind = \"silent\"\nshare = 0.1\nbody = \"html\"").contains("kind \"status\""));
        assert!(problem(&format!("{ok}[[fault]]\nkind = \"forbidden\"\nshare = 0.91")).contains("add up"));
        assert!(problem("[[moved]]\nsource = \"a\"\nto = { copystate = \"error\" }").contains("at_ms"));
        assert!(problem("[[source]]\nid = \"a\"\nmissing = true\ncopystate = \"error\"").contains("missing"));
    }
}
