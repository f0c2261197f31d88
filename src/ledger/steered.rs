//! Sum of the events of a run's own lane: who steered it, its waits, and what was skipped and released.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::control::{By, CONTROL, Command, Paused, Taken, Waits};
use crate::event::run::RunEvent;
use crate::waves::hooks::{Hook, HookEnd, HookOrigin};
use crate::waves::{Part, Stage};

/// State of a run's steering.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steered {
    /// Pauses in force: one by hand, and one for each flag file.
    pub paused: Vec<Paused>,
    pub waits: Option<Waits>,
    pub stage: Option<Stage>,
    /// Released parts, by the wave's name.
    pub released: Vec<(String, Option<Part>)>,
    /// Skipped source ids, with the commands' givers.
    pub skipped: BTreeMap<String, By>,
    pub history: Vec<Taken>,
    /// Estimate that was recorded as the stage began.
    pub forecast: Option<String>,
    /// Hooks that have run, in their order.
    pub hooks: Vec<RanHook>,
    /// Number of the last launch.
    pub launch: u32,
    /// Wave for which hooks have given leave.
    pub cleared: Option<ClearedWave>,
}

/// Hook that has run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RanHook {
    pub at: Timestamp,
    pub launch: u32,
    pub hook: Hook,
    pub from: HookOrigin,
    pub wave: Option<String>,
    pub end: HookEnd,
    pub elapsed_ms: u64,
    /// Last line of what it said.
    pub said: Option<String>,
}

/// Wave that was begun, with the hooks that need not be asked about it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClearedWave {
    pub wave_no: u32,
    pub by: Vec<HookOrigin>,
}

