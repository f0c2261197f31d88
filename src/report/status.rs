//! Status of a run as text, also while it goes on. The JSON form is the summary.

use std::io;
use std::time::Duration;

use super::holder::Holder;
use super::steering::SteeringOf;
use super::summary::{Running, Summary};
use crate::control::{CONTROL, Wait};
use crate::journal::read::sums::WaveTally;
use crate::rollback::IfStopped;
use crate::values::zone::Zone;
use crate::waves::forecast::spoken;
use crate::wording::amounts::bounded;
use crate::wording::plain::{padded, plain, shortened};
use crate::wording::printout::{Printout, widest};
use crate::wording::shell::shell_word;
use crate::wording::times::time_in;

/// Most waves listed; the others are counted.
const MOST_WAVES: usize = 30;
/// Width of a wave's name, unless there is room for a longer one.
const WAVE_WIDTH: usize = 28;
/// Width of the columns beside it.
const BESIDE_WAVE: usize = 32;

/// Writes the status, with times in this time zone.
pub fn write_text(summary: &Summary, holder: Holder, zone: &Zone, out: &mut Printout<'_>) -> io::Result<()> {
    writeln!(out, "{}", summary.sentence())?;
    if let Some(running) = &summary.running {
        writeln!(out, "{}", where_it_is(running, holder, Some(zone)))?;
    }
    let SteeringOf { paused, skipped, .. } = &summary.steering;
    if summary.running.is_some() || !paused.is_empty() || *skipped > 0 {
        for line in summary.steering.lines(&summary.commands, holder != Holder::Gone, Some(zone)) {
            writeln!(out, "{line}")?;
        }
    }
    if summary.running.is_some()
        && holder != Holder::Gone
        && let Some(line) = summary.throttled_line()
    {
        writeln!(out, "{line}")?;
    }
    if let (Holder::Alive | Holder::Unknown, [_, ..]) = (holder, summary.wait_for_worker.as_slice()) {
        let names: Vec<String> = summary.wait_for_worker.iter().map(|name| format!("`{}`", plain(name))).collect();
        writeln!(out, "Waiting: no worker that serves {} is heard.", bounded(&names))?;
    }
    summary.write_counts(out)?;
    write_waves(summary, out)?;
    if let Some(if_stopped) = &summary.if_stopped {
        write_if_stopped(if_stopped, out)?;
    }
    summary.write_causes(out)?;
    match (&summary.running, holder) {
        (Some(_), Holder::Alive) => {
            let (say, command) = steering(summary);
            out.heading("What to do next")?;
            writeln!(out, "  {say}")?;
            if let Some(command) = command {
                writeln!(out, "               {command}")?;
            }
        }
        (Some(_), Holder::Unknown) => summary.write_next("What to do next, if it no longer runs", out)?,
        (Some(_), Holder::Gone) | (None, Holder::Alive | Holder::Gone | Holder::Unknown) => {
            summary.write_next("What to do next", out)?;
        }
    }
    summary.write_footer(zone, out)
}

/// Returns what a person may do about a run that goes on, and the command that is most likely wanted. Whoever types what is proposed
/// disturbs no run that does well.
pub(crate) fn steering(summary: &Summary) -> (&'static str, Option<String>) {
    let Summary { steering, commands, .. } = summary;
    let SteeringOf { paused, waits, .. } = steering;
    let unreleased = waits.as_ref().filter(|waits| waits.cause == Wait::Approval);
    let wave = unreleased.and_then(|waits| waits.stage.wave.as_deref());
    match (paused.iter().any(|paused| paused.by.via == CONTROL), wave) {
        (true, _) => {
            ("it is paused: let it go on, or steer it: rate N, skip ID, drain", Some(commands.goes_on_after_pause()))
        }
        (false, _) if !paused.is_empty() => {
            ("it is paused by a file: remove that, or steer it: rate N, skip ID, drain", None)
        }
        (false, Some(wave)) => (
            "it waits for a wave to be released: release it, or steer it: skip ID, drain",
            Some(commands.control(&["release", wave])),
        ),
        (false, None) if !summary.wait_for_worker.is_empty() => (
            "start a worker where the credentials are, with the same servers; or steer it: skip ID, drain",
            summary.wait_for_worker.first().map(|name| format!("cutover worker --target {}", shell_word(name))),
        ),
        (false, None) => (
            "nothing: it goes on by itself; watch it, or steer it: pause, rate N, skip ID, drain",
            Some(commands.watch()),
        ),
    }
}

fn write_if_stopped(counts: &IfStopped, out: &mut Printout<'_>) -> io::Result<()> {
    let IfStopped { done, on_the_way, untouched, not_on_target, reversible, not_reversible, no_way_back, rollback_s } =
        counts;
    out.heading("If it stopped now")?;
    for (name, n_rows, meaning) in [
        ("done", done, "on target"),
        ("on the way", on_the_way, "sent; not known or not yet proven whether it was done"),
        ("untouched", untouched, "nothing was sent"),
        ("not on target", not_on_target, "tried, and somewhere else"),
    ] {
        writeln!(out, "  {name:<14} {n_rows:>9}  {meaning}")?;
    }
    let back = spoken(Duration::from_secs(*rollback_s));
    writeln!(
        out,
        "  {:<14} {reversible:>9}  of those that were changed, in about {back} (`cutover rollback`)",
        "reversible"
    )?;
    writeln!(out, "  {:<14} {not_reversible:>9}  of those that were changed, or may have been", "not reversible")?;
    // Below the number of all of them.
    no_way_back.write(17, out)
}

/// Says which process runs or ran and since when: in this time zone, or in UTC without one.
pub(crate) fn where_it_is(running: &Running, holder: Holder, zone: Option<&Zone>) -> String {
    let pid = running.pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
    let host = running.host.as_deref().map_or_else(|| "?".to_owned(), plain);
    let since = running.since.map_or_else(|| "?".to_owned(), |since| time_in(zone, since));
    match holder {
        Holder::Alive => format!("Running as process {pid} on {host} since {since}."),
        Holder::Gone => format!("Process {pid} on {host}, begun {since}, was cut off: it did not end by itself."),
        Holder::Unknown => format!("Process {pid} on {host} began {since} and has not ended, or was cut off."),
    }
}

fn write_waves(summary: &Summary, out: &mut Printout<'_>) -> io::Result<()> {
    if summary.waves.len() < 2 {
        return Ok(());
    }
    let name = |wave: &WaveTally| wave.wave.as_deref().map_or_else(|| "(none)".to_owned(), plain);
    let names: Vec<String> = summary.waves.iter().take(MOST_WAVES).map(name).collect();
    let longest = widest(names.iter().map(String::as_str)).max(WAVE_WIDTH);
    let width = if out.has_room_for(longest + BESIDE_WAVE) { longest } else { WAVE_WIDTH };
    writeln!(out)?;
    writeln!(out, "  {:<width$} {:>9} {:>9} {:>9}", "wave", "rows", "settled", "on target")?;
    for (wave, name) in summary.waves.iter().zip(&names) {
        let name = padded(&shortened(name, width), width);
        writeln!(out, "  {name} {:>9} {:>9} {:>9}", wave.rows, wave.settled, wave.on_target)?;
    }
    if summary.waves.len() > MOST_WAVES {
        writeln!(out, "  … and {} more", summary.waves.len() - MOST_WAVES)?;
    }
    Ok(())
}
