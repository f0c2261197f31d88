//! Bounds on when changes of two launches leave, whatever becomes of messages, machines and clocks.
//!
//! Time goes in steps. The log takes a publish only behind its last commit. A head that is stopped makes no step, and its clock goes on.
//! Runs are taken over at any time, since no beat proves anything, and everybody renews the hold all the time, which is worst for others.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::cluster::log::{CommitFate, LastCommit, Seen, judge};
use crate::cluster::message::{CommitMark, WriterId};

const STEP: Duration = Duration::from_millis(20);
const END: Duration = Duration::from_mins(1);
/// Time after which a head asks again.
const ANSWER: Duration = Duration::from_secs(2);

/// Fate of a message and of its answer.
#[derive(Clone, Debug)]
struct Way {
    /// `None`: lost.
    there: Option<Duration>,
    back: Option<Duration>,
    /// Age of what a reader is shown, by a server that does not know of its successor.
    shows_ago: Duration,
}

#[derive(Clone, Debug)]
struct Interval {
    from: Duration,
    takes: Duration,
}

impl Interval {
    fn has(&self, at: Duration) -> bool {
        self.from <= at && at < self.from + self.takes
    }
}

#[derive(Clone, Debug)]
struct ChangePlan {
    /// Time from the start of its head to its intent.
    begins: Duration,
    /// Time for which it waits for its pace.
    waits: Duration,
    /// Time from its hold to the wire.
    leaves_in: Duration,
}

#[derive(Clone, Debug)]
struct HeadPlan {
    begins: Duration,
    /// Ends in order from here on, as soon as it can.
    ends: Option<Duration>,
    clock_from: Duration,
    clock_rate: f64,
    ways: Vec<Way>,
    stops: Vec<Interval>,
    cuts: Vec<Interval>,
    changes: Vec<ChangePlan>,
}

#[derive(Clone, Debug)]
enum Content {
    Began,
    Intents(BTreeSet<usize>),
    Nothing,
    Ended,
}

#[derive(Clone, Debug)]
struct Commit {
    mark: CommitMark,
    content: Content,
    stored: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Publish,
    Read,
}

/// Message on its way to the log, and its answer once it has come there.
struct Message {
    asked: Asked,
    commit: (CommitMark, Content),
    way: Way,
    arrives: Duration,
    answer: Option<Answer>,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Taken(u64),
    Seen(Seen),
}

/// The log, and the ways there.
#[derive(Default)]
struct World {
    log: Vec<Commit>,
    messages: Vec<Message>,
}

impl World {
    fn end_at(&self, at: Duration) -> Option<LastCommit> {
        let shown = self.log.iter().take_while(|commit| commit.stored <= at);
        let last = |(nth, commit): (u64, &Commit)| LastCommit { sequence: nth, mark: Some(commit.mark) };
        (1..).zip(shown).last().map(last)
    }

    /// End of the launch before, as a replay up to a commit has it.
    fn succession(&self, last: Option<LastCommit>) -> Succession {
        let mut led_by = None;
        for commit in self.log.iter().take(last.map_or(0, |last| usize::try_from(last.sequence).unwrap())) {
            match commit.content {
                Content::Began => led_by = Some(commit.mark.writer),
                Content::Ended => _ = led_by.take_if(|leader| *leader == commit.mark.writer),
                Content::Intents(_) | Content::Nothing => (),
            }
        }
        if led_by.is_some() { Succession::CutOff } else { Succession::InOrder }
    }

    fn step(&mut self, now: Duration) {
        for nth in 0..self.messages.len() {
            let message = &self.messages[nth];
            if message.arrives != now {
                continue;
            }
            let (mark, content) = message.commit.clone();
            let answer = match message.asked {
                Asked::Publish if u64::try_from(self.log.len()).unwrap() == mark.after => {
                    self.log.push(Commit { mark, content, stored: now });
                    Some(Answer::Taken(mark.after + 1))
                }
                // A refusal proves nothing, and is heard as none.
                Asked::Publish => None,
                Asked::Read => {
                    let end = self.end_at(now.saturating_sub(message.way.shows_ago));
                    Some(Answer::Seen(end.map_or(Seen::Nothing, Seen::Commit)))
                }
            };
            self.messages[nth].answer = answer;
        }
    }
}

