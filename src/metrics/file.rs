//! Metrics file of a launch.
//!
//! The file is replaced in one step, so that a collector reads the whole of one or of the other. It tells of one launch, and goes on
//! telling of another that wrote to it and goes on: a launch that is refused because an earlier one still runs is seen beside that
//! one, whichever writes last.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::exposition::Exposition;
use super::figures::Figures;
use super::former::{Former, FormerLaunch};
use crate::files::beside::{Readers, check_destination, check_room, write_for};
use crate::files::folder::folder_of;
use crate::files::open::open_itself;
use crate::files::turn::wait_for_turn;

/// Largest file that is read back.
const LARGEST: u64 = 4 << 20;
/// Room that the metrics of one launch take at most, with their descriptions; those of others are beside them.
const OF_ONE_LAUNCH: u64 = 16 << 10;
/// End of the names that the textfile collector reads.
const ENDING: &str = "prom";

/// Metrics file of a launch.
#[derive(Debug)]
pub(crate) struct MetricsFile {
    path: PathBuf,
    /// Start of the launch.
    began: Timestamp,
}

impl MetricsFile {
    /// Checks, before the work, that the file can be written, with all that it will hold, and that a collector reads it by its name.
    /// Whatever has another content is not replaced.
    pub(crate) fn tried(path: &Path, began: Timestamp) -> io::Result<Self> {
        if path.extension().is_none_or(|ending| ending != ENDING) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "its name does not end with `.prom`"));
        }
        check_destination(path)?;
        let refused = |why| Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        if std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
            return refused("what is there is no plain file");
        }
        let file = Self { path: path.to_owned(), began };
        if file.former()?.is_none() {
            return refused("what is there holds other things than metrics of cutover, and is not replaced");
        }
        let of_others = std::fs::metadata(path).map_or(0, |found| found.len());
        check_room(path, of_others + OF_ONE_LAUNCH)?;
        Ok(file)
    }

    /// Tells whether its owner alone may read it, as the file that is there or by the umask: a collector of another user then finds
    /// nothing, and says nothing.
    pub(crate) fn is_private(&self) -> bool {
        let there = std::fs::metadata(&self.path).map(|found| found.mode());
        there.unwrap_or_else(|_| Readers::usual().mode()) & 0o044 == 0
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the figures of the launch, and those of others that hold beside it. A new file has the readers that the umask permits,
    /// since a collector is another user; one that is there keeps those that it has.
    pub(crate) fn write(&self, own: &Figures) -> io::Result<()> {
        let _turn = self.turn();
        // What cannot be read back is replaced: a launch is told of in any case.
        let former = self.former().unwrap_or_default().unwrap_or_default();
        let mut all = Exposition::default();
        let mut figures = own.clone();
        figures.last_success = latest(own.last_success, former.success_of(own.plan.as_deref()));
        all.add(&figures);
        if own.plan.is_none() {
            // It may be a launch of any of these plans.
            former.successes.iter().for_each(|success| all.add_line(success.metric, &success.line));
        }
        for launch in former.launches.iter().filter(|launch| self.holds_beside(launch, own)) {
            for (metric, line) in &launch.lines {
                all.add_line(*metric, line);
            }
        }
        let text = all.text();
        write_for(&self.path, Readers::usual(), |out| out.write_all(text.as_bytes()))
    }

    /// Tells whether what another launch wrote is still to be told.
    fn holds_beside(&self, other: &FormerLaunch, own: &Figures) -> bool {
        let is_same_plan = other.plan == own.plan;
        match (is_same_plan && other.run == own.run, other.ended) {
            (true, _) => false,
            // It ended while this one goes on, such as one that was locked out by it.
            (false, Some(ended)) => ended >= self.began.as_duration().as_secs_f64(),
            // It goes on, as far as it told. This plan's own last run was cut off, if this launch has one.
            (false, None) => !is_same_plan || own.run.is_none(),
        }
    }

    /// Returns what the file tells; `None` if it is not ours.
    fn former(&self) -> io::Result<Option<Former>> {
        let file = match open_itself(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Former::default())),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
        let text = String::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= LARGEST);
        Ok(text.and_then(|text| Former::read(&text).ok()))
    }

    /// Waits for other launches that are writing, in turn: none loses what the other wrote. A folder that cannot be locked gives no
    /// turns, and one that is locked for long is written to all the same.
    fn turn(&self) -> Option<File> {
        let folder = File::open(folder_of(&self.path)).ok()?;
        let is_locked = wait_for_turn(|| match folder.try_lock() {
            Ok(()) => Some(true),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(_)) => Some(false),
        });
        is_locked?.then_some(folder)
    }
}

