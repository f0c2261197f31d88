//! Three servers that replicate the stream.

use std::time::{Duration, Instant};

use async_nats::jetstream;
use rustix::process::Signal;

use super::server::{Server, program, three, until};
use super::site::Site;
use crate::log::suite::{SuiteWriter, lines_of, waited};

/// A run on three servers, and a writer of it.
struct Replicated {
    servers: Vec<Server>,
    site: Site,
    jetstream: jetstream::Context,
    writer: SuiteWriter,
    n_commits: usize,
}

impl Replicated {
    fn new() -> Option<Self> {
        let servers = three(&program()?);
        let site = Site::new(3);
        let jetstream = site.connect(&servers.iter().map(|server| server.port).collect::<Vec<_>>());
        // Until the servers have found each other, none of them can make a stream.
        until("the stream is made", || site.set_up(&jetstream).ok());
        let writer = site.writer(&jetstream);
        // The run is made by the first one.
        Some(Self { servers, site, jetstream, writer, n_commits: 1 })
    }

    fn commit(&mut self, n: usize) {
        for _ in 0..n {
            self.writer.append(&mut [waited()]).unwrap();
        }
        self.n_commits += n;
    }

    /// Returns the position of the server that leads the stream, once there is one.
    fn leader(&self) -> usize {
        until("the stream has a leader", || {
            let stream = self.site.runtime.block_on(self.jetstream.get_stream(&self.site.names.stream)).ok()?;
            let name = stream.cached_info().cluster.as_ref()?.leader.clone()?;
            name.strip_prefix('n')?.parse().ok()
        })
    }

    /// Waits until every server has all of the stream. Of two that are left where one of them lacks some, none may come to lead.
    fn have_caught_up(&self) {
        until("every server has all of it", || {
            let stream = self.site.runtime.block_on(self.jetstream.get_stream(&self.site.names.stream)).ok()?;
            let others = &stream.cached_info().cluster.as_ref()?.replicas;
            (others.len() == 2 && others.iter().all(|other| other.current)).then_some(())
        });
    }

    /// Asserts that the log has each commit once, and that a reader finds in it what the writer's journal has.
    fn has_all(&self) {
        until("each commit is there once", || (self.site.n_commits(&self.jetstream) == self.n_commits).then_some(()));
        assert_eq!(self.site.lines(&self.jetstream), lines_of(&self.writer.journal, self.writer.run));
    }
}

#[test]
fn commits_go_on_behind_killed_leaders_and_none_is_lost_or_there_twice() {
    let Some(mut replicated) = Replicated::new() else { return };
    for _ in 0..3 {
        replicated.commit(50);
        let leader = replicated.leader();
        replicated.servers[leader].kill();
        replicated.commit(50);
        replicated.servers[leader].start();
        replicated.have_caught_up();
    }
    replicated.has_all();
}

/// A leader that wakes answers for a while as if it still led.
#[test]
fn commits_go_on_beside_a_leader_that_is_stopped_for_eight_seconds() {
    let Some(mut replicated) = Replicated::new() else { return };
    replicated.commit(50);
    let leader = replicated.leader();
    replicated.servers[leader].signal(Signal::STOP);
    let began = Instant::now();
    replicated.commit(50);
    std::thread::sleep(Duration::from_secs(8).saturating_sub(began.elapsed()));
    replicated.servers[leader].signal(Signal::CONT);
    replicated.commit(200);
    replicated.has_all();
}
