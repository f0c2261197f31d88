//! A run of two accounts with its log, and the writers of it.

use std::sync::OnceLock;

use async_nats::jetstream;
use tokio::runtime::Runtime;

use super::server::until;
use crate::cluster::admission::ServerAccess;
use crate::cluster::connection::{Denials, connect};
use crate::cluster::log::{LastCommit, StreamLog};
use crate::cluster::message::WriterId;
use crate::cluster::replay::{NotReplayed, Place, replay};
use crate::cluster::stream::{Names, NoStream, set_up};
use crate::cluster::tenure::Succession;
use crate::log::memory::LogLine;
use crate::log::suite::{Made, SuiteWriter, lines_of};

pub(super) struct Site {
    /// The run as it was made, once there is a log to make it behind.
    made: OnceLock<Made>,
    pub(super) runtime: Runtime,
    pub(super) names: Names,
    n_replicas: usize,
}

impl Site {
    pub(super) fn new(n_replicas: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { made: OnceLock::new(), runtime, names: Names::of_run("r1"), n_replicas }
    }

    /// Connects to servers by their ports.
    pub(super) fn connect(&self, ports: &[u16]) -> jetstream::Context {
        let servers: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        self.runtime.block_on(connect(&servers, &ServerAccess::default(), &Denials::default())).unwrap()
    }

    pub(super) fn set_up(&self, jetstream: &jetstream::Context) -> Result<jetstream::stream::Stream, NoStream> {
        self.runtime.block_on(set_up(jetstream, &self.names, self.n_replicas))
    }

    /// Returns a writer that has read all of the log. The first one makes the run.
    pub(super) fn writer(&self, jetstream: &jetstream::Context) -> SuiteWriter {
        let (mut journal, run) = self.made(jetstream).journal();
        let place = replay(self.runtime.handle(), jetstream, &self.names, Place::default(), &mut journal, run).unwrap();
        SuiteWriter::new(journal, Box::new(self.log_behind(place.last, jetstream)))
    }

    fn made(&self, jetstream: &jetstream::Context) -> &Made {
        self.made.get_or_init(|| Made::behind(&mut self.log_behind(None, jetstream)))
    }

    fn log_behind(&self, last: Option<LastCommit>, jetstream: &jetstream::Context) -> StreamLog {
        let stream = self.set_up(jetstream).unwrap();
        let (writer, runtime) = (WriterId::of_launch(1), self.runtime.handle().clone());
        StreamLog::behind(last, Succession::InOrder, writer, runtime, jetstream.clone(), stream, self.names.clone())
    }

    /// Returns all events of the log, as whoever has only the run as it was made reads them. Servers that have just been started again
    /// may not answer at once.
    pub(super) fn lines(&self, jetstream: &jetstream::Context) -> Vec<LogLine> {
        until("the log is read", || {
            let (mut journal, run) = self.made(jetstream).journal();
            match replay(self.runtime.handle(), jetstream, &self.names, Place::default(), &mut journal, run) {
                Err(NotReplayed::NoAnswer(_)) => None,
                read => Some(read.map(|_| lines_of(&journal, run)).unwrap()),
            }
        })
    }

    /// Reads the log behind a place into the journal of a writer.
    pub(super) fn replay_to(
        &self,
        jetstream: &jetstream::Context,
        from: Place,
        writer: &mut SuiteWriter,
    ) -> Result<Place, NotReplayed> {
        let SuiteWriter { journal, run, .. } = writer;
        replay(self.runtime.handle(), jetstream, &self.names, from, journal, *run)
    }

    /// Counts the messages of the log.
    pub(super) fn n_commits(&self, jetstream: &jetstream::Context) -> usize {
        self.runtime.block_on(async {
            let stream = jetstream.get_stream_no_info(&self.names.stream).await.unwrap();
            let mut found = stream.info_with_subjects(&self.names.log).await.unwrap();
            futures_util::StreamExt::next(&mut found).await.map_or(0, |found| found.unwrap().1)
        })
    }
}
