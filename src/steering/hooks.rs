//! Hooks of a launch: which are due, and whether a stage begins after them.

use std::collections::VecDeque;

use crate::event::run::RunEvent;
use crate::ledger::steered::Steered;
use crate::waves::Stage;
use crate::waves::hooks::{Hook, HookCall, HookEnd, HookOrigin};

/// Hooks that are there, and whether this launch has come to any.
pub(crate) struct LaunchHooks {
    /// In the order in which they run before something; afterwards they run in the reverse order.
    set: Vec<(Hook, HookOrigin)>,
    has_begun: bool,
}

/// Hook that has ended.
#[derive(Clone, Debug)]
pub(crate) struct HookRun {
    pub(crate) call: HookCall,
    pub(crate) end: HookEnd,
    pub(crate) output: String,
    pub(crate) is_cut: bool,
    pub(crate) elapsed_ms: u64,
}

impl HookRun {
    pub(crate) fn event(&self) -> RunEvent {
        let Self { call: HookCall { hook, from, wave_no, wave }, end, output, is_cut, elapsed_ms } = self.clone();
        RunEvent::HookRan { hook, from, wave_no, wave, end, output, cut: is_cut, elapsed_ms }
    }

    /// Sentence about its end, with the last line of what it said.
    pub(crate) fn told(&self) -> String {
        let said = self.output.lines().map(str::trim).rfind(|line| !line.is_empty());
        let said = said.map_or_else(String::new, |said| format!(": {said}"));
        format!("{} {}{said}", self.call, self.end)
    }
}

impl LaunchHooks {
    pub(crate) fn new(set: Vec<(Hook, HookOrigin)>) -> Self {
        Self { set, has_begun: false }
    }

    /// Hooks to be asked before a stage: those of the run before its first one, and those of its wave unless they have let it begin
    /// already.
    pub(crate) fn before(&self, stage: &Stage, steered: &Steered) -> VecDeque<HookCall> {
        let of_run = if self.has_begun { Vec::new() } else { self.of_run(Hook::BeforeRun) };
        let of_wave = self.of_wave(Hook::BeforeWave, stage);
        let of_wave = of_wave.into_iter().filter(|call| !steered.is_cleared(stage.wave_no, call.from));
        of_run.into_iter().chain(of_wave).collect()
    }

    /// Notes that a hook ran or a stage began, after which there is something to be told of at the end of the launch.
    pub(crate) fn begin(&mut self) {
        self.has_begun = true;
    }

    /// Hooks to be told that a wave has ended.
    pub(crate) fn after_wave(&self, stage: &Stage) -> Vec<HookCall> {
        let mut calls = self.of_wave(Hook::AfterWave, stage);
        calls.reverse();
        calls
    }

    /// Hooks to be told that the launch ends; none if it did not come to its first stage.
    pub(crate) fn after_run(&self) -> Vec<HookCall> {
        let mut calls = if self.has_begun { self.of_run(Hook::AfterRun) } else { Vec::new() };
        calls.reverse();
        calls
    }

    fn of_run(&self, hook: Hook) -> Vec<HookCall> {
        self.from(hook).map(|from| HookCall { hook, from, wave_no: None, wave: None }).collect()
    }

    fn of_wave(&self, hook: Hook, stage: &Stage) -> Vec<HookCall> {
        let call = |from| HookCall { hook, from, wave_no: Some(stage.wave_no), wave: stage.wave.clone() };
        self.from(hook).map(call).collect()
    }

    fn from(&self, hook: Hook) -> impl Iterator<Item = HookOrigin> {
        self.set.iter().filter(move |(known, _)| *known == hook).map(|(_, from)| *from)
    }
}
