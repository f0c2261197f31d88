//! Faults of one server and of the network before it, and hands on the stream.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, DiscardPolicy};
use rand::RngExt as _;
use rustix::process::Signal;

use super::proxy::Proxy;
use super::server::{Server, program, until};
use super::site::Site;
use crate::cluster::connection::ANSWER;
use crate::cluster::message::{CommitMark, WriterId};
use crate::cluster::replay::{NotReplayed, Place};
use crate::cluster::stream::NoStream;
use crate::journal::LogError;
use crate::journal::stamped::Stamped;
use crate::log::appending::NotAppended;
use crate::log::suite::{SuiteWriter, lines_of, seen, waited};

/// A run on a server, and a writer of it who has committed once, behind the commit that made the run.
struct Fault {
    server: Server,
    proxy: Proxy,
    site: Site,
    /// Connection without the proxy in between.
    direct: jetstream::Context,
    /// Writer behind the proxy.
    writer: SuiteWriter,
}

impl Fault {
    fn new() -> Option<Self> {
        let server = Server::alone(&program()?);
        let proxy = Proxy::before(server.port);
        let site = Site::new(1);
        let direct = site.connect(&[server.port]);
        let mut writer = site.writer(&site.connect(&[proxy.port]));
        writer.append(&mut [waited()]).unwrap();
        Some(Self { server, proxy, site, direct, writer })
    }

    /// Reads the log behind a place into the writer's journal.
    fn replay(&mut self, from: Place) -> Result<Place, NotReplayed> {
        self.site.replay_to(&self.direct, from, &mut self.writer)
    }

    fn n_commits(&self) -> usize {
        self.site.n_commits(&self.direct)
    }

    /// Commits once more while something happens to the server or the network. The commit has to be taken.
    fn commit_while(&mut self, happens: impl FnOnce(&mut Server, &Proxy, &dyn Fn() -> usize)) {
        let Self { server, proxy, site, direct, writer } = self;
        thread::scope(|scope| {
            let committing = scope.spawn(|| writer.append(&mut [waited()]));
            happens(server, proxy, &|| site.n_commits(direct));
            committing.join().unwrap().unwrap();
        });
    }

    /// Asserts that the log has as many commits, and that a reader finds in it what the writer's journal has.
    fn has(&self, n_commits: usize) {
        assert_eq!(self.n_commits(), n_commits);
        assert_eq!(self.site.lines(&self.direct), lines_of(&self.writer.journal, self.writer.run));
    }

    fn update(&self, change: impl FnOnce(&mut Config)) {
        self.site.runtime.block_on(async {
            let stream = self.direct.get_stream(&self.site.names.stream).await.unwrap();
            let mut settings = stream.cached_info().config.clone();
            change(&mut settings);
            self.direct.update_stream(settings).await.unwrap();
        });
    }

    fn delete(&self) {
        self.site.runtime.block_on(self.direct.delete_stream(&self.site.names.stream)).unwrap();
    }

    /// Asserts that the writer's next commits fail with this, and that nothing may leave.
    fn has_lost(&mut self, expected: LogError) {
        let began = Instant::now();
        for nth in 0..2 {
            match self.writer.append(&mut [waited()]).unwrap_err() {
                NotAppended::Log(error) => assert_eq!(error, expected),
                other => panic!("{other:?}"),
            }
            assert!(began.elapsed() >= Duration::from_secs(25), "one answer concludes nothing");
            assert!(began.elapsed() < Duration::from_secs(40), "{nth}: what is known is not asked again");
        }
        assert!(self.writer.log.hold().is_withdrawn());
    }
}

#[test]
fn a_commit_that_was_stored_and_not_acknowledged_is_not_stored_again() {
    let Some(mut fault) = Fault::new() else { return };
    fault.proxy.swallow_answers();
    fault.commit_while(|server, proxy, n_commits| {
        until("it is stored", || (n_commits() == 3).then_some(()));
        server.kill();
        server.start();
        // For so long that the first question is not answered either.
        thread::sleep(ANSWER * 2 + Duration::from_secs(1));
        proxy.swallow_nothing();
    });
    fault.has(3);
    fault.writer.append(&mut [waited()]).unwrap();
    fault.has(4);
}

#[test]
fn a_commit_that_did_not_arrive_is_brought_again() {
    let Some(mut fault) = Fault::new() else { return };
    fault.proxy.swallow_all();
    fault.commit_while(|server, proxy, n_commits| {
        until("the hole took something", || proxy.has_swallowed().then_some(()));
        assert_eq!(n_commits(), 2);
        server.kill();
        server.start();
        proxy.swallow_nothing();
    });
    fault.has(3);
}

