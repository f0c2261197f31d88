//! Servers of the sandbox: their true state, the state that reads show, and what moves them.
//!
//! Nothing here waits or reads a clock: every function takes the time, in microseconds since the start. Later moves are kept in a
//! queue and made before anyone looks.

use std::collections::{BTreeMap, HashMap};

use hashbrown::HashTable;

use super::dice;
use super::estate::{Seeded, as_read, cycle_as_read};
use super::ledger::Ledger;
use super::quota::SlidingWindow;
use super::scenario::{Agent, Fault, FaultKind, On, Override, Scenario, Strikes, When};
use crate::model::state::{SeenState, TargetState};
use crate::model::words::Word;

pub(super) struct World {
    pub(super) sources: Vec<SimulatedSource>,
    by_id: HashTable<u32>,
    pub(super) ledger: Ledger,
    pub(super) window: Option<SlidingWindow>,
    /// Number of collections read so far, by which the fault of the next is drawn.
    pub(super) n_pages: u64,
    /// Moves still to come, by time in microseconds and then by order of entry.
    due: BTreeMap<(u64, u64), DueMove>,
    n_due: u64,
    agents: Vec<Agent>,
    stale_us: u64,
    started_ms: u64,
}

pub(super) struct SimulatedSource {
    pub(super) id: Box<str>,
    pub(super) name: Box<str>,
    pub(super) copystate: Word,
    pub(super) migrationcycle: Word,
    shown: ShownState,
    /// States that reads showed before, each with its end in microseconds; kept only as long as a stale read could show it.
    past: Vec<(u64, ShownState)>,
    /// Changes that took effect.
    pub(super) n_changes: u32,
    /// Moves by anyone: an agent does not move a server that somebody moved since.
    n_moves: u32,
    on_change: Option<DrawnFault>,
    on_read: Option<DrawnFault>,
    moved_after_change: Vec<(u64, TargetState)>,
}

/// State that a read shows of a source.
#[derive(Clone)]
pub(super) struct ShownState {
    pub(super) state: Word,
    pub(super) cycle: Word,
    pub(super) state_at_ms: u64,
    pub(super) cycle_at_ms: u64,
}

/// A fault that this source drew, and how often it will still strike (`None`: always).
#[derive(Clone, Copy)]
struct DrawnFault {
    fault: usize,
    left: Option<u32>,
}

/// A future move of a source.
struct DueMove {
    source: u32,
    to: TargetState,
    by: Mover,
}

enum Mover {
    /// A change that was answered at once and takes effect late; holds the index of its ledger entry.
    Change(usize),
    Somebody,
    /// The source's own agent, unless somebody moves it before.
    Agent {
        n_moves: u32,
    },
}

impl World {
    pub(super) fn new(estate: Vec<Seeded>, scenario: &Scenario, seed: u64, started_ms: u64) -> Self {
        let mut world = Self {
            sources: Vec::with_capacity(estate.len()),
            by_id: HashTable::with_capacity(estate.len()),
            ledger: Ledger::default(),
            window: scenario.quota.as_ref().map(|quota| SlidingWindow::new(quota.limit, quota.period)),
            n_pages: 0,
            due: BTreeMap::new(),
            n_due: 0,
            agents: scenario.agents.clone(),
            stale_us: scenario.stale_us,
            started_ms,
        };
        let mut overrides: HashMap<&str, &Override> =
            scenario.overrides.iter().map(|other| (other.id.as_str(), other)).collect();
        for mut seeded in estate {
            match overrides.remove(seeded.source_id.as_str()) {
                Some(Override { missing: true, .. }) => continue,
                Some(Override { state, .. }) => seeded.state = overridden(&seeded.state, state),
                None => (),
            }
            world.add(seeded, scenario, seed);
        }
        // Sources that only the scenario names come last, in its order.
        for other in scenario.overrides.iter().filter(|other| !other.missing) {
            let state = overridden(&SeenState::default(), &other.state);
            world.add(Seeded { source_id: other.id.clone(), name: other.id.clone(), state }, scenario, seed);
        }
        world.put_down_moves(scenario);
        world
    }

    pub(super) fn find(&self, id: &str) -> Option<u32> {
        self.by_id.find(hash(id), |i| self.source(*i).id.eq_ignore_ascii_case(id)).copied()
    }

