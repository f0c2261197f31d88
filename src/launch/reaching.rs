//! The servers of a run's log while a commit waits for them: the launch tells of it, and waits no longer once it is to end at once.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use crate::clock::since_boot;
use crate::console::Console;
use crate::engine::stop::Stop;
use crate::log::away::Away;
use crate::values::zone::Zone;
use crate::wording::amounts;
use crate::wording::plain::plain;
use crate::wording::times::time_in;

/// Wait that is not told of: servers that choose who leads take about as long.
const UNTOLD: Duration = Duration::from_secs(2);

/// Starts the tasks, which go on until the runtime ends: also the end of a launch is committed.
pub(super) fn watch(away: Away, stop: Stop, (console, zone): (Console, Zone), run: String) {
    let given_up = away.clone();
    tokio::spawn(async move {
        stop.aborting().await;
        given_up.give_up();
    });
    tokio::spawn(async move {
        loop {
            tell(&away, console, &zone, &run).await;
        }
    });
}

/// Tells of the next wait that is long enough, and of its end.
async fn tell(away: &Away, console: Console, zone: &Zone, run: &str) {
    let since = away.begins().await;
    let waited = Timestamp::now().duration_since(since);
    let untold = UNTOLD.saturating_sub(Duration::try_from(waited).unwrap_or_default());
    if timeout(untold, away.ends()).await.is_ok() {
        return;
    }
    let (run, began) = (plain(run), since_boot());
    let since = time_in(Some(zone), since);
    console.warn(&format!(
        "the log of run {run} cannot be reached (since {since}): nothing is sent, and it goes on by itself"
    ));
    away.ends().await;
    let waited = UNTOLD + since_boot().saturating_sub(began);
    let waited = amounts::duration(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX));
    console.say(&format!("the log of run {run} is reached again, after {waited}: it goes on"));
}
