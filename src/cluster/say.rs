//! Commands to a run from any machine: asked, withdrawn and answered on a subject that the run's stream keeps.
//!
//! Whoever leads the run puts what is asked into the table of its journal into which every process of its own machine puts commands, and
//! answers with what became of it. An ask has an id, which goes into the event of its effect, so that a later launch knows what an
//! earlier one has taken and not answered.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::{Error, Subscriber};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::beat::BeatListener;
use super::connection::{hear, is_connected};
use super::stream::{Names, find};
use crate::control::{By, Command};
use crate::journal::commands::AskedCommand;
use crate::journal::{Journal, JournalError, RunKey};
use crate::log::server::ControlAnswer;

/// Time in which a beat of whoever leads a run is heard, if there is one: more than two of them.
const HEARD_WITHIN: Duration = Duration::from_millis(2500);
/// Longest wait for what was asked before a launch: it begins all the same, and takes it later.
const ASKED_BEFORE: Duration = Duration::from_secs(4);
/// Interval between two looks at what became of commands.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Pause before what is asked is read again, if it could not be read.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Time within which a launch has answered any command that it took before it heard that it was withdrawn.
const IN_HAND_FOR: Duration = Duration::from_secs(2);

/// Message on the subject. One that this program does not know is passed over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
enum Saying {
    Asked { id: String, command: Command, by: Box<By> },
    Withdrawn { id: String },
    Answered { id: String, became: Became },
}

/// End of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Became {
    Taken,
    /// Meant for a launch that had ended.
    Dropped,
}

/// Tells whether whoever leads a run is heard.
pub(super) async fn leads(jetstream: &jetstream::Context, names: &Names) -> Result<bool, Error> {
    let mut hearing = BeatListener::begin(&jetstream.client(), names.beat.clone()).await?;
    Ok(hearing.next_within(HEARD_WITHIN).await.is_some())
}

/// Says something for whoever reads the subject, now or later.
async fn say(jetstream: &jetstream::Context, names: &Names, said: &Saying) -> Result<(), Error> {
    let text = serde_json::to_vec(said).expect("it is plain data");
    jetstream.publish(names.say.clone(), text.into()).await?.await?;
    Ok(())
}

/// Leaves a command for the next launch of a run.
pub(super) async fn leave(
    jetstream: &jetstream::Context,
    names: &Names,
    command: &Command,
    by: &By,
) -> Result<String, Error> {
    let id = format!("{:032x}", rand::random::<u128>());
    let asked = Saying::Asked { id: id.clone(), command: command.clone(), by: Box::new(by.clone()) };
    say(jetstream, names, &asked).await.map(|()| id)
}

/// Asks the launch that leads a run to take a command, and waits for what becomes of it. One that is not taken in that time is withdrawn.
pub(super) async fn ask(
    jetstream: &jetstream::Context,
    names: &Names,
    command: &Command,
    by: &By,
    within: Duration,
) -> Result<ControlAnswer, Error> {
    let client = jetstream.client();
    let mut heard = hear(&client, names.say.clone()).await?;
    let until = Instant::now() + within;
    let mut id = leave(jetstream, names, command, by).await?;
    loop {
        match timeout_at(until, answer_to(&id, &mut heard)).await {
            Ok(Some(Became::Taken)) => return Ok(ControlAnswer::Taken),
            // A launch that begins drops commands meant for the one before, and this one may have been given just then.
            Ok(Some(Became::Dropped)) if !leads(jetstream, names).await? => return Ok(ControlAnswer::Ended),
            Ok(Some(Became::Dropped)) => id = leave(jetstream, names, command, by).await?,
            Ok(None) | Err(_) => break,
        }
    }
    // Withdrawn, so that it does not take effect when nobody expects it any more.
    say(jetstream, names, &Saying::Withdrawn { id: id.clone() }).await?;
    Ok(match timeout(IN_HAND_FOR, answer_to(&id, &mut heard)).await {
        Ok(Some(Became::Taken)) => ControlAnswer::Taken,
        Ok(Some(Became::Dropped) | None) | Err(_) => ControlAnswer::NotTaken,
    })
}

/// Waits for the answer to an ask; `None` once nothing is heard any more.
async fn answer_to(ask: &str, heard: &mut Subscriber) -> Option<Became> {
    loop {
        let message = heard.next().await?;
        match serde_json::from_slice(&message.payload) {
            Ok(Saying::Answered { id, became }) if id == ask => return Some(became),
            Ok(Saying::Answered { .. } | Saying::Asked { .. } | Saying::Withdrawn { .. }) | Err(_) => (),
        }
    }
}

