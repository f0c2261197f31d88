//! Inputs of one launch.

use std::collections::HashMap;

use super::accounts::account::Account;
use super::ready::Prepared;
use super::request::LaunchRequest;
use crate::clock::Clock;
use crate::console::Console;
use crate::event::Event;
use crate::exit::Exit;
use crate::journal::read::runs::RunRecord;
use crate::model::SourceId;
use crate::model::state::SeenState;
use crate::plan::paper::Paper;
use crate::recorder::sent::Sent;
use crate::settings::Settings;
use crate::verb::error::{AfterChanges, CommandError};

/// Inputs of one launch, which stay as they are until it has ended.
pub(super) struct Launch {
    pub(super) console: Console,
    pub(super) settings: Settings,
    pub(super) run: RunRecord,
    /// Event with which the run began, if this process made it.
    pub(super) begun: Option<Event>,
    pub(super) accounts: Vec<Account>,
    pub(super) request: LaunchRequest,
    /// Everything that the plan says besides its rows; with a seal, the states have to be those that it saw.
    pub(super) paper: Paper,
    pub(super) clock: Clock,
    /// States in which servers were seen, for a rehearsal that begins there.
    pub(super) live: Option<HashMap<SourceId, SeenState>>,
    /// Changes that have left.
    pub(super) sent: Sent,
}

impl Launch {
    pub(super) fn new(prepared: Prepared, run: RunRecord, begun: Option<Event>) -> Self {
        let Prepared { context, request, paper, accounts } = prepared;
        Self {
            console: context.console,
            settings: context.settings,
            run,
            begun,
            accounts,
            request,
            paper,
            clock: Clock::OfMachine,
            live: None,
            sent: Sent::default(),
        }
    }

    /// The one place in which a code is held against what this launch has sent.
    pub(super) fn as_sent(&self, exit: Exit) -> Exit {
        if self.sent.n() > 0 { exit.after_a_change() } else { exit }
    }

    /// The error that kept it from its end. After a change has left, nothing says that none was sent.
    pub(super) fn failed(&self, error: CommandError) -> CommandError {
        match self.sent.n() {
            0 => error,
            n_sent => AfterChanges { n_sent, error: Box::new(error) }.into(),
        }
    }
}
