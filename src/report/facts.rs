//! Facts that identify a run and say what it took, as pairs of name and value.

use super::next::flags::flags;
use super::summary::{LaneOf, PaperOf, Summary};
use crate::control::Taken;
use crate::journal::notices::NoticeOutcome;
use crate::journal::read::lanes::LaneRecord;
use crate::ledger::steered::RanHook;
use crate::plan::sealed::seal::Approval;
use crate::values::zone::Zone;
use crate::wording::amounts::{count, duration};
use crate::wording::plain::plain;
use crate::wording::times::{time, time_in};

/// Most facts of one kind listed; of more, the last ones and the number of the others.
const MOST_OF_A_KIND: usize = 10;

impl Summary {
    /// Start of the run, in UTC.
    pub(crate) fn started(&self) -> Option<String> {
        self.started_at.map(time)
    }

    /// Returns facts that identify the run and say what it took, as pairs of name and value, with times in UTC.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        self.facts_in(None)
    }

    /// Returns the facts with times in this time zone, or in UTC without one.
    pub(super) fn facts_in(&self, zone: Option<&Zone>) -> Vec<(&'static str, String)> {
        let mut facts = vec![("run", plain(&self.run))];
        facts.extend(self.run_key.as_ref().map(|run_key| ("key", plain(run_key))));
        facts.push(("plan", format!("{} ({})", plain(&self.plan.path), plain(&self.plan.digest))));
        if let Some(started_at) = self.started_at {
            let so_far = if self.running.is_some() { " so far" } else { "" };
            let elapsed = duration(milliseconds(self.elapsed_s));
            facts.push(("started", format!("{}; it took {elapsed}{so_far}", time_in(zone, started_at))));
        }
        if let Some(launch) = &self.last_launch {
            let by = launch.user.as_deref().map_or(String::new(), |user| format!(" by {}", plain(user)));
            let (verb, host) = (plain(&launch.verb), plain(&launch.host));
            let version = plain(&launch.version);
            let given = match &launch.given {
                given if given.is_empty() => String::new(),
                given => format!(", given{}", plain(&flags(given))),
            };
            facts.push(("launch", format!("{}: `{verb}`{by} on {host}, cutover {version}{given}", launch.launch)));
        }
        if let (Some(code), Some(name)) = (self.exit.code, &self.exit.name) {
            let reason = self.exit.reason.as_deref().filter(|reason| !reason.is_empty());
            let reason = reason.map_or_else(String::new, |reason| format!(": {}", plain(reason)));
            facts.push(("ended", format!("{code} ({name}){reason}")));
        }
        let (attempts, throttled) = (count(self.attempts, "change"), self.throttled);
        let more = match self.under_way {
            0 => String::new(),
            n => format!(", {n} more without an answer yet"),
        };
        facts.push(("sent", format!("{attempts}{more}; throttled {}", count(throttled, "time"))));
        for lane in &self.lanes {
            if self.lanes.len() > 1 {
                let LaneOf { lane: LaneRecord { name, endpoint, .. }, rows, on_target, .. } = lane;
                let fact = format!("{}: {on_target} of {rows} on target, at {}", plain(name), plain(endpoint));
                facts.push(("account", fact));
            }
            facts.extend(lane_facts(&lane.lane));
        }
        facts.extend(self.paper.facts(zone));
        let steered =
            self.steering.history.iter().map(|Taken { at, command, by }| {
                ("steered", plain(&format!("{} {command}, by {by}", time_in(zone, *at))))
            });
        facts.extend(last_ones("steered", steered.collect()));
        facts.extend(last_ones("hook", self.hooks_of_last_launch().collect()));
        if self.moved > 0 {
            facts.push(("moved", format!("{} by somebody else", count(self.moved, "row"))));
        }
        let undelivered =
            self.undelivered.iter().map(|NoticeOutcome { receiver, about, at, tries, problem, .. }| {
                let (problem, at) = (problem.as_deref().unwrap_or_default(), time_in(zone, *at));
                let tries = if *tries == 1 { "1 try".to_owned() } else { format!("{tries} tries") };
                ("not told", plain(&format!("`{receiver}`, notice `{about}`, {tries} until {at}: {problem}")))
            });
        facts.extend(last_ones("not told", undelivered.collect()));
        facts.push(("journal", plain(&self.journal)));
        facts.push(("anchor", format!("{} (keep it elsewhere)", self.anchor)));
        facts
    }
}

impl Summary {
    /// Ends of the hooks of the last launch. One that failed afterwards is a warning; a veto is the reason of the launch's end as well.
    fn hooks_of_last_launch(&self) -> impl Iterator<Item = (&'static str, String)> {
        let of_last = self.steering.hooks.iter().filter(|ran| self.launches == ran.launch);
        of_last.map(|RanHook { hook, from, wave, end, elapsed_ms, said, .. }| {
            let is_warning = !end.is_success() && !hook.may_veto();
            let wave = wave.as_ref().map_or_else(String::new, |wave| format!(" for wave `{wave}`"));
            let said = said.as_ref().filter(|_| !end.is_success()).map_or_else(String::new, |said| format!(": {said}"));
            let took = duration(*elapsed_ms);
            let fact = format!("the hook {hook} of {from}{wave} {end} after {took}{said}");
            (if is_warning { "warning" } else { "hook" }, plain(&fact))
        })
    }
}

/// Keeps the last facts of a kind, behind the number of those that are left out.
fn last_ones(kind: &'static str, mut facts: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    let n_more = facts.len().saturating_sub(MOST_OF_A_KIND);
    if n_more > 0 {
        facts.splice(..n_more, [(kind, format!("the last {MOST_OF_A_KIND}, and {n_more} more"))]);
    }
    facts
}

impl PaperOf {
    fn facts(&self, zone: Option<&Zone>) -> Vec<(&'static str, String)> {
        let own = [("name", &self.name), ("ticket", &self.ticket), ("reason", &self.reason)];
        let own = own.into_iter().filter_map(|(name, text)| Some((name, plain(text.as_ref()?))));
        let sealed = self.seal.iter().flat_map(|seal| {
            let by = format!("by {} at {}, {}", plain(&seal.sealed_by), time_in(zone, seal.at), plain(&seal.digest));
            let approvals = seal.approvals.iter().map(|approval| {
                let Approval { name, user, host, who, at, .. } = approval;
                let person = user.as_deref().map_or(String::new(), |user| format!(" ({})", who.told(Some(user), host)));
                let signed = match seal.signer_of(approval) {
                    Some(Ok(signer)) => format!(", signed by {}", signer.fingerprint),
                    Some(Err(_)) => ", with a signature that is not of it".to_owned(),
                    None => ", not signed".to_owned(),
                };
                ("approved", plain(&format!("by {name}{person} at {}{signed}", time_in(zone, *at))))
            });
            std::iter::once(("sealed", by)).chain(approvals)
        });
        own.chain(sealed).collect()
    }
}

fn lane_facts(lane: &LaneRecord) -> Vec<(&'static str, String)> {
    let name = plain(&lane.name);
    let mut facts = Vec::new();
    if let Some(per_second) = lane.per_second {
        let origin = if lane.stated { "stated by the service" } else { "found by trying" };
        facts.push(("quota", format!("{per_second:.2} requests a second for {name}, {origin}")));
    }
    if let Some(stopped) = &lane.stopped {
        facts.push(("stopped", format!("{name}: {}", plain(stopped))));
    }
    facts
}

fn milliseconds(seconds: f64) -> u64 {
    let elapsed = std::time::Duration::from_secs_f64(seconds.max(0.0));
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