/// Hearing of what is asked of a launch, on a thread of its own, until this is dropped.
pub(super) struct Attending {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Attending {
    pub(super) fn begin(
        runtime: Handle,
        jetstream: jetstream::Context,
        names: Names,
        journal: &Path,
        run: RunKey,
    ) -> Result<Self, JournalError> {
        let ends = Arc::new(AtomicBool::new(false));
        let of_run = AsksOfRun { journal: Journal::open(journal)?, run, waiting: Vec::new(), given: HashMap::new() };
        let (begun, has_begun) = channel();
        let mut attendant =
            Attendant { runtime, jetstream, names, of_run, begun: Some(begun), ends: Arc::clone(&ends) };
        let thread = std::thread::Builder::new().name("asked".to_owned()).spawn(move || attendant.serve()).ok();
        _ = has_begun.recv_timeout(ASKED_BEFORE);
        Ok(Self { ends, thread })
    }
}

impl Drop for Attending {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic of it was told where it happened.
            _ = thread.join();
        }
    }
}

/// Reader of the subject, and writer of answers.
struct Attendant {
    runtime: Handle,
    jetstream: jetstream::Context,
    names: Names,
    of_run: AsksOfRun,
    /// Told once all that was said before the launch has been read.
    begun: Option<Sender<()>>,
    ends: Arc<AtomicBool>,
}

impl Attendant {
    fn serve(&mut self) {
        while !self.ends() {
            // Read from the beginning each time: what was put into the journal is known by its id.
            if self.attend().is_err() {
                std::thread::sleep(AGAIN_AFTER);
            }
        }
        let dropped = self.of_run.left();
        if is_connected(&self.jetstream) {
            self.answer(dropped);
        }
    }

    fn ends(&self) -> bool {
        self.ends.load(Ordering::Acquire)
    }

    /// Reads all that is said until the launch ends, or until it cannot be read.
    fn attend(&mut self) -> Result<(), Error> {
        self.of_run.waiting.clear();
        let ends = async {
            while !self.ends() {
                sleep(LOOK_EVERY).await;
            }
        };
        let said = async {
            tokio::select! {
                said = said(&self.jetstream, &self.names) => said.map(Some),
                () = ends => Ok(None),
            }
        };
        let Some((mut messages, mut n_before)) = self.runtime.block_on(said)? else { return Ok(()) };
        while !self.ends() {
            if n_before == 0 {
                let begun = self.begun.take();
                let dropped = self.of_run.give(begun.is_some())?;
                begun.map(|begun| begun.send(()));
                self.answer(dropped);
                let ended = self.of_run.ended()?;
                self.answer(ended);
            }
            match self.runtime.block_on(async { timeout(LOOK_EVERY, messages.next()).await }) {
                Ok(Some(message)) => {
                    n_before = n_before.saturating_sub(1);
                    if let Ok(said) = serde_json::from_slice(&message?.payload) {
                        self.of_run.hear(said)?;
                    }
                }
                Ok(None) => return Ok(()),
                Err(_) => (),
            }
        }
        Ok(())
    }

    /// Tells what became of commands. One whose answer is lost is answered by a later launch.
    fn answer(&self, ended: Vec<(String, Became)>) {
        for (id, became) in ended {
            _ = self.runtime.block_on(say(&self.jetstream, &self.names, &Saying::Answered { id, became }));
        }
    }
}

/// Begins to read the subject from its beginning. Returns the number of messages that are there.
async fn said(jetstream: &jetstream::Context, names: &Names) -> Result<(Ordered, u64), Error> {
    let stream = find(jetstream, names).await?.ok_or("the stream is gone")?;
    let config = OrderedConfig {
        filter_subject: names.say.clone(),
        deliver_policy: DeliverPolicy::All,
        ..OrderedConfig::default()
    };
    let consumer = stream.create_consumer(config).await?;
    let n_before = consumer.cached_info().num_pending;
    Ok((consumer.messages().await?, n_before))
}