/// State of a change of a head.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Planned,
    /// Its intent is known to be in the log.
    Intended(Duration),
    /// The run was held.
    Goes(Duration),
    /// On the wire. `was_stopped`: its head was, since it was held.
    Left {
        at: Duration,
        was_stopped: bool,
    },
}

struct Head<'a> {
    nth: usize,
    plan: &'a HeadPlan,
    writer: WriterId,
    tenure: Tenure,
    /// Counts the hold from the answer, which is wrong.
    counts_from_answer: bool,
    last: Option<LastCommit>,
    n_commits: u64,
    commit: Option<(CommitMark, Content)>,
    /// Number of the message that is not answered, and the time at which it was sent.
    asked: Option<(usize, Duration)>,
    changes: Vec<Stage>,
    fence: Option<u64>,
    /// Time from which on its changes may leave.
    may_go_from: Option<Duration>,
    is_over: bool,
}

impl<'a> Head<'a> {
    fn begin(nth: usize, plan: &'a HeadPlan, world: &World) -> Self {
        let last = world.end_at(plan.begins.saturating_sub(plan.ways[0].shows_ago));
        Self {
            nth,
            plan,
            writer: WriterId::of_launch(1),
            tenure: Tenure::new(world.succession(last)),
            counts_from_answer: false,
            last,
            n_commits: 0,
            commit: None,
            asked: None,
            changes: vec![Stage::Planned; plan.changes.len()],
            fence: None,
            may_go_from: None,
            is_over: false,
        }
    }

    /// Time that its clock shows.
    fn clock(&self, at: Duration) -> Duration {
        self.plan.clock_from + at.mul_f64(self.plan.clock_rate)
    }

    fn is_ending(&self, now: Duration) -> bool {
        self.plan.ends.is_some_and(|ends| ends <= now)
    }

    fn step(&mut self, now: Duration, world: &mut World) {
        if self.plan.stops.iter().any(|stop| stop.has(now)) {
            return;
        }
        if !self.is_over {
            self.write(now, world);
        }
        self.let_go(now);
    }

    /// Goes on with the commit that is under way, or begins one.
    fn write(&mut self, now: Duration, world: &mut World) {
        let Some((number, sent)) = self.asked else {
            let after = self.last.map_or(0, |last| last.sequence);
            let mark = CommitMark { writer: self.writer, number: self.n_commits + 1, after };
            self.commit = Some((mark, self.next_content(now)));
            return self.send(Asked::Publish, now, world);
        };
        let message = &world.messages[number];
        let comes_back = message.way.back.map(|back| message.arrives.saturating_add(back));
        let comes_back = comes_back.filter(|at| !self.plan.cuts.iter().any(|cut| cut.has(*at)));
        match message.answer.filter(|_| comes_back.is_some_and(|at| at <= now)) {
            Some(answer) => self.hear(answer, sent, now, world),
            None if now >= sent + ANSWER => self.send(Asked::Read, now, world),
            None => (),
        }
    }

    fn next_content(&self, now: Duration) -> Content {
        if self.n_commits == 0 {
            return Content::Began;
        }
        if self.is_ending(now) {
            let goes = self.changes.iter().any(|stage| matches!(stage, Stage::Goes(_)));
            return if goes { Content::Nothing } else { Content::Ended };
        }
        let is_due = |nth: &usize| {
            matches!(self.changes[*nth], Stage::Planned) && self.plan.begins + self.plan.changes[*nth].begins <= now
        };
        let intents: BTreeSet<usize> = (0..self.changes.len()).filter(is_due).collect();
        if intents.is_empty() { Content::Nothing } else { Content::Intents(intents) }
    }

    fn send(&mut self, asked: Asked, now: Duration, world: &mut World) {
        let way = self.plan.ways[world.messages.len() % self.plan.ways.len()].clone();
        let is_cut = self.plan.cuts.iter().any(|cut| cut.has(now));
        let arrives = way.there.filter(|_| !is_cut).map_or(Duration::MAX, |there| now + STEP + there);
        let commit = self.commit.clone().unwrap();
        self.asked = Some((world.messages.len(), now));
        world.messages.push(Message { asked, commit, way, arrives, answer: None });
    }

