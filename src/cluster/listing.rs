//! The runs on the servers, as whoever looks at all of them sees them: what each was made of, where its log ends, and who leads it.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

use super::connection::hear;
use super::message::read_body;
use super::plan::{NotBrought, read_record};
use super::stream::{Names, find, last_of};
use crate::event::kind::EventKind;
use crate::event::run::RunEvent;
use crate::log::beat::Beat;
use crate::log::served::{Leader, ServedAs, ServedEnd, ServedRun};

/// Time for which beats are listened to: whoever leads a run sends one each second.
const LISTENED: Duration = Duration::from_millis(2500);
/// Runs that are asked about at once.
const AT_ONCE: usize = 16;

/// Returns these runs in their order, or all of them in the order of their ids.
pub(super) async fn list(
    jetstream: &jetstream::Context,
    ids: Vec<String>,
) -> Result<Vec<ServedRun>, async_nats::Error> {
    let mut beats = hear(&jetstream.client(), "cutover.*.beat".to_owned()).await?;
    let until = Instant::now() + LISTENED;
    let asked = ids.into_iter().map(|id| look(jetstream, id));
    let mut runs: Vec<ServedRun> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    let mut leaders = HashMap::new();
    while let Ok(Some(message)) = timeout_at(until, beats.next()).await {
        let run = message.subject.strip_prefix("cutover.").and_then(|rest| rest.strip_suffix(".beat"));
        if let (Some(run), Ok(Beat { launch, host, pid, version, .. })) =
            (run, serde_json::from_slice(&message.payload))
        {
            leaders.insert(run.to_owned(), Leader { launch, host, pid, version });
        }
    }
    for run in &mut runs {
        run.led_by = leaders.remove(&run.id);
    }
    Ok(runs)
}

/// Looks at a run by itself. One that was removed meanwhile was not made, as far as anybody can tell.
async fn look(jetstream: &jetstream::Context, id: String) -> Result<ServedRun, async_nats::Error> {
    let names = Names::of_run(&id);
    let unmade = |id| ServedRun { id, made: ServedAs::Unmade, end: ServedEnd::NotBegun, led_by: None };
    let Some(stream) = find(jetstream, &names).await? else { return Ok(unmade(id)) };
    let made = match read_record(&stream, &names).await {
        Ok(record) => ServedAs::made(&record),
        Err(NotBrought::NoAnswer(error)) => return Err(error),
        Err(NotBrought::Unmade) => return Ok(unmade(id)),
        Err(other) => ServedAs::Unreadable(other.to_string()),
    };
    let last = last_of(&stream, &names.log).await?;
    let end = last.map_or(ServedEnd::NotBegun, |last| {
        let events = read_body(&last.payload).unwrap_or_default();
        match events.last().and_then(|event| event.read().ok()) {
            Some(EventKind::Run(RunEvent::Started { .. })) => ServedEnd::NotBegun,
            Some(EventKind::Run(RunEvent::LaunchEnded { exit, .. })) => ServedEnd::Ended(exit),
            Some(_) | None => ServedEnd::UnderWay,
        }
    });
    Ok(ServedRun { id, made, end, led_by: None })
}
