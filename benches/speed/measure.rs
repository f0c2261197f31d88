//! Measurement of whole commands, from the start of the process to its end: time, processor time, and memory.

use std::error::Error;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Interval between looks at a process in its first second, so that short commands are seen too; later ones are longer, so that
/// looking costs long commands nothing.
const SAMPLE_EVERY: Duration = Duration::from_millis(2);
const SAMPLE_LATER: Duration = Duration::from_millis(20);
const LATER: Duration = Duration::from_secs(1);
/// source: `proc_pid_stat(5)`: in clock ticks, of which Linux shows 100 a second on every machine.
const TICK: Duration = Duration::from_millis(10);

/// Figures of one run, each under its name, which ends with the unit.
pub(crate) type Sample = Vec<(&'static str, f64)>;

/// Cost of one run of a command.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    /// Start by the wall clock, for comparison with times of another process.
    pub(crate) began_unix_us: u64,
    pub(crate) time: Duration,
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    pub(crate) peak_kib: u64,
}

impl Took {
    /// Returns the cost of a run for each of its rows.
    pub(crate) fn of_rows(&self, n_rows: u64) -> Sample {
        let rows = float(n_rows);
        vec![
            ("whole_per_s", rows / self.time.as_secs_f64()),
            ("whole_s", self.time.as_secs_f64()),
            ("user_s", self.user.as_secs_f64()),
            ("system_s", self.system.as_secs_f64()),
            ("cpu_us_per_row", (self.user + self.system).as_secs_f64() * 1e6 / rows),
            ("peak_mib", self.peak_mib()),
        ]
    }

    pub(crate) fn peak_mib(&self) -> f64 {
        float(self.peak_kib) / 1024.0
    }
}

/// Runs a command to its end, and discards its output; an error quotes its standard error.
///
/// Processor time is that of all children that ended meanwhile, which is exact while one runs at a time.
pub(crate) fn run(command: &mut Command, wanted: i32) -> Result<Took, Box<dyn Error>> {
    let mut complaint = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaint.try_clone()?);
    let (user_before, system_before) = of_children();
    let began_unix_us = unix_us();
    let began = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let (status, peak_kib) = watched(&mut child)?;
    let time = began.elapsed();
    let (user, system) = of_children();
    ended(command, status, wanted, &mut complaint)?;
    Ok(Took {
        began_unix_us,
        time,
        user: user.saturating_sub(user_before),
        system: system.saturating_sub(system_before),
        peak_kib,
    })
}

/// Measures only the time, without anything beside the process that could slow it down.
pub(crate) fn run_unwatched(command: &mut Command) -> Result<Duration, Box<dyn Error>> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    let time = began.elapsed();
    if status.success() { Ok(time) } else { Err(format!("{command:?} ended with {status}").into()) }
}

fn ended(command: &Command, status: ExitStatus, wanted: i32, complaint: &mut File) -> Result<(), Box<dyn Error>> {
    if status.code() == Some(wanted) {
        return Ok(());
    }
    let mut bytes = Vec::new();
    complaint.rewind()?;
    complaint.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(12)..].join("\n");
    Err(format!("{command:?} ended with {status}, and not with {wanted}\n{last}").into())
}

/// Waits for a process, and meanwhile reads its largest resident memory.
///
/// source: `proc_pid_status(5)` (`VmHWM`), which only grows and is there for as long as the process is.
fn watched(child: &mut Child) -> std::io::Result<(ExitStatus, u64)> {
    let status = format!("/proc/{}/status", child.id());
    let began = Instant::now();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak = 0;
            while !ended.load(Ordering::Relaxed) {
                let text = std::fs::read_to_string(&status).unwrap_or_default();
                let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
                let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
                peak = peak.max(kib.unwrap_or(0));
                thread::park_timeout(if began.elapsed() < LATER { SAMPLE_EVERY } else { SAMPLE_LATER });
            }
            peak
        });
        let status = child.wait();
        ended.store(true, Ordering::Relaxed);
        sampler.thread().unpark();
        let peak = sampler.join().expect("it only reads");
        Ok((status?, peak))
    })
}

/// Returns the processor time of all children that were waited for, in user mode and in the kernel.
///
/// source: `proc_pid_stat(5)`, fields 16 and 17, counted from the state, which follows the name in brackets.
fn of_children() -> (Duration, Duration) {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let time = |n: usize| TICK * fields.get(n - 3).and_then(|field| field.parse().ok()).unwrap_or(0);
    (time(16), time(17))
}

pub(crate) fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Tells whether a program is installed: in a folder of PATH, or at its own path.
pub(crate) fn is_there(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).is_file()) || Path::new(program).is_absolute()
}

#[expect(clippy::cast_precision_loss, reason = "a figure to a few places")]
pub(crate) fn float(n: u64) -> f64 {
    n as f64
}

/// Sends one GET over a connection of its own, and returns the body.
pub(crate) fn get(address: std::net::SocketAddr, path: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    use std::io::Write as _;
    let mut stream = std::net::TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or("an answer has a head")?;
    Ok(answer.split_off(head + 4))
}