    fn hear(&mut self, answer: Answer, sent: Duration, now: Duration, world: &mut World) {
        let mark = self.commit.as_ref().unwrap().0;
        match answer {
            Answer::Taken(sequence) => {
                let counts_from = if self.counts_from_answer { now } else { sent };
                acknowledged(&self.tenure.hold(), self.clock(counts_from));
                self.committed(sequence, now);
            }
            Answer::Seen(seen) => match judge(mark, self.last, seen) {
                CommitFate::Taken(sequence) => self.committed(sequence, now),
                CommitFate::NotYet => self.send(Asked::Publish, now, world),
                CommitFate::Lost(_) | CommitFate::Stray(_) => self.send(Asked::Read, now, world),
                CommitFate::Replaced => {
                    self.tenure.hold().withdraw();
                    self.is_over = true;
                }
            },
        }
    }

    fn committed(&mut self, sequence: u64, now: Duration) {
        self.tenure.committed(self.clock(now));
        let (mark, content) = self.commit.take().unwrap();
        (self.n_commits, self.last, self.asked) = (mark.number, Some(LastCommit { sequence, mark: Some(mark) }), None);
        match content {
            Content::Began => self.fence = Some(sequence),
            Content::Intents(all) => all.into_iter().for_each(|nth| self.changes[nth] = Stage::Intended(now)),
            Content::Nothing => (),
            Content::Ended => self.is_over = true,
        }
    }

    /// Takes changes to the wire.
    fn let_go(&mut self, now: Duration) {
        let is_held = !self.is_ending(now) && self.tenure.hold().is_held_at(|| self.clock(now));
        if is_held {
            self.may_go_from.get_or_insert(now);
        }
        for nth in 0..self.changes.len() {
            let ChangePlan { waits, leaves_in, .. } = self.plan.changes[nth];
            self.changes[nth] = match self.changes[nth] {
                Stage::Intended(known) if is_held && self.clock(known) + waits <= self.clock(now) => Stage::Goes(now),
                Stage::Goes(since) if self.clock(since) + leaves_in <= self.clock(now) => {
                    let was_stopped = self.plan.stops.iter().any(|stop| since < stop.from && stop.from < now);
                    Stage::Left { at: now, was_stopped }
                }
                same @ (Stage::Planned | Stage::Intended(_) | Stage::Goes(_) | Stage::Left { .. }) => same,
            };
        }
    }

    fn left(&self) -> impl Iterator<Item = (usize, Duration, bool)> {
        self.changes.iter().enumerate().filter_map(|(nth, stage)| match *stage {
            Stage::Left { at, was_stopped } => Some((nth, at, was_stopped)),
            Stage::Planned | Stage::Intended(_) | Stage::Goes(_) => None,
        })
    }
}

/// Lets heads and log go on to the end.
fn play(plans: &[HeadPlan], counts_from_answer: bool) -> (Vec<Head<'_>>, World) {
    let (mut world, mut heads, mut now) = (World::default(), Vec::<Head>::new(), Duration::ZERO);
    while now < END {
        world.step(now);
        while let Some(plan) = plans.get(heads.len()).filter(|plan| plan.begins <= now) {
            heads.push(Head { counts_from_answer, ..Head::begin(heads.len(), plan, &world) });
        }
        for head in &mut heads {
            head.step(now, &mut world);
        }
        now += STEP;
    }
    (heads, world)
}