#[test]
fn a_server_that_is_stopped_for_three_seconds_takes_the_commit_once_and_nothing_leaves_meanwhile() {
    let Some(mut fault) = Fault::new() else { return };
    let hold = fault.writer.log.hold();
    fault.server.signal(Signal::STOP);
    fault.commit_while(|server, _, _| {
        thread::sleep(Duration::from_secs(3));
        let (is_held, is_withdrawn) = (hold.is_held(), hold.is_withdrawn());
        server.signal(Signal::CONT);
        assert!(!is_held && !is_withdrawn);
    });
    fault.has(3);
}

#[test]
fn a_network_that_swallows_everything_for_five_seconds_loses_nothing_and_nothing_leaves_meanwhile() {
    let Some(mut fault) = Fault::new() else { return };
    let hold = fault.writer.log.hold();
    fault.proxy.swallow_all();
    fault.commit_while(|_, proxy, _| {
        thread::sleep(Duration::from_secs(5));
        let (is_held, is_withdrawn) = (hold.is_held(), hold.is_withdrawn());
        proxy.swallow_nothing();
        assert!(!is_held && !is_withdrawn);
    });
    fault.has(3);
}

#[test]
fn nothing_is_lost_and_nothing_is_there_twice_after_twenty_kills_in_two_thousand_commits() {
    const N_COMMITS: u32 = 2000;
    let Some(mut fault) = Fault::new() else { return };
    let mut kills: Vec<u32> = (0..20).map(|_| rand::rng().random_range(0..N_COMMITS)).collect();
    kills.sort_unstable();
    let n_committed = AtomicU32::new(0);
    let Fault { server, writer, .. } = &mut fault;
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..N_COMMITS {
                writer.append(&mut [waited()]).unwrap();
                n_committed.fetch_add(1, Ordering::SeqCst);
            }
        });
        for kill in &kills {
            while n_committed.load(Ordering::SeqCst) < *kill {
                thread::yield_now();
            }
            server.kill();
            server.start();
        }
    });
    fault.has(2 + usize::try_from(N_COMMITS).unwrap());
}

#[test]
fn of_two_writers_the_first_is_replaced_and_stays_so() {
    let Some(mut fault) = Fault::new() else { return };
    let mut second = fault.site.writer(&fault.direct);
    second.append(&mut [waited()]).unwrap();
    for _ in 0..3 {
        let refused = fault.writer.append(&mut [waited()]).unwrap_err();
        assert!(matches!(refused, NotAppended::Replaced), "{refused:?}");
        assert!(fault.writer.log.hold().is_withdrawn());
    }
    second.append(&mut [waited()]).unwrap();
    assert_eq!(fault.n_commits(), 4);
    assert_eq!(fault.site.lines(&fault.direct), lines_of(&second.journal, second.run));
    assert_eq!(lines_of(&fault.writer.journal, fault.writer.run).len(), 2);
}

#[test]
fn the_same_commit_is_taken_once() {
    let Some(fault) = Fault::new() else { return };
    let mark = CommitMark { writer: WriterId::of_launch(2), number: 1, after: 7 };
    let bring = |after| {
        let headers = CommitMark { after, ..mark }.to_headers();
        let publishing = fault.direct.publish_with_headers(fault.site.names.log.clone(), headers, "".into());
        fault.site.runtime.block_on(async { publishing.await.unwrap().await })
    };
    // The run as it was made, in two messages, and the first two commits are there already.
    bring(4).unwrap();
    for after in [0, 1, 2, 3, 4, 6, 7] {
        bring(after).unwrap_err();
    }
    assert_eq!(fault.n_commits(), 3);
}

#[test]
fn the_leave_lapses_a_second_after_the_last_commit_and_a_commit_without_events_extends_it() {
    let Some(mut fault) = Fault::new() else { return };
    let hold = fault.writer.log.hold();
    for _ in 0..2 {
        let began = Instant::now();
        fault.writer.log.commit(&Stamped::default()).unwrap();
        // An acknowledgement that came late gives no leave.
        assert!(hold.is_held() || began.elapsed() > Duration::from_millis(900));
        until("it lapses", || (!hold.is_held()).then_some(()));
        assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
        assert!(!hold.is_withdrawn());
    }
    fault.has(4);
}

#[test]
fn a_batch_that_is_too_large_for_one_message_is_several_commits() {
    let Some(mut fault) = Fault::new() else { return };
    let mut events: Vec<_> = (0..40_000).map(|_| waited()).chain((1..=20).map(seen)).collect();
    fault.writer.append(&mut events).unwrap();
    assert!((4..=7).contains(&fault.n_commits()), "{}", fault.n_commits());
    fault.has(fault.n_commits());
}

