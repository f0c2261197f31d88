//! Priorities for the system's journal: a message that it reads from standard error begins with its level.

use std::os::fd::AsFd;
use std::sync::LazyLock;

use super::level::Level;

/// Variable that names the stream to the journal, by device and inode. source: systemd.exec(5)
const STREAM: &str = "JOURNAL_STREAM";

/// Adds the priority to each line if standard error leads to the system's journal.
pub(super) fn with_priorities(text: &str, level: Level, stderr: impl AsFd) -> String {
    static NAMED: LazyLock<Option<(u64, u64)>> = LazyLock::new(|| named(std::env::var(STREAM).ok()?.as_str()));
    // Asked each time, which costs a system call for a message: standard error may be redirected while the process runs.
    if NAMED.is_some_and(|stream| is_stream(stream, stderr)) { prefixed(text, level) } else { text.to_owned() }
}

/// Reads device and inode as the service manager writes them.
fn named(text: &str) -> Option<(u64, u64)> {
    let (device, inode) = text.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}

/// Tells whether this is the stream. A program that was started with another standard error inherits the variable all the same.
///
/// source: `sd_journal_stream_fd(3)`, systemd.exec(5)
fn is_stream((device, inode): (u64, u64), stream: impl AsFd) -> bool {
    rustix::fs::fstat(stream).is_ok_and(|found| found.st_dev == device && found.st_ino == inode)
}

/// Puts the priority in front of each line. source: sd-daemon(3)
fn prefixed(text: &str, level: Level) -> String {
    let priority = format!("<{}>", level.priority());
    text.split_inclusive('\n').flat_map(|line| [&priority, line]).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn each_line_has_the_priority_of_its_message() {
        assert_eq!(prefixed("one\n\ntwo\n", Level::Error), "<3>one\n<3>\n<3>two\n");
        let numbers = [Level::Error, Level::Warning, Level::Info, Level::Debug, Level::Trace].map(Level::priority);
        assert_eq!(numbers, [3, 4, 6, 7, 7]);
    }

    #[test]
    fn only_the_very_stream_that_is_named_is_the_journal() {
        let file = tempfile::tempfile().unwrap();
        let found = file.metadata().unwrap();
        let stream = named(&format!("{}:{}", found.dev(), found.ino())).unwrap();
        assert!(is_stream(stream, &file));
        assert!(!is_stream(stream, tempfile::tempfile().unwrap()));
        for bad in ["", ":", "8", "8:", ":8", "8:x", "-8:1", "8:1:2"] {
            assert_eq!(named(bad), None, "{bad}");
        }
    }
}
