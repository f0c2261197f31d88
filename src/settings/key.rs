//! Definition of a setting: all that the program knows of it besides the place where its value is used.

use super::strict::Stricter;

/// A setting with values of one type: its key, and the reader of its text.
pub(crate) struct Setting<T> {
    pub(crate) key: Key,
    pub(crate) read: fn(&str) -> Result<T, String>,
}

/// What holds for a setting whatever its values are. Flags, variables (`CUTOVER_` and the name in capitals), settings files,
/// the tables of a plan file, `config show` and `init`'s example are made from it.
#[expect(clippy::struct_excessive_bools, reason = "a table of marks that have nothing to do with each other")]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) default: Option<&'static str>,
    /// Value that `init`'s example shows: the default, if there is one.
    pub(crate) example: &'static str,
    pub(crate) help: &'static str,
    /// None: it is no flag.
    pub(crate) flag: Option<Flag>,
    /// Error, if a text cannot be its value.
    pub(crate) check: fn(&str) -> Result<(), String>,
    /// Harm that it can do in a stranger's hands.
    pub(crate) reach: Reach,
    /// Recorded in the journal as a part of how the run is carried out.
    pub(crate) of_run: bool,
    /// Allowed in a profile: each account may have its own.
    pub(crate) of_account: bool,
    /// Order by which one of two values holds where an operator and somebody else have a say. None: a plan file may not set it.
    pub(crate) of_plan: Option<Stricter>,
    /// Place in a plan file, if one may set it.
    pub(crate) section: Section,
    /// Makes its default a limit, too, which the operator alone makes wider. Of pace a default is no more than where one
    /// begins: a plan has its own.
    pub(crate) holds_by_default: bool,
    /// Kept by a run that was begun with it, unless a later launch is told otherwise.
    pub(crate) kept: bool,
    /// Valid for the one launch that was given it by hand, though a plan's or a file's is kept.
    pub(crate) of_launch: bool,
    /// Settled when the run begins, so that no later launch need name it.
    pub(crate) settled_by_run: bool,
    /// Part of the way to the service: where a run goes, or as whom.
    pub(crate) of_way: bool,
    /// Another variable that the vendor's users know, behind our own.
    pub(crate) also_variable: Option<&'static str>,
}

/// Table of a plan file in which a setting stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Policy,
    Halt,
    /// Under a name of its own.
    Window(&'static str),
}

/// Flag of a setting; it is called as the setting is, with `-` for `_`.
#[derive(Clone, Copy)]
pub(crate) struct Flag {
    pub(crate) group: Group,
    pub(crate) value_name: &'static str,
    /// Text in place of the setting's own help, where a flag means more or an example is of use.
    pub(crate) help: Option<&'static str>,
    /// Setting that it follows in the help, if not the one before it in the list.
    pub(crate) listed_behind: Option<&'static str>,
    /// Given without a value, it is `on`.
    pub(crate) is_switch: bool,
}

/// Flags that the same verbs take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Taken by every verb.
    Common,
    /// Taken by verbs that ask the service.
    Service,
    /// Taken by the same, and by the one that reads a plan offline.
    Dialect,
    /// Taken by verbs that a sandbox may serve, and by the one that is a sandbox.
    Night,
    /// Taken by verbs that send changes.
    Steering,
}

/// Harm that a setting can do in a stranger's hands, and so whose word it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Speed, patience, rules for stopping, hours: at worst a run that is slow, or none.
    Pace,
    /// Looks of messages and reports.
    Looks,
    /// Decides where requests and credentials go, and in whose name.
    Redirects,
    /// A file or a variable that is read.
    Reads,
    /// A file that is written.
    Writes,
    /// A command.
    Executes,
    /// Guards against what nobody meant.
    Guards,
}

impl Reach {
    /// Reason for which a file that merely lies in the folder may not set this; none: it may.
    pub(crate) fn beyond_a_folder(self) -> Option<&'static str> {
        match self {
            Reach::Pace | Reach::Looks => None,
            Reach::Redirects => Some("says where requests and credentials go, or in whose name"),
            Reach::Reads => Some("names what is read"),
            Reach::Writes => Some("names a file that is written"),
            Reach::Executes => Some("runs a command"),
            Reach::Guards => Some("decides what is looked at, sent or held back"),
        }
    }
}

/// Beginning of the variables that are ours.
pub(crate) const OURS: &str = "CUTOVER_";