#[test]
fn a_stream_that_was_deleted_is_found() {
    let Some(mut fault) = Fault::new() else { return };
    fault.delete();
    fault.has_lost(LogError::Gone { acknowledged: 4 });
    let began = Instant::now();
    let found = fault.replay(Place::default()).unwrap_err();
    assert!(matches!(found, NotReplayed::Gone), "{found:?}");
    assert!(began.elapsed() >= Duration::from_secs(25), "one answer concludes nothing");
    // A server that was replaced may have said so.
    let found = thread::scope(|scope| {
        let reading = scope.spawn(|| fault.site.replay_to(&fault.direct, Place::default(), &mut fault.writer));
        thread::sleep(Duration::from_secs(1));
        Site::new(1).writer(&fault.direct);
        reading.join().unwrap()
    });
    assert!(matches!(found, Err(NotReplayed::LostEnd { .. })), "{found:?}");
}

#[test]
fn a_stream_that_was_deleted_and_made_anew_is_found() {
    let Some(mut fault) = Fault::new() else { return };
    fault.delete();
    fault.site.set_up(&fault.direct).unwrap();
    fault.has_lost(LogError::Shorter { acknowledged: 4, found: 0 });
    let found = fault.replay(Place::default()).unwrap_err();
    assert_eq!(found.to_string(), "the log ends with event 0 of lane 0, and the journal has event 2");
}

#[test]
fn a_stream_that_was_made_anew_and_has_as_many_commits_is_found() {
    let Some(mut fault) = Fault::new() else { return };
    let place = fault.replay(Place::default()).unwrap();
    assert_eq!(fault.replay(place.clone()).unwrap(), place);
    fault.delete();
    Site::new(1).writer(&fault.direct).append(&mut [seen(1)]).unwrap();
    let anew = |fault: &mut Fault| fault.replay(place.clone()).unwrap_err().to_string();
    let expected = "the log was made anew: its message 4 is not the one that was read before";
    assert_eq!(anew(&mut fault), expected, "it ends with the same number");
    // The server takes it behind a commit that is none of this writer's; whoever reads the log finds that.
    fault.writer.append(&mut [waited()]).unwrap();
    assert_eq!(fault.n_commits(), 3);
    assert_eq!(anew(&mut fault), expected);
    let hole = fault.replay(Place::default()).unwrap_err().to_string();
    assert_eq!(hole, "the log has a hole: event 3 of lane 0, in message 5, does not follow event 1");
}

#[test]
fn a_stream_cannot_be_purged_and_one_that_was_trimmed_is_found_by_its_settings_and_by_its_beginning() {
    let Some(mut fault) = Fault::new() else { return };
    for _ in 0..3 {
        fault.writer.append(&mut [waited()]).unwrap();
    }
    fault.site.runtime.block_on(async {
        let stream = fault.direct.get_stream(&fault.site.names.stream).await.unwrap();
        stream.purge().await.unwrap_err();
        stream.delete_message(2).await.unwrap_err();
    });
    fault.has(5);
    fault.update(|settings| {
        settings.max_messages = 2;
        settings.discard = DiscardPolicy::Old;
    });
    let differs = fault.site.set_up(&fault.direct).unwrap_err();
    assert!(matches!(&differs, NoStream::Differs { differences, .. } if differences.len() == 2));
    assert_eq!(
        differs.to_string(),
        "the stream `cutover-r1` is not one that keeps a run: discard is \"old\" and has to be \"new\", max_msgs is 2 and \
         has to be null"
    );
    let found = fault.replay(Place::default()).unwrap_err();
    assert_eq!(found.to_string(), "the log lost its beginning: the first 5 messages are gone");
}

#[test]
fn a_commit_of_a_newer_version_is_refused_in_those_words_and_is_another_writers() {
    let Some(mut fault) = Fault::new() else { return };
    let mut headers = CommitMark { writer: WriterId::of_launch(2), number: 1, after: 4 }.to_headers();
    headers.insert("Cutover-Format", "2");
    fault.site.runtime.block_on(async {
        let publishing = fault.direct.publish_with_headers(fault.site.names.log.clone(), headers, "?".into());
        publishing.await.unwrap().await.unwrap();
    });
    let refused = fault.writer.append(&mut [waited()]).unwrap_err();
    assert!(matches!(refused, NotAppended::Replaced), "{refused:?}");
    match fault.replay(Place::default()).unwrap_err() {
        NotReplayed::Unread { sequence: 5, source } => {
            assert_eq!(source.to_string(), "it was written by a newer cutover (format 2, this program knows 1)");
        }
        other => panic!("{other}"),
    }
}
