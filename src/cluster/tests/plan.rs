//! The run as it was made, on its stream: it is there once, and comes back to the letter or not at all.

use async_nats::jetstream;
use async_nats::jetstream::stream::Stream;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::server::{Server, program};
use super::site::Site;
use crate::cluster::plan::{bring, publish, runs};
use crate::cluster::replay::{Place, replay};
use crate::cluster::stream::Names;
use crate::journal::chain::hex;
use crate::journal::{Journal, JournalError};
use crate::log::suite::{SuiteWriter, begun, lines_of, seen, waited};

struct PlanLab {
    server: Server,
    site: Site,
    jetstream: jetstream::Context,
    folder: TempDir,
}

impl PlanLab {
    fn new() -> Option<Self> {
        let server = Server::alone(&program()?);
        let site = Site::new(1);
        let jetstream = site.connect(&[server.port]);
        Some(Self { server, site, jetstream, folder: tempfile::tempdir().unwrap() })
    }

    fn open(&self, name: &str) -> Journal {
        Journal::open(&self.folder.path().join(name)).unwrap()
    }

    /// Brings the run into a journal, with all of its log.
    fn bring(&self, journal: &mut Journal) -> Result<(), String> {
        let runtime = self.site.runtime.handle();
        let run = bring(runtime, &self.jetstream, &self.site.names, journal).map_err(|error| error.to_string())?;
        let read = replay(runtime, &self.jetstream, &self.site.names, Place::default(), journal, run);
        read.map(drop).map_err(|error| error.to_string())
    }

    /// Brings the run into a journal of its own, in which nothing is left if that is refused.
    fn refused(&self) -> String {
        let mut journal = self.open("refused.db");
        let why = self.bring(&mut journal).unwrap_err();
        assert!(journal.runs().unwrap().is_empty(), "{why}");
        let left = std::fs::read_dir(self.folder.path()).unwrap().count();
        drop(journal);
        assert!(left <= 6, "nothing is left beside the journals");
        why
    }

    fn text(&self, part: u32) -> String {
        let subject = self.site.names.part(part);
        let message = self.site.runtime.block_on(async {
            let stream = self.jetstream.get_stream(&self.site.names.stream).await.unwrap();
            stream.get_last_raw_message_by_subject(&subject).await.unwrap()
        });
        String::from_utf8(message.payload.to_vec()).unwrap()
    }

    /// Puts messages on the stream, which is made anew with nothing of what was there.
    fn anew(&self, messages: &[(String, String)]) {
        self.site.runtime.block_on(self.jetstream.delete_stream(&self.site.names.stream)).unwrap();
        self.site.set_up(&self.jetstream).unwrap();
        for (subject, text) in messages {
            self.put(subject, text);
        }
    }

    fn put(&self, subject: &str, text: &str) {
        let publishing = async {
            let body = text.to_owned().into();
            self.jetstream.publish(subject.to_owned(), body).await.unwrap().await.unwrap()
        };
        self.site.runtime.block_on(publishing);
    }

    fn publish_again(&self, writer: &SuiteWriter, stream: &Stream) -> Result<(), JournalError> {
        let copy = writer.journal.copy_of_run(writer.run).unwrap();
        publish(self.site.runtime.handle(), &self.jetstream, stream, &self.site.names, &copy)
    }
}

#[test]
fn a_run_comes_back_from_its_stream_to_the_letter_while_it_goes_on_and_twice() {
    let Some(lab) = PlanLab::new() else { return };
    let mut writer = lab.site.writer(&lab.jetstream);
    writer.append(&mut [seen(1), begun(1), seen(2)]).unwrap();
    assert_eq!(lab.site.runtime.block_on(runs(&lab.jetstream)).unwrap(), ["r1"]);
    let mut journals = [lab.open("one.db"), lab.open("two.db")];
    lab.bring(&mut journals[0]).unwrap();
    writer.append(&mut [waited(), seen(3)]).unwrap();
    for journal in &mut journals {
        lab.bring(journal).unwrap();
        lab.bring(journal).unwrap();
        let run = journal.runs().unwrap()[0].clone();
        assert_eq!(journal.runs().unwrap().len(), 1);
        assert_eq!(lines_of(journal, run.key), lines_of(&writer.journal, writer.run));
        let record = |journal: &Journal, run| journal.copy_of_run(run).unwrap().record().unwrap();
        assert_eq!(record(journal, run.key), record(&writer.journal, writer.run));
        let head = writer.journal.run(writer.run).unwrap();
        assert_eq!(journal.anchor(&run).unwrap(), writer.journal.anchor(&head).unwrap());
    }
}

