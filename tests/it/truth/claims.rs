//! Claims of verdicts and changes, checked against the endpoint's record.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::mischief::{Effect, Meaning, State};
use super::world::{Cause, Look, Put, Server, Shown, Shows, Wish, swallows};

/// One event of a row in the journal.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// End of the millisecond that the journal states.
    pub(crate) at: u64,
    pub(crate) kind: String,
    pub(crate) detail: Value,
}

/// A row's stored sums, and its events.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) verdict: String,
    pub(crate) attempts: usize,
    pub(crate) before: (Option<String>, Option<String>),
    /// Attempts that began and were not recorded as never sent.
    pub(crate) n_sent: usize,
    pub(crate) told: Vec<Told>,
}

/// A claim that is false.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) rule: &'static str,
    pub(crate) source: usize,
    pub(crate) text: String,
}

/// Longest time from a page to the row's own call, in microseconds; until then the call may not know what the page showed.
const TELLS_WITHIN: u64 = 3_000_000;
/// Longest time from a look to a change that depends on it, in microseconds: five seconds, and three for a stalled machine.
const DIRECTLY: u64 = 8_000_000;

/// Facts of the run on which claims depend.
pub(crate) struct Night<'a> {
    /// Start of each launch.
    pub(crate) launches: &'a [u64],
    pub(crate) window_us: u64,
    /// Output of `rollback`.
    pub(crate) rollback: &'a str,
}

impl Wish {
    /// Returns the fields that the plan names, each with the word that a look showed.
    fn fields(&self, shown: Shown) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
        [(self.copystate, shown.copystate), (self.cycle, shown.cycle)].into_iter().filter_map(|(w, s)| Some((w?, s)))
    }

    fn has_words(&self, shown: Shown) -> bool {
        self.fields(shown).all(|(_, shown)| shown.is_some())
    }

    fn is_met(&self, shown: Shown) -> bool {
        self.fields(shown).all(|(wanted, shown)| shown == Some(wanted))
    }

    fn is_met_by(&self, state: State) -> bool {
        self.is_met(all_of(state))
    }

    /// Tells whether a look shows what the change fills in and what the plan expects.
    fn still_holds(&self, sent: Shown, shown: Shown) -> bool {
        let expected = self.expects.is_none_or(|expects| all_of(expects) == shown);
        let copystate = self.copystate.is_some() || sent.copystate.is_none() || sent.copystate == shown.copystate;
        let cycle = self.cycle.is_some() || sent.cycle.is_none() || sent.cycle == shown.cycle;
        expected && copystate && cycle
    }

    /// Tells whether a field is neither the target nor what it was.
    fn is_moved(&self, was: Shown, shown: Shown) -> bool {
        let was = self.fields(was).map(|(_, was)| was);
        self.fields(shown)
            .zip(was)
            .any(|((wanted, is), was)| is.is_some_and(|is| is != wanted) && was.is_some_and(|was| Some(was) != is))
    }
}

fn all_of(state: State) -> Shown {
    Shown { copystate: Some(state.copystate), cycle: Some(state.cycle) }
}

/// Record of one row.
struct Account<'a> {
    n: usize,
    server: &'a Server,
    line: &'a Line,
    night: &'a Night<'a>,
    faults: RefCell<Vec<Fault>>,
}

pub(crate) fn faults(n: usize, server: &Server, line: &Line, night: &Night<'_>) -> Vec<Fault> {
    let account = Account { n, server, line, night, faults: RefCell::default() };
    account.changes();
    account.verdicts();
    account.sums();
    account.faults.into_inner()
}

