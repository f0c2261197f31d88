//! Inputs of a launch.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::accounts::account::Account;
use super::ready::Prepared;
use super::request::LaunchRequest;
use crate::clock::Clock;
use crate::console::Console;
use crate::event::Event;
use crate::exit::Exit;
use crate::hooks::HookCommand;
use crate::journal::read::runs::RunRecord;
use crate::log::logs::Logs;
use crate::model::SourceId;
use crate::model::state::SeenState;
use crate::plan::paper::Paper;
use crate::recorder::sent::Sent;
use crate::settings::Settings;
use crate::verb::error::{AfterChanges, CommandError};
use crate::verb::notices::Notices;

/// Inputs of a launch, constant until it has ended, and the counts of changes that it would send and has sent.
pub(super) struct Launch {
    pub(super) console: Console,
    pub(super) settings: Settings,
    pub(super) run: RunRecord,
    /// First event of the run, if this launch made it.
    pub(super) begun: Option<Event>,
    pub(super) accounts: Vec<Account>,
    pub(super) request: LaunchRequest,
    /// Terms of the plan, and its seal, with which states are compared.
    pub(super) paper: Paper,
    /// Commands around the run and its waves.
    pub(super) hooks: Vec<HookCommand>,
    pub(super) clock: Clock,
    /// Live states of the servers, for a rehearsal that begins with them.
    pub(super) live: Option<HashMap<SourceId, SeenState>>,
    /// Rows to which a change may be sent, once the difference was told.
    pub(super) n_changes: OnceLock<u64>,
    /// Changes that have been sent.
    pub(super) sent: Sent,
    /// Logs of the runs in the journal.
    pub(super) logs: Logs,
    /// Notices to receivers outside.
    pub(super) notices: Notices,
}

impl Launch {
    pub(super) fn new(prepared: Prepared, run: RunRecord, begun: Option<Event>) -> Self {
        let Prepared { context, request, paper, accounts, hooks } = prepared;
        Self {
            console: context.console,
            settings: context.settings,
            run,
            begun,
            accounts,
            request,
            paper,
            hooks,
            clock: Clock::OfMachine,
            live: None,
            n_changes: OnceLock::new(),
            sent: Sent::default(),
            logs: context.logs,
            notices: context.notices,
        }
    }

    /// Exit for this launch: once it has sent a change, no exit says that nothing was sent.
    pub(super) fn as_sent(&self, exit: Exit) -> Exit {
        if self.sent.n() > 0 { exit.after_a_change() } else { exit }
    }

    /// Error of this launch: once it has sent a change, the error counts them.
    pub(super) fn failed(&self, error: CommandError) -> CommandError {
        match self.sent.n() {
            0 => error,
            n_sent => AfterChanges { n_sent, error: Box::new(error) }.into(),
        }
    }
}