/// Asks to the launch of a run, and its journal, to which they are given.
struct AsksOfRun {
    journal: Journal,
    run: RunKey,
    /// Asks that were read, and neither withdrawn nor answered, in their order.
    waiting: Vec<(String, Command, Box<By>)>,
    /// Keys of the commands in the journal, by their asks.
    given: HashMap<String, i64>,
}

impl AsksOfRun {
    fn hear(&mut self, said: Saying) -> Result<(), JournalError> {
        match said {
            Saying::Asked { id, command, by } => self.waiting.push((id, command, by)),
            Saying::Withdrawn { id } => {
                self.waiting.retain(|(waiting, _, _)| *waiting != id);
                // An earlier launch may have put it into the journal. One that was taken meanwhile is answered.
                if let Some(AskedCommand::Open(control)) = self.journal.asked(self.run, &id)?
                    && self.journal.withdraw_command(control)?
                {
                    self.given.remove(&id);
                }
            }
            Saying::Answered { id, .. } => {
                self.waiting.retain(|(waiting, _, _)| *waiting != id);
                self.given.remove(&id);
            }
        }
        Ok(())
    }

    /// Puts what waits into the journal. Of what was asked before this launch, only what a next launch may begin with. Returns what is
    /// dropped, and what was taken before.
    fn give(&mut self, were_before: bool) -> Result<Vec<(String, Became)>, JournalError> {
        let mut ended = Vec::new();
        for (id, command, by) in std::mem::take(&mut self.waiting) {
            match self.journal.asked(self.run, &id)? {
                Some(AskedCommand::Taken) => ended.push((id, Became::Taken)),
                Some(AskedCommand::Open(control)) => drop(self.given.insert(id, control)),
                None if were_before && !command.outlives_launch() => ended.push((id, Became::Dropped)),
                None => {
                    let by = By { ask: Some(id.clone()), ..*by };
                    let control = self.journal.give_command(self.run, &command, &by)?;
                    self.given.insert(id, control);
                }
            }
        }
        Ok(ended)
    }

    /// Returns the commands of which it is known what became of them.
    fn ended(&mut self) -> Result<Vec<(String, Became)>, JournalError> {
        let mut ended = Vec::new();
        for (id, control) in &self.given {
            match self.journal.is_taken(*control)? {
                Some(true) => ended.push((id.clone(), Became::Taken)),
                Some(false) => (),
                None => ended.push((id.clone(), Became::Dropped)),
            }
        }
        self.given.retain(|id, _| ended.iter().all(|(ended, _)| ended != id));
        Ok(ended)
    }

    /// Ends with the launch. Returns what it has taken, and what it takes no more; the rest waits for the next one.
    fn left(&mut self) -> Vec<(String, Became)> {
        let mut ended = self.ended().unwrap_or_default();
        let (open, _) = self.journal.open_commands(self.run).unwrap_or_default();
        for given in open.iter().filter(|given| !given.command.outlives_launch()) {
            let asks = self.given.iter().filter(|(_, control)| **control == given.control);
            let asks: Vec<String> = asks.map(|(id, _)| id.clone()).collect();
            if !asks.is_empty() && self.journal.withdraw_command(given.control).unwrap_or(false) {
                ended.extend(asks.into_iter().map(|id| (id, Became::Dropped)));
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::suite::make_run;

    #[test]
    fn what_an_earlier_launch_put_into_the_journal_is_withdrawn_by_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.db");
        make_run(&path);
        let run = Journal::open(&path).unwrap().runs().unwrap()[0].key;
        let launch =
            || AsksOfRun { journal: Journal::open(&path).unwrap(), run, waiting: Vec::new(), given: HashMap::new() };
        let asked = |id: &str| Saying::Asked {
            id: id.to_owned(),
            command: Command::Skip { source_id: "vm-1".to_owned() },
            by: Box::new(By::me("control", None)),
        };
        let (mut first, ids) = (launch(), ["kept", "withdrawn"]);
        for id in ids {
            first.hear(asked(id)).unwrap();
        }
        assert_eq!(first.give(false).unwrap(), []);
        let open = |launch: &AsksOfRun| launch.journal.open_commands(run).unwrap().0.len();
        assert_eq!(open(&first), 2);
        let mut next = launch();
        for id in ids {
            next.hear(asked(id)).unwrap();
        }
        next.hear(Saying::Withdrawn { id: "withdrawn".to_owned() }).unwrap();
        assert_eq!((next.give(true).unwrap(), open(&next)), (Vec::new(), 1));
    }
}
