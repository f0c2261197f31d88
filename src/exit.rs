//! The exit codes, stated once: help text, manual and summary are made from this table.

use serde::Serialize;

/// How a process ends. A number never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Done,
    NotOnTarget,
    Usage,
    Refused,
    Halted,
    Credentials,
    Locked,
    Integrity,
    Internal,
    /// By SIGINT.
    Interrupted,
    /// By SIGTERM.
    Terminated,
}

impl Exit {
    pub const ALL: [Exit; 11] = [
        Exit::Done,
        Exit::NotOnTarget,
        Exit::Usage,
        Exit::Refused,
        Exit::Halted,
        Exit::Credentials,
        Exit::Locked,
        Exit::Integrity,
        Exit::Internal,
        Exit::Interrupted,
        Exit::Terminated,
    ];

    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::NotOnTarget => 1,
            Exit::Usage => 2,
            Exit::Refused => 3,
            Exit::Halted => 4,
            Exit::Credentials => 5,
            Exit::Locked => 6,
            Exit::Integrity => 7,
            Exit::Internal => 70,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::NotOnTarget => "not_on_target",
            Exit::Usage => "usage",
            Exit::Refused => "refused",
            Exit::Halted => "halted",
            Exit::Credentials => "credentials",
            Exit::Locked => "locked",
            Exit::Integrity => "integrity",
            Exit::Internal => "internal",
            Exit::Interrupted | Exit::Terminated => "interrupted",
        }
    }

    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "every row on target",
            Exit::NotOnTarget => "finished; at least one row is not on target",
            Exit::Usage => "flags, settings or plan; nothing was sent",
            Exit::Refused => "preflight or policy said no before the first change; nothing was sent",
            Exit::Halted => "stopped early by halt policy, window, approval or an operator; can go on",
            Exit::Credentials => "the service does not accept who we are, or not for this; can go on",
            Exit::Locked => "another launch holds the run or the account",
            Exit::Integrity => "the journal or a sealed plan is not what it was",
            Exit::Internal => "a bug, or the journal cannot be written",
            Exit::Interrupted => "by SIGINT; can go on",
            Exit::Terminated => "by SIGTERM; can go on",
        }
    }

    /// Worst wins: 70, 7, signal, 5, 4, 1, 0. The others end a launch before its first change, so that
    /// they never meet one of these; they rank above what a run can end with.
    #[must_use]
    pub fn worst(self, other: Exit) -> Exit {
        fn rank(exit: Exit) -> u8 {
            match exit {
                Exit::Done => 0,
                Exit::NotOnTarget => 1,
                Exit::Halted => 2,
                Exit::Credentials => 3,
                Exit::Interrupted => 4,
                Exit::Terminated => 5,
                Exit::Refused => 6,
                Exit::Usage => 7,
                Exit::Locked => 8,
                Exit::Integrity => 9,
                Exit::Internal => 10,
            }
        }
        if rank(other) > rank(self) { other } else { self }
    }
}

/// The table as people read it, for `--help` and the manual.
#[must_use]
pub fn table() -> String {
    use std::fmt::Write as _;
    let mut text = String::from("Exit codes:\n");
    for exit in Exit::ALL {
        _ = writeln!(text, "  {:>3}  {:<14} {}", exit.code(), exit.name(), exit.meaning());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_ending_wins() {
        let order = [
            Exit::Done,
            Exit::NotOnTarget,
            Exit::Halted,
            Exit::Credentials,
            Exit::Interrupted,
            Exit::Integrity,
            Exit::Internal,
        ];
        for (i, better) in order.iter().enumerate() {
            for worse in &order[i..] {
                assert_eq!(better.worst(*worse), *worse);
                assert_eq!(worse.worst(*better), *worse);
            }
        }
    }

    #[test]
    fn codes_are_those_of_the_published_table() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 70, 130, 143]);
    }
}
