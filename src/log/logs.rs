//! Choice of the server that has the logs of runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::alone::Alone;
use super::seam::Log;
use super::served::ServedRun;
use super::server::{ControlAnswer, Lacked, Lead, LedRun, Listening, LogServer, NotLed, NotRead, Restored};
use crate::control::{By, Command};
use crate::hands::{AtWork, Hands, ServedTarget, Serving};
use crate::journal::{Journal, RunKey};

/// Handle to the server of logs of this process.
#[derive(Clone)]
pub(crate) struct Logs(Arc<dyn LogServer>);

impl Logs {
    /// The journal is the log of each of its runs.
    pub(crate) fn alone() -> Self {
        Self::on(Alone)
    }

    pub(crate) fn on(server: impl LogServer + 'static) -> Self {
        Self(Arc::new(server))
    }

    /// Looks whether the server can be asked, see [`LogServer::reach`].
    pub(crate) fn reach(&self) -> Result<(), NotRead> {
        self.0.reach()
    }

    /// Opens the log of the run with this id, see [`LogServer::open`].
    pub(crate) fn of_run(&self, id: &str) -> Result<Box<dyn Log>, NotRead> {
        self.0.open(id)
    }

    /// Reads what others committed, see [`LogServer::catch_up`].
    pub(crate) fn catch_up(&self, journal: &mut Journal, run: RunKey, run_id: &str) -> Result<(), NotRead> {
        self.0.catch_up(journal, run, run_id)
    }

    /// Writes to a log again what it lacks, see [`LogServer::restore`].
    #[cfg_attr(not(any(test, feature = "cluster")), expect(dead_code, reason = "no verb restores a log"))]
    pub(crate) fn restore(
        &self,
        journal: &Journal,
        run: RunKey,
        run_id: &str,
        agrees: &mut dyn FnMut(&Lacked) -> bool,
    ) -> Result<Restored, NotLed> {
        self.0.restore(journal, run, run_id, agrees)
    }

    /// Copies a run into a journal, see [`LogServer::bring`].
    pub(crate) fn bring(&self, journal: &mut Journal, named: &str) -> Result<RunKey, NotRead> {
        self.0.bring(journal, named)
    }

    /// Finds a run, see [`LogServer::find`].
    pub(crate) fn find(&self, named: &str) -> Result<String, NotRead> {
        self.0.find(named)
    }

    /// Looks at runs, see [`LogServer::runs`].
    #[cfg_attr(not(any(test, feature = "cluster")), expect(dead_code, reason = "no verb looks at runs elsewhere"))]
    pub(crate) fn runs(&self, id: Option<&str>) -> Result<Vec<ServedRun>, NotRead> {
        self.0.runs(id)
    }

    /// Finds the run of a key, see [`LogServer::run_of_key`].
    pub(crate) fn run_of_key(&self, run_key: &str) -> Result<Option<String>, NotRead> {
        self.0.run_of_key(run_key)
    }

    /// Removes a run, see [`LogServer::forget`].
    #[cfg_attr(not(any(test, feature = "cluster")), expect(dead_code, reason = "no verb removes a run elsewhere"))]
    pub(crate) fn forget(&self, id: &str, run_key: Option<&str>) -> Result<(), NotRead> {
        self.0.forget(id, run_key)
    }

    /// Tells whether a launch leads the run, see [`LogServer::leads`].
    pub(crate) fn leads(&self, run_id: &str) -> Result<bool, NotRead> {
        self.0.leads(run_id)
    }

    /// Leaves a command for the next launch, see [`LogServer::leave`].
    pub(crate) fn leave(&self, run_id: &str, command: &Command, by: &By) -> Result<(), NotRead> {
        self.0.leave(run_id, command, by)
    }

    /// Asks the launch that leads the run, see [`LogServer::ask`].
    pub(crate) fn ask(
        &self,
        run_id: &str,
        command: &Command,
        by: &By,
        within: Duration,
    ) -> Result<ControlAnswer, NotRead> {
        self.0.ask(run_id, command, by, within)
    }

    /// Gives to the launch what is asked of it, see [`LogServer::attend`].
    pub(crate) fn attend(&self, journal: &Path, run: RunKey, run_id: &str) -> Result<Box<dyn Send>, NotRead> {
        self.0.attend(journal, run, run_id)
    }

    /// Time within which a change is on its way or is never sent, see [`LogServer::leaves_within`].
    pub(crate) fn leaves_within(&self) -> Option<Duration> {
        self.0.leaves_within()
    }

    /// Takes the lead of a run, see [`LogServer::lead`].
    pub(crate) fn lead(&self, led: &LedRun<'_>) -> Result<Box<dyn Lead>, NotLed> {
        self.0.lead(led)
    }

    /// Returns the workers, see [`LogServer::hands`].
    pub(crate) fn hands(&self) -> Result<Option<Arc<dyn Hands>>, NotRead> {
        self.0.hands()
    }

    /// Begins to serve targets, see [`LogServer::serve`].
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone serves nobody"))]
    pub(crate) fn serve(
        &self,
        targets: Vec<ServedTarget>,
        serving: Arc<dyn Serving>,
    ) -> Result<Option<Box<dyn AtWork>>, NotRead> {
        self.0.serve(targets, serving)
    }

    /// Begins to listen for whoever leads a run, see [`LogServer::listen`].
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone listens to nobody"))]
    pub(crate) fn listen(&self, run_id: &str) -> Result<Box<dyn Listening>, NotRead> {
        self.0.listen(run_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::JournalError;
    use crate::log::server::{Before, LedAccount};
    use crate::log::suite::make_run;

    #[test]
    fn a_machine_that_is_alone_has_its_runs_in_the_journal_and_leads_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("night.db");
        make_run(&path);
        let (logs, mut journal) = (Logs::alone(), Journal::open(&path).unwrap());
        let run = journal.runs().unwrap()[0].key;
        logs.catch_up(&mut journal, run, "r1").unwrap();
        assert_eq!(logs.bring(&mut journal, "r").unwrap(), run);
        // It is nowhere else.
        assert_eq!(logs.find("r1").unwrap(), "r1");
        assert_eq!(logs.runs(None).unwrap(), []);
        logs.forget("r1", None).unwrap();
        assert_eq!(journal.runs().unwrap().len(), 1);
        let alone = logs.restore(&journal, run, "r1", &mut |_| true).unwrap_err().to_string();
        assert_eq!(alone, "run r1 has no log besides its journal: there is nothing to restore");
        let absent = logs.bring(&mut journal, "s").unwrap_err();
        assert!(matches!(absent, NotRead::Journal(JournalError::UnknownRun(_))), "{absent}");
        let accounts = [LedAccount { key: "0".to_owned(), name: "one".to_owned() }];
        let (before, last_event) = (Before::NotEnded, None);
        let led = LedRun { id: "r1", launch: 1, accounts: &accounts, run_key: Some("k"), before, last_event };
        logs.lead(&led).unwrap().beat().unwrap();
        assert_eq!(logs.run_of_key("k").unwrap(), None);
    }
}