impl Key {
    const BLANK: Self = Self {
        name: "",
        default: None,
        example: "",
        help: "",
        flag: None,
        check: |_| Ok(()),
        reach: Reach::Guards,
        of_run: true,
        of_account: false,
        of_plan: None,
        section: Section::Policy,
        holds_by_default: false,
        kept: false,
        of_launch: false,
        settled_by_run: false,
        of_way: false,
        also_variable: None,
    };

    /// A setting with a default, recorded with the run.
    pub(super) const fn of_run(name: &'static str, reach: Reach, default: &'static str, help: &'static str) -> Self {
        Self { name, reach, default: Some(default), example: default, help, ..Self::BLANK }
    }

    /// A setting without a default, recorded with the run.
    pub(super) const fn unless_set(
        name: &'static str,
        reach: Reach,
        example: &'static str,
        help: &'static str,
    ) -> Self {
        Self { name, reach, default: None, example, help, ..Self::BLANK }
    }

    /// Of the process, and not recorded.
    pub(super) const fn of_process(self) -> Self {
        Self { of_run: false, ..self }
    }

    pub(super) const fn flag(self, group: Group, value_name: &'static str) -> Self {
        let flag = Flag { group, value_name, help: None, listed_behind: None, is_switch: false };
        Self { flag: Some(flag), ..self }
    }

    pub(super) const fn flag_help(self, help: &'static str) -> Self {
        let flag = self.own_flag();
        Self { flag: Some(Flag { help: Some(help), ..flag }), ..self }
    }

    pub(super) const fn listed_behind(self, name: &'static str) -> Self {
        let flag = self.own_flag();
        Self { flag: Some(Flag { listed_behind: Some(name), ..flag }), ..self }
    }

    pub(super) const fn switch(self) -> Self {
        let flag = self.own_flag();
        Self { flag: Some(Flag { is_switch: true, ..flag }), ..self }
    }

    const fn own_flag(&self) -> Flag {
        self.flag.expect("marks of a flag follow `flag`")
    }

    pub(super) const fn of_account(self) -> Self {
        Self { of_account: true, ..self }
    }

    /// A plan may set it, in this table; of two values the stricter holds.
    pub(super) const fn of_plan(self, section: Section, stricter: Stricter) -> Self {
        Self { section, of_plan: Some(stricter), ..self }
    }

    pub(super) const fn holds_by_default(self) -> Self {
        Self { holds_by_default: true, ..self }
    }

    /// A plan may set it, and a run keeps it.
    pub(super) const fn kept(self, section: Section, stricter: Stricter) -> Self {
        Self { kept: true, ..self.of_plan(section, stricter) }
    }

    /// The same, but for the launch that is given it by hand.
    pub(super) const fn of_launch(self, section: Section, stricter: Stricter) -> Self {
        Self { of_launch: true, ..self.kept(section, stricter) }
    }

    pub(super) const fn settled_by_run(self) -> Self {
        Self { settled_by_run: true, ..self }
    }

    pub(super) const fn of_way(self) -> Self {
        Self { of_way: true, ..self }
    }

    pub(super) const fn also_variable(self, variable: &'static str) -> Self {
        Self { also_variable: Some(variable), ..self }
    }

    /// The variable that sets it.
    pub(crate) fn variable(&self) -> String {
        format!("{OURS}{}", self.name.to_uppercase())
    }

    /// Name of its flag, without dashes.
    pub(crate) fn long(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The text, if it can be its value.
    pub(crate) fn checked(&self, text: &str) -> Result<String, String> {
        (self.check)(text).map(|()| text.to_owned())
    }

    /// Tells a flag by itself, which is `on`.
    pub(crate) fn is_switch(&self) -> bool {
        self.flag.is_some_and(|flag| flag.is_switch)
    }

    /// Tells flags that verbs alone take which send changes.
    pub(crate) fn is_of_sending(&self) -> bool {
        self.flag.is_some_and(|flag| flag.group == Group::Steering)
    }

    /// Tells a setting that the next launch would do without, if nobody gave it by hand again. Of what is kept, a run keeps no
    /// more than it was begun with.
    pub(crate) fn is_lost_with_its_launch(&self) -> bool {
        !self.settled_by_run
    }

    /// Tells a limit of the one run, which is none of another's.
    pub(crate) fn is_of_one_run(&self) -> bool {
        self.kept && !self.of_launch
    }
}