impl Account<'_> {
    fn fault(&self, rule: &'static str, text: impl Into<String>) {
        self.faults.borrow_mut().push(Fault { rule, source: self.n, text: text.into() });
    }

    /// Returns the looks that show every field that the plan names.
    fn shown(&self, from: u64, to: u64) -> impl DoubleEndedIterator<Item = (&Look, Shown)> {
        let looks = self.server.looks.iter().filter(move |look| from <= look.arrived && look.answered <= to);
        looks.filter_map(|look| match look.shows {
            Shows::State(shown) if self.server.wish.has_words(shown) => Some((look, shown)),
            Shows::State(_) | Shows::Absent | Shows::Nothing => None,
        })
    }

    fn counted(&self, from: u64, to: u64) -> impl DoubleEndedIterator<Item = &Put> {
        self.server.puts.iter().filter(move |put| put.counts() && from <= put.arrived && put.arrived <= to)
    }

    /// Returns the time at which the row was last opened again before then.
    fn opened(&self, at: u64) -> u64 {
        let reopened = self.line.told.iter().filter(|told| told.kind == "row_reopened" && told.at < at);
        reopened.map(|told| told.at - 1000).max().unwrap_or(0)
    }

    fn launched(&self, at: u64) -> u64 {
        self.night.launches.iter().copied().filter(|launch| *launch <= at).max().unwrap_or(0)
    }

    /// Returns the states that a row may be compared with: the one seen before its first change, and the one seen before the
    /// first change since it was last opened again. Before any change, all states that were seen.
    fn references(&self, at: u64) -> Vec<Shown> {
        let Some(first_of_all) = self.counted(0, at).next() else {
            return self.shown(0, at).map(|(_, shown)| shown).collect();
        };
        let opened = self.opened(at);
        let first = self.counted(opened, at).next().map_or(at, |put| put.arrived);
        let of_all = self.shown(0, first_of_all.arrived).next_back().map(|(_, shown)| shown);
        let of_this = self.shown(opened, first).next_back().map(|(_, shown)| shown);
        of_all.into_iter().chain(of_this).collect()
    }

    fn changes(&self) {
        let wish = self.server.wish;
        let puts: Vec<Put> = self.server.puts.clone();
        for (nth, put) in puts.iter().enumerate() {
            let (at, launched) = (put.arrived, self.launched(put.arrived));
            let before: Vec<(Look, Shown)> = self.shown(0, at).map(|(look, shown)| (*look, shown)).collect();
            let Some((last, last_shown)) = before.last().copied() else {
                self.fault("sent unseen", format!("change {nth} came before any look showed it"));
                continue;
            };
            if let Some(doubtful) = puts[..nth].iter().rev().find(|put| put.counts()) {
                let since: Vec<_> = before.iter().filter(|(look, _)| look.arrived >= doubtful.arrived).collect();
                if !self.looked_between(doubtful.arrived, at) {
                    let answer = doubtful.deed.answer;
                    self.fault(
                        "sent again unseen",
                        format!("change {nth} followed one that ended as {answer:?} without a look of its own"),
                    );
                }
                match since.last() {
                    None => {
                        let status = doubtful.deed.answer.status();
                        self.fault(
                            "sent again unseen",
                            format!("change {nth} followed one that ended {status:?} without a look"),
                        );
                    }
                    Some((look, shown)) if look.by_id || look.answered + TELLS_WITHIN < at => {
                        let moved = self.references(at).iter().all(|was| wish.is_moved(*was, *shown));
                        if wish.is_met(*shown) {
                            self.fault(
                                "on target and sent again",
                                format!("change {nth}, although a look had shown it on target"),
                            );
                        } else if moved {
                            self.fault(
                                "moved and sent again",
                                format!("change {nth}, although a look had shown {shown:?}"),
                            );
                        }
                    }
                    Some(_) => (),
                }
            } else {
                // Never sent before: a row that this launch has seen moved is left alone.
                let of_launch: Vec<_> = before.iter().filter(|(look, _)| look.arrived >= launched).collect();
                let told = of_launch.iter().rev().find(|(look, _)| look.answered + TELLS_WITHIN < at);
                if told.is_some_and(|(_, shown)| wish.is_met(*shown)) && wish.is_met(last_shown) {
                    self.fault("on target and sent", format!("change {nth}, although this launch had seen it there"));
                }
                // A row that is back in its first state counts as not moved.
                if let (Some((_, first)), Some((_, told))) = (of_launch.first(), told)
                    && wish.is_moved(*first, *told)
                    && wish.is_moved(before[0].1, *told)
                    && of_launch.last().is_some_and(|(_, last)| wish.is_moved(*first, *last))
                {
                    self.fault(
                        "moved and sent",
                        format!("change {nth} overwrites {told:?}, which this launch had seen"),
                    );
                }
            }
            let recent: Vec<Shown> = self.shown(at.saturating_sub(DIRECTLY), at).map(|(_, shown)| shown).collect();
            if wish.depends() && !recent.iter().any(|shown| wish.still_holds(put.body, *shown)) {
                let ago = (at - last.answered) / 1000;
                let text = format!(
                    "change {nth} depends on what no look of the last seconds shows, the last of {ago} ms ago \
                     ({last_shown:?}); it found {:?}",
                    put.found
                );
                self.fault("not looked at directly before", text);
            }
            self.body(nth, put, &before);
        }
    }

    /// Tells whether the journal has a look between the two changes that came at these times. A row on a page that was read
    /// for other rows is no look of its own.
    fn looked_between(&self, one: u64, other: u64) -> bool {
        let told = &self.line.told;
        let began = |at: u64| told.iter().rposition(|told| told.kind == "attempt_started" && told.at - 999 <= at);
        let (Some(from), Some(to)) = (began(one), began(other)) else { return false };
        told.get(from..to).is_some_and(|between| between.iter().any(|told| told.kind == "row_seen"))
    }

    /// Checks that a change has the target, and in the half that the plan leaves open what a look showed.
    fn body(&self, nth: usize, put: &Put, before: &[(Look, Shown)]) {
        let wish = self.server.wish;
        let fits =
            |wanted: Option<&str>, sent: Option<&str>, shown: &dyn Fn(&Shown) -> Option<&'static str>| match wanted {
                Some(wanted) => sent == Some(wanted),
                None => sent.is_none_or(|sent| before.iter().any(|(_, one)| shown(one) == Some(sent))),
            };
        let is_right = fits(wish.copystate, put.body.copystate, &|shown| shown.copystate)
            && fits(wish.cycle, put.body.cycle, &|shown| shown.cycle);
        if !is_right {
            self.fault("a wrong body", format!("change {nth} sends {:?}", put.body));
        }
    }

    fn verdicts(&self) {
        let told = self.line.told.clone();
        for told in told.iter().filter(|told| told.kind == "row_settled") {
            match told.detail["verdict"].as_str().unwrap_or_default() {
                "applied" => self.applied(told.at),
                "already" => self.already(told.at),
                "no_effect" => self.no_effect(told.at),
                "overtaken" => self.overtaken(told.at),
                "refused" => self.refused(told.at),
                "failed" => self.failed(told.at),
                "blocked" => self.blocked(told.at),
                "unverified" => self.unverified(told.at),
                other => self.fault("an unknown verdict", other),
            }
        }
    }

    fn applied(&self, at: u64) {
        let wish = self.server.wish;
        let Some(first) = self.counted(0, at).next().map(|put| put.arrived) else {
            // An intent of a launch that was killed may have been sent, for all that anybody can know.
            if self.line.n_sent == 0 || !self.shown(0, at).any(|(_, shown)| wish.is_met(shown)) {
                self.fault("applied", "and no change had come");
            }
            return;
        };
        let last = self.counted(0, at).next_back().map_or(first, |put| put.answered.unwrap_or(put.arrived));
        let Some(look) = self.shown(last, at).find(|(_, shown)| wish.is_met(*shown)).map(|(look, _)| *look) else {
            return self.fault("applied", "and no look since the last answer had shown it on target");
        };
        let was = self.server.truth.iter().any(|was| was.from <= look.arrived && wish.is_met_by(was.state));
        if !was {
            self.fault("applied", "and it had never been on target");
        }
    }

    fn already(&self, at: u64) {
        let wish = self.server.wish;
        if let Some(put) = self.counted(0, at).next() {
            let text = format!("nothing was sent, and a change had come (answered {:?})", put.deed.answer.status());
            self.fault("already", text);
        } else if !self.shown(0, at).any(|(_, shown)| wish.is_met(shown)) {
            self.fault("already", "and no look had shown it on target");
        }
    }

    fn no_effect(&self, at: u64) {
        let wish = self.server.wish;
        let Some(last) = self.counted(0, at).next_back() else {
            return self.fault("no_effect", "and no change had come");
        };
        let (answered, meaning) = (last.answered.unwrap_or(last.arrived), last.meaning());
        if meaning != Meaning::Accepted {
            self.fault("no_effect", format!("and the last change was answered {:?}", last.deed.answer.status()));
        }
        let end = answered + self.night.window_us;
        let over = self.shown(end, at).next_back().map(|(_, shown)| shown);
        match over {
            None => self.fault("no_effect", "and no look after the end of the window had shown its words"),
            Some(shown) if wish.is_met(shown) => self.fault("no_effect", "and the last look had shown it on target"),
            Some(_) => (),
        }
    }

    fn overtaken(&self, at: u64) {
        let wish = self.server.wish;
        let sent = self.counted(self.opened(at), at).next_back().map(|put| put.arrived);
        let from = sent.unwrap_or(0);
        // Moved from every state in which it was seen before it was sent.
        let first = self.counted(self.opened(at), at).next().map_or(at, |put| put.arrived);
        let references: Vec<Shown> = self.shown(0, first).map(|(_, shown)| shown).collect();
        let moved: Vec<Shown> = self
            .shown(from, at)
            .map(|(_, shown)| shown)
            .filter(|shown| references.iter().any(|was| wish.is_moved(*was, *shown)))
            .collect();
        let n_agree = moved.iter().map(|one| moved.iter().filter(|other| same(&wish, *one, **other)).count()).max();
        let absent = |look: &&Look| look.shows == Shows::Absent && from <= look.arrived && look.answered <= at;
        let n_absent = self.server.looks.iter().filter(absent).count();
        let may_be_ours = |put: &Put| matches!(put.meaning(), Meaning::Accepted | Meaning::Doubt);
        let needs = if self.counted(self.opened(at), at).any(may_be_ours) { 2 } else { 1 };
        let is_foreign = self.server.truth.iter().any(|was| was.cause == Cause::Foreign && was.from <= at);
        if n_agree.unwrap_or(0) < needs && n_absent < needs {
            let n = n_agree.unwrap_or(0).max(n_absent);
            let truly = if is_foreign { "somebody had moved it" } else { "nobody else ever moved it" };
            self.fault(
                "overtaken",
                format!("{n} looks since the last change had shown that, {needs} are needed; {truly}"),
            );
        }
    }

    fn refused(&self, at: u64) {
        let wish = self.server.wish;
        let Some(last) = self.counted(0, at).next_back().cloned() else {
            return self.fault("refused", "and no change had come");
        };
        if last.meaning() != Meaning::Refused {
            let answer = last.deed.answer;
            return self.fault("refused", format!("and the service had not refused it: {answer:?}"));
        }
        let opened = self.opened(at);
        let earlier = self.counted(opened, last.arrived - 1).any(|put| put.meaning() != Meaning::Stops);
        if !earlier {
            return;
        }
        let looks: Vec<Shown> = self.shown(last.answered.unwrap_or(last.arrived), at).map(|(_, shown)| shown).collect();
        if looks.is_empty() {
            let is = if wish.is_met_by(self.server.at(at)) { ", and it is on target" } else { "" };
            self.fault("refused", format!("an earlier change was in doubt, and nobody looked{is}"));
        } else if looks.last().is_some_and(|shown| wish.is_met(*shown)) {
            self.fault("refused", "and the last look had shown it on target");
        }
    }

    fn failed(&self, at: u64) {
        let wish = self.server.wish;
        let Some(last) = self.counted(0, at).next_back().cloned() else { return };
        if last.meaning() == Meaning::Refused {
            self.fault("failed", "and the service had refused it");
        }
        match self.shown(last.answered.unwrap_or(last.arrived), at).next_back().map(|(_, shown)| shown) {
            None => self.fault("failed", "and no look since the last answer had shown its words"),
            Some(shown) if wish.is_met(shown) => self.fault("failed", "and the last look had shown it on target"),
            Some(_) => (),
        }
    }

    fn blocked(&self, at: u64) {
        let wish = self.server.wish;
        if let Some(put) = self.counted(0, at).next() {
            let text = format!("and a change had come (answered {:?})", put.deed.answer.status());
            return self.fault("blocked", text);
        }
        let is_ground = |shown: Shown| {
            shown.copystate.is_some_and(swallows)
                || wish.expects.is_some_and(|expects| {
                    shown.copystate.is_some_and(|is| is != expects.copystate)
                        || shown.cycle.is_some_and(|is| is != expects.cycle)
                })
        };
        let looks: Vec<&Look> = self.server.looks.iter().filter(|look| look.answered <= at).collect();
        let seen = looks.iter().any(|look| matches!(look.shows, Shows::State(shown) if is_ground(shown)));
        let refused = looks.iter().any(|look| look.shows == Shows::Absent);
        if !seen && !refused {
            let reason = self.line.told.iter().rfind(|told| told.at == at).map(|told| told.detail.to_string());
            self.fault("blocked", format!("and no look had shown a ground for it: {}", reason.unwrap_or_default()));
        }
    }

    fn unverified(&self, at: u64) {
        let wish = self.server.wish;
        let Some(last) = self.counted(0, at).next_back().cloned() else {
            return self.fault("unverified", "and no change had come");
        };
        if last.meaning() != Meaning::Accepted {
            self.fault("unverified", format!("and the last change was answered {:?}", last.deed.answer.status()));
        }
        let from = last.answered.unwrap_or(last.arrived).max(self.launched(at));
        if self.shown(from, at).any(|(look, shown)| look.by_id && wish.is_met(shown)) {
            self.fault("unverified", "and a look had shown it on target");
        }
    }

    /// Checks the sums of the journal at the end of the run.
    fn sums(&self) {
        let n_came = self.server.puts.len();
        if n_came > self.line.n_sent {
            self.fault("books", format!("{n_came} changes came, the journal knows {}", self.line.n_sent));
        }
        let n_counted = self.counted(0, u64::MAX).count();
        if n_counted > self.line.attempts {
            self.fault("books", format!("{n_counted} changes came, and attempts is {}", self.line.attempts));
        }
        if matches!(self.line.verdict.as_str(), "pending" | "in_doubt") {
            self.fault("unsettled", format!("{} although the endpoint had come to rest", self.line.verdict));
        }
        self.settled_and_sent();
        if n_counted > 0 {
            self.before();
            if !names(self.night.rollback, &self.server.id) {
                self.fault(
                    "rollback",
                    format!("does not name it, and {n_counted} changes came; it ended {}", self.line.verdict),
                );
            }
        }
    }

    fn settled_and_sent(&self) {
        let mut settled: Option<(u64, String)> = None;
        let mut spans: Vec<(u64, u64, String)> = Vec::new();
        for told in &self.line.told {
            match (told.kind.as_str(), settled.take()) {
                ("row_settled", _) => {
                    settled = Some((told.at, told.detail["verdict"].as_str().unwrap_or_default().to_owned()));
                }
                ("row_reopened", Some((from, verdict))) => spans.push((from, told.at - 1000, verdict)),
                ("row_moved", still) => settled = still,
                _ => (),
            }
        }
        spans.extend(settled.map(|(from, verdict)| (from, u64::MAX, verdict)));
        for (from, to, verdict) in spans {
            if self.server.puts.iter().any(|put| from < put.arrived && put.arrived < to) {
                self.fault("settled and sent again", format!("it was {verdict}"));
            }
        }
    }

    /// Checks *before*: a look had shown it when the first change left, or it was truly there.
    fn before(&self) {
        let Some(first) = self.counted(0, u64::MAX).next().cloned() else { return };
        let mut may_be: Vec<Shown> = vec![all_of(first.found)];
        let looks = self.server.looks.iter().filter(|look| look.answered <= first.arrived);
        let shown: Vec<(u64, Shown)> = looks
            .filter_map(|look| match look.shows {
                Shows::State(shown) => Some((look.answered, shown)),
                Shows::Absent | Shows::Nothing => None,
            })
            .collect();
        // The last state known for sure, and all states that may have been seen since.
        let wish = self.server.wish;
        let is_sure = |(at, shown): &(u64, Shown)| at + TELLS_WITHIN < first.arrived && wish.has_words(*shown);
        // An intent of a launch that was killed may have been sent earlier.
        let is_first = self.line.n_sent <= self.server.puts.len();
        let sure = shown.iter().rposition(is_sure).filter(|_| is_first).unwrap_or(0);
        may_be.extend(shown[sure..].iter().map(|(_, shown)| *shown));
        let (copystate, cycle) = self.line.before.clone();
        let is = |field: &Option<String>, of: &dyn Fn(&Shown) -> Option<&'static str>| {
            may_be.iter().any(|shown| of(shown) == field.as_deref())
        };
        if !is(&copystate, &|shown| shown.copystate) || !is(&cycle, &|shown| shown.cycle) {
            let text = format!("is {copystate:?}/{cycle:?}; at the first change it was {:?}", first.found);
            self.fault("before", text);
        }
    }
}

