//! Modes of new files: who may read them.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Mode of a file that only its owner reads and writes.
pub(crate) const PRIVATE: u32 = 0o600;

/// Returns the mode of a new file that is not for others: its owner's alone, and also for a group where the folder passes its
/// group on to new files (setgid), or where the umask leaves the group more than everybody.
pub(crate) fn private_mode(folder: &Path) -> u32 {
    const SETGID: u32 = 0o2000;
    let hands_on = std::fs::metadata(folder).is_ok_and(|found| found.mode() & SETGID != 0);
    mode_under(umask(), hands_on)
}

fn mode_under(umask: u32, folder_hands_on_its_group: bool) -> u32 {
    let left = 0o666 & !umask;
    let (of_group, of_everybody) = (left >> 3 & 0o6, left & 0o6);
    let is_for_the_group = folder_hands_on_its_group || of_group & !of_everybody != 0;
    let mode = PRIVATE & left;
    if is_for_the_group { mode | of_group << 3 } else { mode }
}

/// Returns the umask. Asking the system call itself would change it for a moment, for all threads.
///
/// source: `proc_pid_status(5)`
pub(super) fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let written = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    written.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok()).unwrap_or(0o077)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_its_owners_alone_unless_something_says_that_it_is_a_groups() {
        for (umask, hands_on, mode) in [
            (0o022, false, 0o600),
            (0o000, false, 0o600),
            (0o077, false, 0o600),
            (0o002, false, 0o660),
            (0o007, false, 0o660),
            (0o027, false, 0o640),
            (0o022, true, 0o640),
            (0o002, true, 0o660),
            (0o077, true, 0o600),
        ] {
            assert_eq!(mode_under(umask, hands_on), mode, "{umask:o}, setgid: {hands_on}");
        }
    }
}
