//! Observer that has receivers of notices told when the run begins, waits for somebody, or stops early. It reads nothing and waits for
//! nothing: the recorder goes on at once.

use std::io;

use super::inputs::Launch;
use super::venue::Venue;
use crate::control::{Command, Paused, Wait};
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::run::{DrainReason, RunEvent};
use crate::journal::Journal;
use crate::model::SourceId;
use crate::notices::notice::Occasion;
use crate::recorder::observer::Observer;
use crate::report::story::sentence;
use crate::verb::notices::{NoticedRun, Notices};

pub(super) struct NoticeObserver {
    notices: Notices,
    /// Occasions that the beginning of the launch is.
    at_first: Vec<Occasion>,
}

impl Launch {
    /// Says which run the notices are about; `None` if nobody is told. A pause that holds at the beginning is told with it, because no
    /// event says it.
    pub(super) fn notice_observer(&self, journal: &Journal, pauses: &[Paused]) -> Option<NoticeObserver> {
        let notices = &self.notices;
        if !notices.has_receivers() {
            return None;
        }
        let credentials = self.accounts.iter().find_map(|account| match account.venue {
            Venue::Service(_) => account.credentials.clone(),
            // Its token is for the sandbox in this process alone.
            Venue::Sandbox(_) | Venue::Workers(_) => None,
        });
        let (journal, launch) = (journal.path().to_owned(), self.run.launches + 1);
        notices.are_about(NoticedRun { journal, key: self.run.key, run: self.run.id.clone(), launch }, credentials);
        let waits = (!pauses.is_empty()).then_some(Occasion::Waiting);
        let at_first = std::iter::once(Occasion::Start).chain(waits).collect();
        Some(NoticeObserver { notices: notices.clone(), at_first })
    }
}

impl Observer for NoticeObserver {
    fn on_event(&mut self, event: &Event, _: Option<&SourceId>) -> io::Result<()> {
        let EventKind::Run(of_run) = &event.kind else { return Ok(()) };
        for about in self.occasions(of_run) {
            let said = (about == Occasion::Halt).then(|| sentence(&event.kind));
            self.notices.tell(about, said);
        }
        Ok(())
    }
}

impl NoticeObserver {
    /// Occasions that an event is.
    fn occasions(&self, event: &RunEvent) -> Vec<Occasion> {
        match event {
            RunEvent::LaunchBegan { .. } => self.at_first.clone(),
            RunEvent::WaitBegan { cause: Wait::Approval, .. }
            | RunEvent::Controlled { command: Command::Pause, .. } => vec![Occasion::Waiting],
            RunEvent::DrainBegan { reason, .. } if is_halt(*reason) => vec![Occasion::Halt],
            RunEvent::Started { .. }
            | RunEvent::DrainBegan { .. }
            | RunEvent::StageBegan { .. }
            | RunEvent::StageEnded { .. }
            | RunEvent::WaitBegan { cause: Wait::Soak | Wait::Window, .. }
            | RunEvent::WaitEnded
            | RunEvent::Controlled { .. }
            | RunEvent::HookRan { .. }
            | RunEvent::LaunchEnded { .. } => Vec::new(),
        }
    }
}

/// Tells whether a drain is a halt. A signal is none: whoever sent it knows.
fn is_halt(reason: DrainReason) -> bool {
    match reason {
        DrainReason::Interrupted | DrainReason::Terminated | DrainReason::HungUp => false,
        DrainReason::JournalClosed
        | DrainReason::JournalGone
        | DrainReason::Panicked
        | DrainReason::Halted
        | DrainReason::StageLeft
        | DrainReason::Window
        | DrainReason::TooLong
        | DrainReason::Unapproved
        | DrainReason::Vetoed
        | DrainReason::NotBegun
        | DrainReason::Operator => true,
    }
}
