//! List of the runs on the servers of their logs: a table for people, and the document `cutover.served.v1`.

use std::io;

use jiff::Timestamp;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use crate::exit::Exit;
use crate::log::served::{Leader, ServedAs, ServedEnd, ServedRun};
use crate::values::zone::Zone;
use crate::verb::context::{Context, zone_for};
use crate::verb::error::CommandError;
use crate::verb::results::{print, print_json};
use crate::wording::plain::{padded, plain};
use crate::wording::printout::Printout;

/// Lists all runs on the servers.
pub(super) fn list(context: &Context) -> Result<Exit, CommandError> {
    let runs: Vec<ServedLine> = context.logs.runs(None)?.into_iter().map(ServedLine::new).collect();
    if context.console.json {
        print_json(|out| Ok(write_json(&runs, out)?))?;
        return Ok(Exit::Done);
    }
    let zone = zone_for(context, None);
    print(|out| Ok(write_text(&runs, &zone, out)?))?;
    if runs.is_empty() {
        context.console.say("there is no run on the servers");
    }
    for run in runs.iter().filter(|run| run.state == ServedState::Unmade) {
        context.console.say(&format!(
            "run {} was not made to the end, and nothing was sent for it: unless somebody makes it just now, `nats stream rm \
             cutover-{}` removes what is left",
            run.run, run.run
        ));
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct ServedLine {
    run: String,
    plan: Option<String>,
    rows: Option<u32>,
    made_at: Option<Timestamp>,
    state: ServedState,
    /// End of the last launch.
    exit_code: Option<u8>,
    exit_name: Option<&'static str>,
    /// Reason for which it cannot be read.
    problem: Option<String>,
    led_by: Option<Leader>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum ServedState {
    /// Somebody was heard to lead it.
    Led,
    NotLaunched,
    Ended,
    /// Run whose last launch has not ended, and of which nobody was heard.
    NotLed,
    Unmade,
    Unreadable,
}

impl ServedLine {
    fn new(run: ServedRun) -> Self {
        let ServedRun { id, made, end, led_by } = run;
        let (exit, mut state) = match end {
            _ if led_by.is_some() => (None, ServedState::Led),
            ServedEnd::NotBegun => (None, ServedState::NotLaunched),
            ServedEnd::UnderWay => (None, ServedState::NotLed),
            ServedEnd::Ended(exit) => (Some(exit), ServedState::Ended),
        };
        let (mut plan, mut rows, mut made_at, mut problem) = (None, None, None, None);
        match made {
            ServedAs::Made { plan: path, rows: n, at } => (plan, rows, made_at) = (Some(path), Some(n), Some(at)),
            ServedAs::Unmade => state = ServedState::Unmade,
            ServedAs::Unreadable(why) => (state, problem) = (ServedState::Unreadable, Some(why)),
        }
        let (exit_code, exit_name) = (exit.map(Exit::code), exit.map(Exit::name));
        Self { run: id, plan, rows, made_at, state, exit_code, exit_name, problem, led_by }
    }

    fn told(&self) -> String {
        match (self.state, &self.led_by) {
            (ServedState::Unmade, _) => "not made to the end".to_owned(),
            (ServedState::Unreadable, _) => {
                format!("cannot be read: {}", self.problem.as_deref().map_or_else(String::new, plain))
            }
            (_, Some(Leader { launch, host, pid, version: _ })) => {
                format!("goes on: launch {launch} on {} (pid {pid})", plain(host))
            }
            (ServedState::Ended, None) => {
                let (code, name) = (self.exit_code.unwrap_or_default(), self.exit_name.unwrap_or_default());
                format!("ended with {code} ({name})")
            }
            (ServedState::NotLaunched, None) => "not launched".to_owned(),
            (ServedState::NotLed | ServedState::Led, None) => "not ended, and nobody was heard to lead it".to_owned(),
        }
    }
}

fn write_json(runs: &[ServedLine], out: &mut dyn io::Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct ServedRuns<'a> {
        schema: &'static str,
        runs: &'a [ServedLine],
    }
    serde_json::to_writer_pretty(&mut *out, &ServedRuns { schema: "cutover.served.v1", runs })?;
    writeln!(out)
}

fn write_text(runs: &[ServedLine], zone: &Zone, out: &mut Printout<'_>) -> io::Result<()> {
    let cells = |run: &ServedLine| {
        [
            run.run.clone(),
            run.plan.as_deref().map_or_else(String::new, plain),
            run.rows.map_or_else(String::new, |rows| rows.to_string()),
            run.made_at.map_or_else(String::new, |at| zone.shows(at)),
            run.told(),
        ]
    };
    let titles = ["run", "plan", "rows", "made", "state"].map(str::to_owned);
    let lines: Vec<[String; 5]> = std::iter::once(titles).chain(runs.iter().map(cells)).collect();
    let widths = [0, 1, 2, 3].map(|at| lines.iter().map(|line| line[at].width()).max().unwrap_or(0));
    // The titles alone are no answer.
    for [run, plan, rows, made, state] in lines.iter().filter(|_| !runs.is_empty()) {
        let rows = format!("{}{rows}", " ".repeat(widths[2] - rows.width()));
        let (run, plan, made) = (padded(run, widths[0]), padded(plan, widths[1]), padded(made, widths[3]));
        writeln!(out, "{run}  {plan}  {rows}  {made}  {state}")?;
    }
    Ok(())
}