/// Later of two times, of which the second is in seconds since 1970.
fn latest(own: Option<Timestamp>, former: Option<f64>) -> Option<Timestamp> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float that is out of bounds becomes the bound, and is no time then"
    )]
    let former = former.and_then(|seconds| Timestamp::from_millisecond((seconds * 1000.0).round() as i64).ok());
    own.max(former)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::metrics::figures::LaunchEnd;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn figures(plan: &str, run: Option<&str>, began: i64, ended: Option<(i64, u8)>) -> Figures {
        let mut figures = Figures::without_run(Some(plan.to_owned()), at(began), at(began), Exit::Done);
        figures.run = run.map(str::to_owned);
        figures.ended = ended.map(|(second, exit_code)| LaunchEnd { at: at(second), exit_code });
        figures
    }

    /// Labels of the launches that the file tells of, with their exit codes.
    fn told(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        let ended = |labels: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("cutover_run_exit_code{labels} ")));
            line.unwrap_or("goes on").to_owned()
        };
        let started = text.lines().filter_map(|line| line.strip_prefix("cutover_run_started_timestamp_seconds"));
        let labels = started.map(|rest| rest.rsplit_once(' ').unwrap().0);
        labels.map(|labels| format!("{} {}", labels.replace('"', ""), ended(labels))).collect()
    }

    #[test]
    fn a_launch_that_is_locked_out_is_told_beside_the_one_that_goes_on_until_the_next_begins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.prom");
        let launch = |began| MetricsFile::tried(&path, at(began)).unwrap();
        let (night, refused) = (launch(10), launch(20));
        night.write(&figures("p", Some("r1"), 10, None)).unwrap();
        refused.write(&figures("p", None, 20, Some((21, 6)))).unwrap();
        assert_eq!(told(&path), ["{plan=p} 6", "{plan=p,run=r1} goes on"]);
        night.write(&figures("p", Some("r1"), 10, None)).unwrap();
        assert_eq!(told(&path), ["{plan=p,run=r1} goes on", "{plan=p} 6"]);
        night.write(&figures("p", Some("r1"), 10, Some((30, 0)))).unwrap();
        assert_eq!(told(&path), ["{plan=p,run=r1} 0", "{plan=p} 6"]);
        launch(40).write(&figures("p", Some("r2"), 40, None)).unwrap();
        assert_eq!(told(&path), ["{plan=p,run=r2} goes on"]);
    }

    #[test]
    fn a_run_that_was_cut_off_is_told_until_its_plan_is_launched_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.prom");
        let launch = |began| MetricsFile::tried(&path, at(began)).unwrap();
        launch(10).write(&figures("p", Some("r1"), 10, None)).unwrap();
        launch(20).write(&figures("q", Some("r2"), 20, Some((21, 0)))).unwrap();
        assert_eq!(told(&path), ["{plan=q,run=r2} 0", "{plan=p,run=r1} goes on"]);
        launch(30).write(&figures("p", Some("r3"), 30, Some((31, 1)))).unwrap();
        assert_eq!(told(&path), ["{plan=p,run=r3} 1"]);
    }

    #[test]
    fn a_success_outlives_launches_that_fail() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.prom");
        let success = || {
            let text = std::fs::read_to_string(&path).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix("cutover_run_last_success_timestamp_seconds"));
            line.map(str::to_owned)
        };
        let write = |began, figures: Figures| MetricsFile::tried(&path, at(began)).unwrap().write(&figures).unwrap();
        write(10, Figures { last_success: Some(at(12)), ..figures("p", Some("r1"), 10, Some((12, 0))) });
        write(20, figures("p", None, 20, Some((20, 5))));
        write(30, figures("p", Some("r2"), 30, Some((33, 4))));
        assert_eq!(success().as_deref(), Some("{plan=\"p\"} 12"));
        write(40, figures("q", None, 40, Some((40, 5))));
        assert_eq!(success(), None, "another plan's success is not this one's");
    }

    #[test]
    fn what_is_not_ours_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("node.prom"), "node_load1 0.5\n").unwrap();
        std::fs::write(path("empty.prom"), "").unwrap();
        std::os::unix::fs::symlink("empty.prom", path("link.prom")).unwrap();
        for (name, is_free) in [("node.prom", false), ("link.prom", false), ("empty.prom", true), ("new.prom", true)] {
            assert_eq!(MetricsFile::tried(&path(name), at(1)).is_ok(), is_free, "{name}");
        }
        assert!(MetricsFile::tried(&path("absent/a.prom"), at(1)).is_err());
        assert!(MetricsFile::tried(folder.path(), at(1)).is_err());
        assert!(MetricsFile::tried(Path::new("/dev/null"), at(1)).is_err());
    }
}
