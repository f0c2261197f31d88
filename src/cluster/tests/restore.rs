//! A log that lost something, and a journal that has it.

use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, DiscardPolicy};

use super::server::{Server, program};
use super::site::Site;
use crate::cluster::plan::check;
use crate::cluster::replay::{Place, compare};
use crate::cluster::restore::Restoring;
use crate::journal::stored::EventOrder;
use crate::log::suite::{SuiteWriter, begun, lines_of, seen, waited};

/// Message of a stream: its subject, its headers and its text.
type Message = (String, HeaderMap, Vec<u8>);

struct RestoreLab {
    _server: Server,
    site: Site,
    jetstream: jetstream::Context,
    /// Writer whose journal has four commits, behind the one that made the run.
    writer: SuiteWriter,
}

impl RestoreLab {
    fn new() -> Option<Self> {
        let server = Server::alone(&program()?);
        let site = Site::new(1);
        let jetstream = site.connect(&[server.port]);
        let mut writer = site.writer(&jetstream);
        for mut events in [vec![waited()], vec![seen(1), seen(2), begun(1)], vec![waited(), seen(4)], vec![seen(3)]] {
            writer.append(&mut events).unwrap();
        }
        Some(Self { _server: server, site, jetstream, writer })
    }

    /// Writes what the log lacks. Returns the number of the events.
    fn restore(&self) -> Result<u64, String> {
        let (runtime, jetstream, names) = (self.site.runtime.handle(), &self.jetstream, self.site.names.clone());
        let (journal, run) = (&self.writer.journal, self.writer.run);
        let compared = compare(runtime, jetstream, &names, journal, run).map_err(|error| error.to_string())?;
        let n_events = compared.lacking.values().map(|(log, journal)| journal - log).sum();
        let restoring = Restoring { runtime, jetstream, names, n_replicas: 1, journal, run };
        restoring.write("r1", &compared).map_err(|error| error.to_string())?;
        Ok(n_events)
    }

    /// Looks whether the stream has the run as it was made.
    fn check(&self) -> Result<(), String> {
        let (runtime, names) = (self.site.runtime.handle(), &self.site.names);
        check(runtime, &self.jetstream, names, &self.writer.journal).map_err(|error| error.to_string())
    }

    /// Asserts that whoever reads the log from its beginning finds what the journal has.
    fn is_whole(&self) {
        assert_eq!(self.site.lines(&self.jetstream), lines_of(&self.writer.journal, self.writer.run));
    }

    fn messages(&self) -> Vec<Message> {
        self.site.runtime.block_on(async {
            let stream = self.jetstream.get_stream(&self.site.names.stream).await.unwrap();
            let mut messages = Vec::new();
            for sequence in 1..=stream.cached_info().state.last_sequence {
                let found = stream.get_raw_message(sequence).await.unwrap();
                messages.push((found.subject.to_string(), found.headers, found.payload.to_vec()));
            }
            messages
        })
    }

    fn delete(&self) {
        self.site.runtime.block_on(self.jetstream.delete_stream(&self.site.names.stream)).unwrap();
    }

    /// Makes the stream anew with these messages alone.
    fn put_back(&self, messages: &[Message]) {
        self.delete();
        self.site.set_up(&self.jetstream).unwrap();
        publish(&self.site, &self.jetstream, messages);
    }

    fn update(&self, change: impl FnOnce(&mut Config)) {
        self.site.runtime.block_on(async {
            let stream = self.jetstream.get_stream(&self.site.names.stream).await.unwrap();
            let mut settings = stream.cached_info().config.clone();
            change(&mut settings);
            self.jetstream.update_stream(settings).await.unwrap();
        });
    }
}

fn publish(site: &Site, jetstream: &jetstream::Context, messages: &[Message]) {
    for (subject, headers, text) in messages.iter().cloned() {
        site.runtime.block_on(async {
            let publishing = jetstream.publish_with_headers(subject, headers, text.into());
            publishing.await.unwrap().await.unwrap();
        });
    }
}

#[test]
fn a_log_that_lost_its_end_or_all_of_it_has_all_again_and_one_that_lost_nothing_gets_nothing() {
    let Some(lab) = RestoreLab::new() else { return };
    let messages = lab.messages();
    assert_eq!(lab.restore(), Ok(0));
    // The run as it was made is two of them.
    for (kept, n_events) in [(6, 1), (5, 3), (4, 6), (3, 7), (2, 8), (1, 8), (0, 8)] {
        lab.put_back(&messages[..kept]);
        assert_eq!(lab.restore(), Ok(n_events), "{kept}");
        lab.is_whole();
    }
    lab.delete();
    assert_eq!(lab.restore(), Ok(8));
    lab.is_whole();
    let mut next = lab.site.writer(&lab.jetstream);
    next.append(&mut [seen(5)]).unwrap();
    assert_eq!(lab.restore(), Ok(0), "it has more than the journal");
}