    pub(super) fn source(&self, i: u32) -> &SimulatedSource {
        &self.sources[i as usize]
    }

    /// Adds a source; one with an id that is already there is ignored.
    fn add(&mut self, seeded: Seeded, scenario: &Scenario, seed: u64) {
        if self.find(&seeded.source_id).is_some() {
            return;
        }
        let i = u32::try_from(self.sources.len()).expect("an estate has fewer than four billion servers");
        let id = seeded.source_id.into_boxed_str();
        let copystate = seeded.state.copystate.unwrap_or_else(|| Word::new("waiting"));
        let migrationcycle = seeded.state.migrationcycle.unwrap_or_else(|| Word::new("setting"));
        let since_ms = self.started_ms.saturating_sub(dice::for_text(seed, "since", &id) % (48 * 3_600_000));
        let shown = ShownState {
            state: as_read(&copystate),
            cycle: cycle_as_read(&migrationcycle, &Word::new("setting")),
            state_at_ms: since_ms,
            cycle_at_ms: since_ms,
        };
        self.sources.push(SimulatedSource {
            on_change: draw(&scenario.faults, On::Change, seed, &id),
            on_read: draw(&scenario.faults, On::Read, seed, &id),
            id,
            name: seeded.name.into_boxed_str(),
            copystate,
            migrationcycle,
            shown,
            past: Vec::new(),
            n_changes: 0,
            n_moves: 0,
            moved_after_change: Vec::new(),
        });
        let sources = &self.sources;
        self.by_id.insert_unique(hash(&sources[i as usize].id), i, |other| hash(&sources[*other as usize].id));
    }

    fn put_down_moves(&mut self, scenario: &Scenario) {
        for by_somebody in &scenario.moves {
            let Some(i) = self.find(&by_somebody.source) else { continue };
            match by_somebody.when {
                When::SinceStart(at_us) => self.later(at_us, i, &by_somebody.to, Mover::Somebody),
                When::AfterFirstChange(after_us) => {
                    self.sources[i as usize].moved_after_change.push((after_us, by_somebody.to.clone()));
                }
            }
        }
    }

    fn later(&mut self, at_us: u64, source: u32, to: &TargetState, by: Mover) {
        self.n_due += 1;
        self.due.insert((at_us, self.n_due), DueMove { source, to: to.clone(), by });
    }

    /// Makes all moves that are due, each at its own time.
    pub(super) fn catch_up(&mut self, now_us: u64) {
        while let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= now_us) {
            let ((at_us, _), DueMove { source, to, by }) = first.remove_entry();
            match by {
                Mover::Change(entry) if self.change(source, &to, at_us) => self.ledger.took_effect(entry),
                Mover::Agent { n_moves } if self.source(source).n_moves != n_moves => (),
                Mover::Somebody | Mover::Agent { .. } => _ = self.move_to(source, &to, at_us),
                Mover::Change(_) => (),
            }
        }
    }

    /// Makes a client's change; returns false if the source is already there.
    pub(super) fn change(&mut self, i: u32, to: &TargetState, now_us: u64) -> bool {
        if !self.move_to(i, to, now_us) {
            return false;
        }
        let source = &mut self.sources[i as usize];
        source.n_changes += 1;
        for (after_us, to) in std::mem::take(&mut source.moved_after_change) {
            self.later(now_us.saturating_add(after_us), i, &to, Mover::Somebody);
        }
        true
    }

    pub(super) fn change_later(&mut self, i: u32, to: &TargetState, at_us: u64) {
        let entry = self.ledger.len();
        self.later(at_us, i, to, Mover::Change(entry));
    }

    /// Moves a source; returns false if it is already there.
    pub(super) fn move_to(&mut self, i: u32, to: &TargetState, now_us: u64) -> bool {
        let (wall_ms, stale_us) = (self.started_ms + now_us / 1000, self.stale_us);
        let source = &mut self.sources[i as usize];
        let before = (stale_us > 0).then(|| source.shown.clone());
        if !source.set(to, wall_ms) {
            return false;
        }
        if let Some(before) = before {
            source.past.retain(|(until_us, _)| until_us.saturating_add(stale_us) > now_us);
            source.past.push((now_us, before));
        }
        source.n_moves += 1;
        let (n_moves, now_at) = (source.n_moves, source.copystate.clone());
        for agent in self.agents.iter().filter(|agent| agent.from == now_at).cloned().collect::<Vec<_>>() {
            self.later(now_us.saturating_add(agent.after_us), i, &agent.to, Mover::Agent { n_moves });
        }
        true
    }

    /// Returns what a read at this moment shows: the true state, or an earlier one.
    pub(super) fn shown(&self, i: u32, now_us: u64) -> &ShownState {
        let source = self.source(i);
        let past = source.past.iter().find(|(until_us, _)| until_us.saturating_add(self.stale_us) > now_us);
        past.map_or(&source.shown, |(_, shown)| shown)
    }

    /// Returns the fault that strikes this request of a source, if any, and counts it as used.
    pub(super) fn strike<'a>(&mut self, i: u32, on: On, faults: &'a [Fault]) -> Option<&'a FaultKind> {
        let drawn = self.sources[i as usize].drawn_mut(on).as_mut()?;
        if let Some(left) = &mut drawn.left {
            *left = left.checked_sub(1)?;
        }
        Some(&faults[drawn.fault].kind)
    }

    /// Returns the fault that a source drew for its changes, whether it struck or not.
    pub(super) fn drawn<'a>(&self, i: u32, faults: &'a [Fault]) -> Option<&'a FaultKind> {
        self.source(i).on_change.map(|drawn| &faults[drawn.fault].kind)
    }
}