/// Tells whether two looks show the same in each field that the plan names.
fn same(wish: &Wish, one: Shown, other: Shown) -> bool {
    wish.fields(one).zip(wish.fields(other)).all(|(one, other)| one == other)
}

fn names(text: &str, id: &str) -> bool {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-').any(|word| word == id)
}

/// Tells everything about a row, in order of time.
pub(crate) fn story(server: &Server, line: &Line, launches: &[u64]) -> String {
    let mut by_time: BTreeMap<(u64, usize), String> = BTreeMap::new();
    let mut add = |at: u64, text: String| _ = by_time.insert((at, by_time.len()), text);
    for (n, launch) in launches.iter().enumerate() {
        add(*launch, format!("launch {}", n + 1));
    }
    for was in &server.truth {
        add(was.from, format!("  is {}/{} ({:?})", was.state.copystate, was.state.cycle, was.cause));
    }
    for (n, put) in server.puts.iter().enumerate() {
        let effect = match put.deed.effect {
            Effect::None => "no effect".to_owned(),
            other => format!("{other:?}"),
        };
        add(put.arrived, format!("    PUT {n} {} ({effect})", words(put.body)));
        if let Some(answered) = put.answered {
            add(answered, format!("    PUT {n} answered {:?}", put.deed.answer));
        } else {
            add(put.arrived, format!("    PUT {n} never answered: {:?}", put.deed.answer));
        }
    }
    for look in &server.looks {
        let shows = match look.shows {
            Shows::State(shown) => words(shown),
            Shows::Absent => "absent".to_owned(),
            Shows::Nothing => "nothing".to_owned(),
        };
        let by = if look.by_id { "id" } else { "page" };
        let late = if look.answered - look.arrived > 100_000 { " (late)" } else { "" };
        add(look.answered, format!("    GET by {by}: {shows}{late}"));
    }
    for told in &line.told {
        add(told.at, format!("  journal: {} {}", told.kind, told.detail));
    }
    let start = by_time.keys().next().map_or(0, |(at, _)| *at);
    let mut text = format!("  {} wants {:?}\n", server.id, server.wish);
    for ((at, _), what) in by_time {
        let ms = (at - start) / 1000;
        _ = writeln!(text, "  {:>3}.{:03} {what}", ms / 1000, ms % 1000);
    }
    text
}

fn words(shown: Shown) -> String {
    format!("{}/{}", shown.copystate.unwrap_or("-"), shown.cycle.unwrap_or("-"))
}