#[test]
fn an_end_that_the_log_lacks_in_one_answer_is_waited_for() {
    let Some(mut lab) = RestoreLab::new() else { return };
    let messages = lab.messages();
    lab.put_back(&messages[..4]);
    std::thread::scope(|scope| {
        let RestoreLab { site, jetstream, writer, .. } = &mut lab;
        let reading = scope.spawn(|| site.replay_to(jetstream, Place::default(), writer).map(|place| place.last));
        std::thread::sleep(std::time::Duration::from_secs(1));
        assert!(!reading.is_finished(), "one answer concludes nothing");
        publish(site, jetstream, &messages[4..]);
        assert_eq!(reading.join().unwrap().unwrap().unwrap().sequence, 7);
    });
}

#[test]
fn a_run_that_lost_its_record_or_its_rows_is_named_and_its_journal_has_them() {
    let Some(lab) = RestoreLab::new() else { return };
    let messages = lab.messages();
    assert_eq!(lab.check(), Ok(()));
    for (lost, named) in
        [(0, "part 1 of the run is missing"), (1, "the record of the run is missing, and its log is there")]
    {
        let mut left = messages.clone();
        left[lost] = (lab.site.names.say.clone(), HeaderMap::new(), b"?".to_vec());
        lab.put_back(&left);
        assert_eq!(lab.check(), Err(named.to_owned()));
        assert_eq!(lab.restore(), Ok(0), "no event is lost");
        assert_eq!(lab.check(), Ok(()));
        lab.is_whole();
    }
    let mut altered = messages;
    altered[0].2.push(b' ');
    lab.put_back(&altered);
    let named = "part 1 of the run is not the one that its record names: it was altered";
    assert_eq!(lab.check(), Err(named.to_owned()));
}

#[test]
fn a_log_that_has_something_else_is_left_as_it_is_and_named() {
    let Some(lab) = RestoreLab::new() else { return };
    let messages = lab.messages();
    lab.put_back(&messages[..4]);
    lab.site.writer(&lab.jetstream).append(&mut [seen(5)]).unwrap();
    let forked = lab.restore().unwrap_err();
    assert_eq!(forked, "event 1 of lane 1, in message 5 of the log, is another one than in the journal");
    lab.put_back(&messages[..6]);
    lab.site.writer(&lab.jetstream).append(&mut [seen(6)]).unwrap();
    let forked = lab.restore().unwrap_err();
    assert_eq!(forked, "the log has event 3 of lane 2, which the journal lacks, and lacks others that the journal has");
    assert_eq!(lab.messages().len(), 7);
}

#[test]
fn a_log_that_lost_its_beginning_or_is_set_otherwise_is_refused() {
    let Some(lab) = RestoreLab::new() else { return };
    let messages = lab.messages();
    lab.put_back(&messages[..4]);
    lab.update(|settings| settings.max_age = std::time::Duration::from_hours(1));
    let differs = lab.restore().unwrap_err();
    assert!(differs.starts_with("the stream `cutover-r1` is not one that keeps a run: "), "{differs}");
    lab.update(|settings| {
        settings.max_messages = 2;
        settings.discard = DiscardPolicy::Old;
    });
    assert_eq!(lab.restore().unwrap_err(), "the log lost its beginning: the first 2 messages are gone");
}

#[test]
fn events_are_written_in_the_order_of_their_times_and_those_of_a_lane_in_theirs() {
    let Some(lab) = RestoreLab::new() else { return };
    let (journal, run) = (&lab.writer.journal, lab.writer.run);
    let mut written = Vec::new();
    let heads = journal.heads(run).unwrap().into_iter().map(|(lane, ..)| (lane, 0)).collect();
    let mut note = |lane, seq, at| written.push((lane, seq, at));
    journal
        .for_each_event_behind(run, &heads, |event| {
            note(event.lane, event.seq, event.at_ms);
            Ok(())
        })
        .unwrap();
    let mut by_lane = Vec::new();
    let each = |event: crate::journal::stored::StoredEvent<'_>| {
        by_lane.push((event.lane, event.seq, event.at_ms));
        Ok::<(), crate::journal::JournalError>(())
    };
    journal.for_each_stored_event(run, EventOrder::ByLane, each).unwrap();
    assert!(written.is_sorted_by_key(|(_, _, at)| *at), "{written:?}");
    written.sort_by_key(|(lane, ..)| *lane);
    assert_eq!(written, by_lane);
}