impl SimulatedSource {
    fn drawn_mut(&mut self, on: On) -> &mut Option<DrawnFault> {
        match on {
            On::Change => &mut self.on_change,
            // A list concerns no single source.
            On::Read | On::List => &mut self.on_read,
        }
    }

    /// Writes the record; returns false if it already says so.
    fn set(&mut self, to: &TargetState, wall_ms: u64) -> bool {
        let copystate = to.copystate.as_ref().filter(|word| **word != self.copystate);
        let migrationcycle = to.migrationcycle.as_ref().filter(|word| **word != self.migrationcycle);
        if let Some(word) = copystate {
            self.copystate = word.clone();
            self.shown.state = as_read(word);
            self.shown.state_at_ms = wall_ms;
        }
        if let Some(word) = migrationcycle {
            self.migrationcycle = word.clone();
            self.shown.cycle = cycle_as_read(word, &self.shown.cycle);
            self.shown.cycle_at_ms = wall_ms;
        }
        copystate.is_some() || migrationcycle.is_some()
    }
}

fn overridden(seen: &SeenState, by: &TargetState) -> SeenState {
    SeenState {
        copystate: by.copystate.clone().or_else(|| seen.copystate.clone()),
        migrationcycle: by.migrationcycle.clone().or_else(|| seen.migrationcycle.clone()),
    }
}

/// Hashes an id; ids are found in any case and shown as they were first written.
fn hash(id: &str) -> u64 {
    dice::for_text(0, "id", &id.to_ascii_lowercase())
}

/// Draws the fault of a source: a fault that names it comes first, then its roll decides between the shares.
fn draw(faults: &[Fault], on: On, seed: u64, id: &str) -> Option<DrawnFault> {
    let of_kind = || faults.iter().enumerate().filter(move |(_, fault)| fault.on == on);
    let named =
        of_kind().find(|(_, fault)| matches!(&fault.strikes, Strikes::Named(ids) if ids.iter().any(|n| n == id)));
    let salt = match on {
        On::Change => "change",
        On::Read => "read",
        On::List => "list",
    };
    let drawn = named.map(|(i, _)| i).or_else(|| by_share(faults, on, dice::unit(dice::for_text(seed, salt, id))));
    drawn.map(|fault| DrawnFault { fault, left: faults[fault].times })
}

/// Returns the fault in whose share of [0, 1) the roll falls.
pub(super) fn by_share(faults: &[Fault], on: On, roll: f64) -> Option<usize> {
    let mut below = 0.0;
    faults.iter().position(|fault| match &fault.strikes {
        Strikes::Share(share) if fault.on == on => {
            below += share;
            roll < below
        }
        Strikes::Share(_) | Strikes::Named(_) => false,
    })
}
