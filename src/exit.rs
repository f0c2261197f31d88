//! Exit codes, stated once: help text, manual and summary are made from this table.

use serde::Serialize;

/// Ending of a process. A number never changes its meaning.
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
    Unreachable,
    Internal,
    /// Ended by SIGHUP.
    HungUp,
    /// Ended by SIGINT.
    Interrupted,
    /// Ended by SIGTERM.
    Terminated,
}

impl Exit {
    pub const ALL: [Exit; 13] = [
        Exit::Done,
        Exit::NotOnTarget,
        Exit::Usage,
        Exit::Refused,
        Exit::Halted,
        Exit::Credentials,
        Exit::Locked,
        Exit::Integrity,
        Exit::Unreachable,
        Exit::Internal,
        Exit::HungUp,
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
            Exit::Unreachable => 8,
            Exit::Internal => 70,
            Exit::HungUp => 129,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        }
    }

    /// Returns the exit with this code, in which each end by a signal has its own; `None` if none has it.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| exit.code() == code)
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
            Exit::Unreachable => "unreachable",
            Exit::Internal => "internal",
            Exit::HungUp | Exit::Interrupted | Exit::Terminated => "interrupted",
        }
    }

    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "every row on target",
            Exit::NotOnTarget => "finished; at least one row is not on target",
            Exit::Usage => "flags, settings or plan; nothing was sent",
            Exit::Refused => "preflight or policy said no before the first change; nothing was sent by this launch",
            Exit::Halted => "stopped early by halt policy, window, approval or an operator; can go on",
            Exit::Credentials => {
                "there are none, or the service does not accept who we are, or not for this; can go on"
            }
            Exit::Locked => "another launch holds the run or the account",
            Exit::Integrity => "the journal or a sealed plan is not what it was",
            Exit::Unreachable => {
                "the service could not be reached before the first change; nothing was sent by this launch; worth trying later"
            }
            Exit::Internal => "a bug, or the journal or a result cannot be written",
            Exit::HungUp => "by SIGHUP; can go on",
            Exit::Interrupted => "by SIGINT; can go on",
            Exit::Terminated => "by SIGTERM; can go on",
        }
    }

    /// Tells whether every row is settled, on target or not: nothing broke and nothing cut the run short.
    #[must_use]
    pub fn is_finished(self) -> bool {
        match self {
            Exit::Done | Exit::NotOnTarget => true,
            Exit::Usage
            | Exit::Refused
            | Exit::Halted
            | Exit::Credentials
            | Exit::Locked
            | Exit::Integrity
            | Exit::Unreachable
            | Exit::Internal
            | Exit::HungUp
            | Exit::Interrupted
            | Exit::Terminated => false,
        }
    }

    /// Tells whether a launch that ended so may leave its run to another machine: its own machine failed, or its way to the service or
    /// its credentials, of which the other one has its own. What a person or the plan decided is left so, and a journal that is not what
    /// it was is looked at by a person first.
    #[must_use]
    pub fn is_of_its_machine(self) -> bool {
        match self {
            Exit::Internal | Exit::Unreachable | Exit::Credentials => true,
            Exit::Done
            | Exit::NotOnTarget
            | Exit::Usage
            | Exit::Refused
            | Exit::Halted
            | Exit::Locked
            | Exit::Integrity
            | Exit::HungUp
            | Exit::Interrupted
            | Exit::Terminated => false,
        }
    }

    /// Returns the words with which the sentence about an unfinished run begins; `None` for a finished one, of which the counts say
    /// enough.
    #[must_use]
    pub fn headline(self) -> Option<&'static str> {
        match self {
            Exit::Done | Exit::NotOnTarget => None,
            Exit::Usage => Some("Not begun"),
            Exit::Refused => Some("Refused"),
            Exit::Halted => Some("Halted"),
            Exit::Credentials => Some("Credentials not accepted"),
            Exit::Locked => Some("Locked out"),
            Exit::Integrity => Some("Journal or plan not what it was"),
            Exit::Unreachable => Some("Service not reached"),
            Exit::Internal => Some("Broken off by a fault"),
            Exit::HungUp => Some("The terminal hung up"),
            Exit::Interrupted => Some("Interrupted"),
            Exit::Terminated => Some("Terminated by a signal"),
        }
    }

    /// Returns words for the signal that ended the process; `None` for any other exit.
    #[must_use]
    pub fn signal(self) -> Option<&'static str> {
        match self {
            Exit::HungUp => Some("the terminal hung up"),
            Exit::Interrupted => Some("interrupted"),
            Exit::Terminated => Some("terminated by a signal"),
            Exit::Done
            | Exit::NotOnTarget
            | Exit::Usage
            | Exit::Refused
            | Exit::Halted
            | Exit::Credentials
            | Exit::Locked
            | Exit::Integrity
            | Exit::Unreachable
            | Exit::Internal => None,
        }
    }

    /// Returns the code for a launch that has sent a change: codes that say that nothing was sent would then be wrong.
    #[must_use]
    pub fn after_a_change(self) -> Exit {
        match self {
            // The launch began, so that the input was valid: the failure is internal.
            Exit::Usage => Exit::Internal,
            // A launch that began had its locks: what has the run now took it over.
            Exit::Refused | Exit::Locked | Exit::Unreachable => Exit::Halted,
            Exit::Done
            | Exit::NotOnTarget
            | Exit::Halted
            | Exit::Credentials
            | Exit::Integrity
            | Exit::Internal
            | Exit::HungUp
            | Exit::Interrupted
            | Exit::Terminated => self,
        }
    }

    /// Returns the worse of two: 70, 7, signal, 5, 8, 4, 1, 0. The others end a launch before its first change, so that
    /// they never meet one of these; they rank above what a run can end with.
    #[must_use]
    pub fn worst(self, other: Exit) -> Exit {
        fn rank(exit: Exit) -> u8 {
            match exit {
                Exit::Done => 0,
                Exit::NotOnTarget => 1,
                Exit::Halted => 2,
                Exit::Unreachable => 3,
                Exit::Credentials => 4,
                Exit::HungUp => 5,
                Exit::Interrupted => 6,
                Exit::Terminated => 7,
                Exit::Refused => 8,
                Exit::Usage => 9,
                Exit::Locked => 10,
                Exit::Integrity => 11,
                Exit::Internal => 12,
            }
        }
        if rank(other) > rank(self) { other } else { self }
    }
}