impl Steered {
    /// Adds an event of the run's own lane.
    pub fn add(&mut self, at: Timestamp, event: &RunEvent) {
        match event {
            RunEvent::LaunchBegan { .. } | RunEvent::LaunchEnded { .. } => {
                if let RunEvent::LaunchBegan { launch, .. } = event {
                    self.launch = *launch;
                }
                // A finished run may be opened again: then each wave begins anew.
                if let RunEvent::LaunchEnded { exit, .. } = event
                    && exit.is_finished()
                {
                    self.cleared = None;
                }
                (self.waits, self.stage, self.forecast) = (None, None, None);
                // A pause by flag file is not carried over: the file itself tells whether it still holds.
                self.paused.retain(|paused| paused.by.via == CONTROL);
            }
            RunEvent::StageBegan { stage, forecast, rows: _ } => {
                self.waits = None;
                self.stage = Some(stage.clone());
                self.forecast.clone_from(forecast);
            }
            RunEvent::StageEnded { .. } => (self.stage, self.forecast) = (None, None),
            RunEvent::WaitBegan { cause, stage, until } => {
                self.waits = Some(Waits { cause: *cause, stage: stage.clone(), since: at, until: *until });
            }
            RunEvent::WaitEnded => self.waits = None,
            RunEvent::Controlled { command, by, control: _ } => self.take(at, command, by),
            RunEvent::HookRan { hook, from, wave_no, wave, end, output, cut: _, elapsed_ms } => {
                if let (Hook::BeforeWave, Some(wave_no), true) = (hook, wave_no, end.is_success()) {
                    self.clear(*wave_no, *from);
                }
                let said = output.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned);
                self.hooks.push(RanHook {
                    at,
                    launch: self.launch,
                    hook: *hook,
                    from: *from,
                    wave: wave.clone(),
                    end: end.clone(),
                    elapsed_ms: *elapsed_ms,
                    said,
                });
            }
            RunEvent::Started { .. } | RunEvent::DrainBegan { .. } => (),
        }
    }

    /// Keeps in mind that a hook has let a wave begin; waves before it are over.
    fn clear(&mut self, wave_no: u32, from: HookOrigin) {
        let cleared = self.cleared.take().filter(|cleared| cleared.wave_no == wave_no);
        let mut by = cleared.map_or_else(Vec::new, |cleared| cleared.by);
        by.push(from);
        self.cleared = Some(ClearedWave { wave_no, by });
    }

    fn take(&mut self, at: Timestamp, command: &Command, by: &By) {
        self.history.push(Taken { at, command: command.clone(), by: by.clone() });
        match command {
            Command::Pause => {
                if !self.paused.iter().any(|paused| paused.by.via == by.via) {
                    self.paused.push(Paused { by: by.clone(), since: at });
                }
            }
            Command::Continue => self.paused.retain(|paused| paused.by.via != by.via),
            Command::Skip { source_id } => _ = self.skipped.insert(source_id.clone(), by.clone()),
            Command::Unskip { source_id } => _ = self.skipped.remove(source_id),
            Command::Release { wave, part } => self.released.push((wave.clone(), *part)),
            // These hold until the end of the launch that took them.
            Command::Rate { .. } | Command::Concurrency { .. } | Command::Drain | Command::Abort => (),
        }
    }

    /// Tells whether a hook before the wave has succeeded, and the wave has gone on since.
    #[must_use]
    pub fn is_cleared(&self, wave_no: u32, by: HookOrigin) -> bool {
        self.cleared.as_ref().is_some_and(|cleared| cleared.wave_no == wave_no && cleared.by.contains(&by))
    }

    #[must_use]
    pub fn is_released(&self, wave: &str, of: Part) -> bool {
        self.released.iter().any(|(name, part)| name == wave && part.unwrap_or(Part::Canary) == of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::run::RunEvent;

    fn by(via: &str) -> By {
        By { host: "h".into(), via: via.into(), ..By::default() }
    }

    fn steered(commands: &[(Command, &str)]) -> Steered {
        let mut steered = Steered::default();
        for (command, via) in commands {
            let kind = RunEvent::Controlled { command: command.clone(), by: by(via), control: None };
            steered.add(Timestamp::UNIX_EPOCH, &kind);
        }
        steered
    }

    #[test]
    fn who_paused_is_who_continues() {
        let both = [(Command::Pause, CONTROL), (Command::Pause, "/flag"), (Command::Continue, CONTROL)];
        let steered = steered(&both);
        assert_eq!(steered.paused.len(), 1);
        assert_eq!(steered.paused[0].by.via, "/flag");
        assert_eq!(steered.history.len(), 3);
    }

    #[test]
    fn a_pause_by_hand_outlives_its_launch_and_a_flag_file_does_not() {
        let mut steered = steered(&[(Command::Pause, CONTROL), (Command::Pause, "/flag")]);
        let ended =
            RunEvent::LaunchEnded { exit: crate::exit::Exit::Halted, reason: None, elapsed_ms: 1, refusal: None };
        steered.add(Timestamp::UNIX_EPOCH, &ended);
        assert_eq!(steered.paused.iter().map(|paused| paused.by.via.as_str()).collect::<Vec<_>>(), [CONTROL]);
    }

    #[test]
    fn a_hook_that_succeeded_clears_its_wave_until_the_run_is_finished() {
        let asked = |wave_no, from, code| RunEvent::HookRan {
            hook: Hook::BeforeWave,
            from,
            wave_no: Some(wave_no),
            wave: None,
            end: HookEnd::Exit { code },
            output: String::new(),
            cut: false,
            elapsed_ms: 1,
        };
        let ended = |exit| RunEvent::LaunchEnded { exit, reason: None, elapsed_ms: 1, refusal: None };
        let mut steered = Steered::default();
        let mut add = |event: &RunEvent| {
            steered.add(Timestamp::UNIX_EPOCH, event);
            let waves = [(0, HookOrigin::Settings), (0, HookOrigin::Plan), (1, HookOrigin::Settings)];
            waves.map(|(wave_no, from)| steered.is_cleared(wave_no, from))
        };
        assert_eq!(add(&asked(0, HookOrigin::Settings, 0)), [true, false, false]);
        assert_eq!(add(&asked(0, HookOrigin::Plan, 1)), [true, false, false]);
        assert_eq!(add(&ended(crate::exit::Exit::Halted)), [true, false, false]);
        assert_eq!(add(&asked(0, HookOrigin::Plan, 0)), [true, true, false]);
        assert_eq!(add(&asked(1, HookOrigin::Settings, 0)), [false, false, true]);
        assert_eq!(add(&ended(crate::exit::Exit::NotOnTarget)), [false, false, false]);
    }

    #[test]
    fn a_release_is_of_one_stage() {
        let release = |part| Command::Release { wave: "a".into(), part };
        let steered = steered(&[(release(Some(Part::Rest)), CONTROL)]);
        assert!(steered.is_released("a", Part::Rest));
        assert!(!steered.is_released("a", Part::Canary));
        assert!(!steered.is_released("b", Part::Rest));
    }
}