#[test]
fn what_is_published_again_is_there_once_and_another_run_is_not_put_in_its_place() {
    let Some(mut lab) = PlanLab::new() else { return };
    let writer = lab.site.writer(&lab.jetstream);
    let stream = lab.site.set_up(&lab.jetstream).unwrap();
    for _ in 0..2 {
        lab.publish_again(&writer, &stream).unwrap();
    }
    lab.bring(&mut lab.open("one.db")).unwrap();
    // A run of the same id that is another one.
    let other = writer.journal.path().to_owned();
    rusqlite::Connection::open(&other).unwrap().execute("UPDATE row SET line = 9 WHERE row = 1", []).unwrap();
    let refused = lab.publish_again(&writer, &stream).unwrap_err().to_string();
    assert_eq!(refused, "the servers of the log have another run of this id");
    // A making that was cut off behind its parts is finished by the same again.
    let parts = [(lab.site.names.part(1), lab.text(1))];
    lab.anew(&parts);
    assert_eq!(lab.refused(), "it was not made to the end");
    rusqlite::Connection::open(&other).unwrap().execute("UPDATE row SET line = 2 WHERE row = 1", []).unwrap();
    lab.publish_again(&writer, &stream).unwrap();
    assert_eq!(lab.refused(), "it was not made to the end");
    lab.server.kill();
    let refused = lab.publish_again(&writer, &stream).unwrap_err().to_string();
    assert_eq!(refused, "the log of the run could not be made: its servers do not take the rows");
}

#[test]
fn a_run_that_is_not_whole_on_its_stream_is_named_and_not_brought() {
    let Some(lab) = PlanLab::new() else { return };
    drop(lab.site.writer(&lab.jetstream));
    let (names, record, part) = (&lab.site.names, lab.text(0), lab.text(1));
    let log = lab.site.runtime.block_on(async {
        let stream = lab.jetstream.get_stream(&names.stream).await.unwrap();
        stream.get_last_raw_message_by_subject(&names.log).await.unwrap()
    });
    let log = String::from_utf8(log.payload.to_vec()).unwrap();
    let whole = |record: &str, part: &str| {
        vec![(names.part(1), part.to_owned()), (names.part(0), record.to_owned()), (names.log.clone(), log.clone())]
    };
    let sum = |text: &str| hex(&Sha256::digest(text));
    let altered = part.replace("vm-7\"", "vm-77\"");
    let other = Names::of_run("r2");
    assert_ne!(other.stream, names.stream);
    let mut twice = whole(&record, &part);
    twice.push((names.part(1), part.clone()));
    let mut stranger = whole(&record, &part);
    stranger.push((names.part(2), part.clone()));
    let no_part = whole(&record, &part).split_off(1);
    let cases = [
        (whole(&record, &altered), "part 1 of the run is not the one that its record names: it was altered"),
        (
            whole(&record.replace(&sum(&part), &sum(&altered)), &altered),
            "the run does not begin with what it was made with: the digest of its plan is not the same",
        ),
        (no_part, "part 1 of the run is missing"),
        (twice, "the message `cutover.r1.plan.1` is there 2 times, and not once"),
        (stranger, "the message `cutover.r1.plan.2` is none of the 1 parts that the record of the run names"),
        (
            whole(&record.replace("{\"format\":1", "{\"format\":2"), &part),
            "the record of the run was written by a newer cutover (format 2, this program knows 1)",
        ),
        (whole(&record.replace("\"id\":\"r1\"", "\"id\":\"r2\""), &part), "the record is that of another run, r2"),
        (whole("☃", &part), "the record of the run is not as cutover writes it: expected value at line 1 column 1"),
    ];
    for (messages, why) in cases {
        lab.anew(&messages);
        assert_eq!(lab.refused(), why);
    }
    lab.anew(&whole(&record, &part));
    // The headers of the commit are gone with the stream that was made anew.
    let why = lab.bring(&mut lab.open("whole.db")).unwrap_err();
    assert!(why.starts_with("message 3 of the log cannot be read"), "{why}");
}