/// End of the process: by the table of exits, or as an answer to a program that asked for one. Answers have numbers of their own, which
/// the help of their verb lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessEnd {
    Exit(Exit),
    /// `plan --exit-code`: there is something to change.
    ToChange,
    /// `status --check`.
    Plugin(PluginState),
}

impl ProcessEnd {
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            ProcessEnd::Exit(exit) => exit.code(),
            ProcessEnd::ToChange => 10,
            ProcessEnd::Plugin(state) => state.code(),
        }
    }
}

/// State that a monitoring plug-in reports, the worst last.
/// source: Monitoring Plugins Development Guidelines, "Plugin Return Codes"
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PluginState {
    Ok,
    Unknown,
    Warning,
    Critical,
}

impl PluginState {
    pub const ALL: [PluginState; 4] =
        [PluginState::Ok, PluginState::Warning, PluginState::Critical, PluginState::Unknown];

    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            PluginState::Ok => 0,
            PluginState::Warning => 1,
            PluginState::Critical => 2,
            PluginState::Unknown => 3,
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            PluginState::Ok => "OK",
            PluginState::Warning => "WARNING",
            PluginState::Critical => "CRITICAL",
            PluginState::Unknown => "UNKNOWN",
        }
    }

    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            PluginState::Ok => "the run ended with 0, or goes on",
            PluginState::Warning => "it waits for a person: an approval, a pause, a stopped account, an open question",
            PluginState::Critical => "it ended otherwise than with 0, or was cut off",
            PluginState::Unknown => "there is no run or no journal, or it cannot be read; also for any other error",
        }
    }
}

/// Line of a table of codes.
pub(crate) struct CodeLine {
    code: u8,
    name: &'static str,
    meaning: &'static str,
}