/// Tells of a change that left when a later head may have sent as well, or of which that one has not read.
fn breach(heads: &[Head<'_>], world: &World) -> Option<String> {
    for before in heads {
        for (change, at, was_stopped) in before.left() {
            let is_its_intent = |commit: &Commit| {
                commit.mark.writer == before.writer
                    && matches!(&commit.content, Content::Intents(all) if all.contains(&change))
            };
            let Some(intent) = (1_u64..).zip(&world.log).find(|(_, commit)| is_its_intent(commit)) else {
                return Some(format!("change {change} of head {} left without an intent", before.nth));
            };
            for after in heads.iter().filter(|after| after.fence > before.fence) {
                if after.fence.is_some_and(|fence| fence < intent.0) {
                    return Some(format!("head {} has not read of change {change} of head {}", after.nth, before.nth));
                }
                // Whoever was stopped on the way to the wire had an open row, which is looked at.
                if !was_stopped && after.may_go_from.is_some_and(|from| from < at) {
                    return Some(format!(
                        "change {change} of head {} left at {at:?}, those of head {} from {:?}",
                        before.nth, after.nth, after.may_go_from
                    ));
                }
            }
        }
    }
    None
}

fn time(up_to: Duration) -> impl Strategy<Value = Duration> {
    let n_steps = u32::try_from(up_to.as_millis() / STEP.as_millis()).unwrap();
    (0..=n_steps).prop_map(|n| STEP * n)
}

fn seconds(n: u64) -> impl Strategy<Value = Duration> {
    time(Duration::from_secs(n))
}

fn way() -> impl Strategy<Value = Way> {
    // Some take longer than anybody waits for them.
    let takes = || prop_oneof![20 => time(Duration::from_millis(60)), 3 => seconds(2), 1 => seconds(8)];
    let sometimes = || prop::option::weighted(0.95, takes());
    (sometimes(), sometimes(), prop_oneof![9 => Just(Duration::ZERO), 1 => seconds(3)])
        .prop_map(|(there, back, shows_ago)| Way { there, back, shows_ago })
}

fn interval() -> impl Strategy<Value = Interval> {
    (seconds(25), seconds(20)).prop_map(|(from, takes)| Interval { from, takes })
}

fn change() -> impl Strategy<Value = ChangePlan> {
    (seconds(25), seconds(8), time(HANDED_OVER + LEAVES_WITHIN)).prop_map(|(begins, waits, leaves_in)| ChangePlan {
        begins,
        waits,
        leaves_in,
    })
}

/// Plan of a head that begins so long after the one before it.
fn head() -> impl Strategy<Value = HeadPlan> {
    let ends = prop::option::weighted(0.2, seconds(25));
    let clock = (seconds(1000), 0.96..1.04_f64);
    (seconds(20), ends, clock, vec(way(), 1..40), vec(interval(), 0..2), vec(interval(), 0..2), vec(change(), 4..24))
        .prop_map(|(begins, ends, (clock_from, clock_rate), ways, stops, cuts, changes)| HeadPlan {
            begins,
            ends,
            clock_from,
            clock_rate,
            ways,
            stops,
            cuts,
            changes,
        })
}

/// Heads that take the run over from each other.
fn heads() -> impl Strategy<Value = Vec<HeadPlan>> {
    vec(head(), 2..=3).prop_map(|mut heads| {
        let mut begins = Duration::ZERO;
        for head in &mut heads {
            begins += head.begins;
            head.begins = begins;
            head.ends = head.ends.map(|ends| begins + ends);
            head.stops.iter_mut().chain(&mut head.cuts).for_each(|interval| interval.from += begins);
        }
        heads
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn no_change_of_a_launch_leaves_once_those_of_the_next_one_may(plans in heads()) {
        let (heads, world) = play(&plans, false);
        prop_assert_eq!(breach(&heads, &world), None);
    }
}

/// A head whose answers come at once, with a change each second.
fn steady(begins: u64) -> HeadPlan {
    let at_once = Way { there: Some(Duration::ZERO), back: Some(STEP), shows_ago: Duration::ZERO };
    let change = |n| ChangePlan { begins: Duration::from_secs(n), waits: STEP, leaves_in: LEAVES_WITHIN };
    HeadPlan {
        begins: Duration::from_secs(begins),
        ends: None,
        clock_from: Duration::from_secs(begins),
        clock_rate: 1.0,
        ways: vec![at_once],
        stops: Vec::new(),
        cuts: Vec::new(),
        changes: (1..30).map(change).collect(),
    }
}

#[test]
fn a_run_that_is_taken_over_goes_on_when_the_grace_is_over() {
    let plans = [steady(0), steady(10)];
    let (heads, world) = play(&plans, false);
    assert_eq!(breach(&heads, &world), None);
    let times = |head: &Head<'_>| head.left().map(|(_, at, _)| at).collect::<Vec<_>>();
    let (before, after) = (times(&heads[0]), times(&heads[1]));
    assert!(before.len() >= 8 && after.len() == 29, "{before:?} {after:?}");
    assert!(before.iter().all(|at| *at <= Duration::from_secs(13)) && after[0] >= Duration::from_secs(18));
}

#[test]
fn a_hold_that_counted_from_the_answer_would_let_changes_of_two_launches_leave() {
    let stop = Interval { from: Duration::from_millis(9_020), takes: Duration::from_secs(12) };
    let plans = [HeadPlan { stops: vec![stop], ..steady(0) }, steady(10)];
    let seen = [false, true].map(|counts_from_answer| {
        let (heads, world) = play(&plans, counts_from_answer);
        breach(&heads, &world).is_some()
    });
    assert_eq!(seen, [false, true]);
}