impl CodeLine {
    /// Line of an exit, as the table has it.
    pub(crate) fn of_table(exit: Exit) -> Self {
        Self { code: exit.code(), name: exit.name(), meaning: exit.meaning() }
    }

    /// Line of an exit in the words of a verb that carries no rows.
    pub(crate) fn of_verb(exit: Exit, meaning: &'static str) -> Self {
        Self { meaning, ..Self::of_table(exit) }
    }

    /// Line of a code that is no exit of the table.
    pub(crate) fn to_change(meaning: &'static str) -> Self {
        Self { code: ProcessEnd::ToChange.code(), name: "to_change", meaning }
    }
}

/// Formats the table for `--help` and the manual: no line is longer than 80 characters.
#[must_use]
pub fn table() -> String {
    table_of("Exit codes", Exit::ALL.map(CodeLine::of_table))
}

/// Formats the table of a plug-in in the same way.
pub(crate) fn plugin_table() -> String {
    let line = |state: PluginState| CodeLine { code: state.code(), name: state.name(), meaning: state.meaning() };
    table_of("Exit codes with --check, as monitoring systems know them", PluginState::ALL.map(line))
}

/// Formats lines in the order of their codes.
pub(crate) fn table_of(title: &str, lines: impl IntoIterator<Item = CodeLine>) -> String {
    const BEFORE: usize = 22;
    let mut lines: Vec<CodeLine> = lines.into_iter().collect();
    lines.sort_by_key(|line| line.code);
    let mut text = format!("{title}:\n");
    for CodeLine { code, name, meaning } in lines {
        let mut line = format!("  {code:>3}  {name:<14}");
        for word in meaning.split(' ') {
            if line.len() + 1 + word.len() > 80 {
                text.push_str(&line);
                text.push('\n');
                line = " ".repeat(BEFORE - 1);
            }
            line.push(' ');
            line.push_str(word);
        }
        text.push_str(&line);
        text.push('\n');
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
            Exit::Unreachable,
            Exit::Credentials,
            Exit::HungUp,
            Exit::Interrupted,
            Exit::Terminated,
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
    fn each_is_stored_by_a_name_that_never_changes() {
        let stored = serde_json::to_value(Exit::ALL).unwrap();
        let names = [
            "done",
            "not_on_target",
            "usage",
            "refused",
            "halted",
            "credentials",
            "locked",
            "integrity",
            "unreachable",
            "internal",
            "hung_up",
            "interrupted",
            "terminated",
        ];
        assert_eq!(stored, serde_json::json!(names));
    }

    #[test]
    fn codes_are_those_of_the_published_table() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 70, 129, 130, 143]);
    }

    #[test]
    fn a_stored_code_is_read_back_as_the_exit_that_it_was() {
        for exit in Exit::ALL {
            assert_eq!(Exit::from_code(exit.code()), Some(exit));
            assert_eq!(exit.headline().is_none(), exit.is_finished(), "{exit:?}");
        }
        assert_eq!(Exit::from_code(9), None);
    }

    #[test]
    fn another_machine_goes_on_with_what_the_first_one_failed_at_and_with_nothing_that_was_decided() {
        let of_its_machine = Exit::ALL.into_iter().filter(|exit| exit.is_of_its_machine());
        assert_eq!(of_its_machine.map(Exit::code).collect::<Vec<_>>(), [5, 8, 70]);
    }

    #[test]
    fn answers_have_numbers_that_never_change() {
        let answers = PluginState::ALL.map(ProcessEnd::Plugin).map(ProcessEnd::code);
        assert_eq!((answers, ProcessEnd::ToChange.code()), ([0, 1, 2, 3], 10));
        assert!(!Exit::ALL.iter().any(|exit| exit.code() == ProcessEnd::ToChange.code()));
    }

    #[test]
    fn no_ending_after_a_change_says_that_nothing_was_sent() {
        for exit in Exit::ALL {
            let after = exit.after_a_change();
            assert!(![2, 3, 6, 8].contains(&after.code()), "{exit:?} is {after:?}");
            assert!(!after.meaning().contains("nothing was sent"), "{after:?}");
            assert_eq!(after.after_a_change(), after);
        }
    }
}
