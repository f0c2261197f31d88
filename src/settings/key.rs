//! Definition of a setting: all that the program knows of it besides the place where its value is used.

use super::strict::Stricter;

/// A setting with values of one type: its key, and the reader of its text.
pub(crate) struct Setting<T> {
    pub(crate) key: Key,
    pub(crate) read: fn(&str) -> Result<T, String>,
}

/// Definition of a setting apart from the type of its values. Flags, variables (`CUTOVER_` and the name in capitals), settings
/// files, the tables of a plan file, `config show` and `init`'s example are made from it.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) default: Option<&'static str>,
    /// Value that `init`'s example shows: the default, if there is one.
    pub(crate) example: &'static str,
    pub(crate) help: &'static str,
    /// `None` for a setting that no flag sets.
    pub(crate) flag: Option<Flag>,
    /// Returns an error if a text cannot be its value.
    pub(crate) check: fn(&str) -> Result<(), String>,
    pub(crate) risk: Risk,
    pub(crate) recording: Recording,
    pub(crate) scope: Scope,
    /// Rules for a plan file that sets it; `None` where no plan file may.
    pub(crate) of_plan: Option<PlanRule>,
    pub(crate) lifetime: Lifetime,
    /// Another variable, which the vendor's users know; the program's own goes before it.
    pub(crate) also_variable: Option<&'static str>,
}

/// Record of a setting in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recording {
    /// Recorded as a part of how the run is carried out.
    WithRun,
    /// Concerns the process alone, and is not recorded.
    NotRecorded,
}

/// Part of the estate that a value holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One value for all accounts; a profile may not set it.
    Everything,
    /// A profile may set it: each account may have its own.
    Account,
}

/// Rules for a setting that a plan file may set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlanRule {
    pub(crate) table: PlanTable,
    /// Order by which one of two values holds where an operator and somebody else have a say.
    pub(crate) stricter: Stricter,
    pub(crate) default: DefaultRole,
}

/// Meaning of a default where a plan sets the setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefaultRole {
    /// Value to begin with, such as a pace: a plan's own value replaces it.
    Start,
    /// Limit as well, which the operator alone makes wider.
    Limit,
}

/// Launches of a run that a value holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// One launch: the next one reads its layers anew.
    Launch,
    /// All launches: a run keeps the value that it was begun with, unless a later launch is told otherwise.
    Run,
    /// All launches, for the value of a plan or a file; one given by flag or variable holds for that launch.
    RunUnlessByHand,
    /// Settled when the run begins, so that no later launch need name it.
    Settled,
    /// Place outside where all of a run is kept: the run keeps it, so that a later launch names only another way there.
    #[cfg_attr(
        not(feature = "cluster"),
        expect(dead_code, reason = "a machine that is alone keeps all in its journal")
    )]
    Home,
    /// Part of the way to the service: where a run goes, or as whom. Settled as well, but a flag or variable is repeated in
    /// commands to type next.
    Route,
}

/// Table of a plan file in which a setting stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlanTable {
    Policy,
    Halt,
    /// Under a name of its own.
    Window(&'static str),
}

/// Flag of a setting; it is called as the setting is, with `-` for `_`.
#[derive(Clone, Copy)]
pub(crate) struct Flag {
    pub(crate) group: FlagGroup,
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
pub(crate) enum FlagGroup {
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
    /// Taken by verbs that launch a run, whether they send changes or only look.
    Launch,
    /// Taken by verbs that go on with a run, read it or steer it, also from another machine.
    Engine,
}

/// Harm that a setting can do if a stranger sets it, which decides who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Risk {
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

impl Risk {
    /// Reason why a folder's file may not set this before it is trusted; `None` if it may.
    pub(crate) fn beyond_a_folder(self) -> Option<&'static str> {
        match self {
            Risk::Pace | Risk::Looks => None,
            Risk::Redirects => Some("says where requests and credentials go, or in whose name"),
            Risk::Reads => Some("names what is read"),
            Risk::Writes => Some("names a file that is written"),
            Risk::Executes => Some("runs a command"),
            Risk::Guards => Some("decides what is looked at, sent or held back"),
        }
    }
}

/// Setting that names the servers of the engine. A build without that has no such setting, and a run may have one all the same.
pub(crate) const ENGINE: &str = "engine";

/// Setting that says who makes the requests of an account, in a build that has workers.
pub(crate) const VIA: &str = "via";

/// Prefix of the program's own variables.
pub(crate) const OURS: &str = "CUTOVER_";

impl Key {
    const BLANK: Self = Self {
        name: "",
        default: None,
        example: "",
        help: "",
        flag: None,
        check: |_| Ok(()),
        risk: Risk::Guards,
        recording: Recording::WithRun,
        scope: Scope::Everything,
        of_plan: None,
        lifetime: Lifetime::Launch,
        also_variable: None,
    };

    /// A setting with a default, recorded with the run.
    pub(super) const fn of_run(name: &'static str, risk: Risk, default: &'static str, help: &'static str) -> Self {
        Self { name, risk, default: Some(default), example: default, help, ..Self::BLANK }
    }

    /// A setting without a default, recorded with the run.
    pub(super) const fn unless_set(name: &'static str, risk: Risk, example: &'static str, help: &'static str) -> Self {
        Self { name, risk, default: None, example, help, ..Self::BLANK }
    }

    /// Marks a setting that concerns the process alone, and is not recorded.
    pub(super) const fn of_process(self) -> Self {
        Self { recording: Recording::NotRecorded, ..self }
    }

    pub(super) const fn flag(self, group: FlagGroup, value_name: &'static str) -> Self {
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
        Self { scope: Scope::Account, ..self }
    }

    /// Lets a plan set it, in this table; of two values the stricter holds.
    pub(super) const fn of_plan(self, table: PlanTable, stricter: Stricter) -> Self {
        Self { of_plan: Some(PlanRule { table, stricter, default: DefaultRole::Start }), ..self }
    }

    /// Makes the default a limit for plans as well; follows [`Self::of_plan()`].
    pub(super) const fn limited_by_default(self) -> Self {
        let rule = self.of_plan.expect("a limit for plans follows what lets a plan set it");
        Self { of_plan: Some(PlanRule { default: DefaultRole::Limit, ..rule }), ..self }
    }

    pub(super) const fn lasting(self, lifetime: Lifetime) -> Self {
        Self { lifetime, ..self }
    }

    pub(super) const fn also_variable(self, variable: &'static str) -> Self {
        Self { also_variable: Some(variable), ..self }
    }

    /// Key by which it stands in the table of the engine in a settings file; `None` for a setting of no table.
    pub(crate) fn in_engine(&self) -> Option<&'static str> {
        match self.name.strip_prefix(ENGINE)? {
            "" => Some("url"),
            rest => rest.strip_prefix('_'),
        }
    }

    /// Name of the variable that sets it.
    pub(crate) fn variable(&self) -> String {
        format!("{OURS}{}", self.name.to_uppercase())
    }

    /// Name of its flag, without dashes.
    pub(crate) fn long(&self) -> String {
        self.name.replace('_', "-")
    }

    /// Returns the text if it can be its value, else the reason why not.
    pub(crate) fn checked(&self, text: &str) -> Result<String, String> {
        (self.check)(text).map(|()| text.to_owned())
    }

    /// Tells whether its flag may be given without a value, and is `on` then.
    pub(crate) fn is_switch(&self) -> bool {
        self.flag.is_some_and(|flag| flag.is_switch)
    }

    /// Tells whether its flag is taken only by verbs that send changes.
    pub(crate) fn is_of_sending(&self) -> bool {
        self.flag.is_some_and(|flag| flag.group == FlagGroup::Steering)
    }

    /// Tells whether a run keeps the value that it was begun with.
    pub(crate) fn is_kept(&self) -> bool {
        match self.lifetime {
            Lifetime::Run | Lifetime::RunUnlessByHand | Lifetime::Home => true,
            Lifetime::Launch | Lifetime::Settled | Lifetime::Route => false,
        }
    }

    /// Tells whether its value is the path of a file.
    pub(crate) fn is_path(&self) -> bool {
        self.flag.is_some_and(|flag| flag.value_name == "FILE")
    }

    /// Tells whether it has a flag that is repeated in a command to type next for the same run.
    pub(crate) fn is_repeated_as_flag(&self) -> bool {
        self.flag.is_some()
            && match self.lifetime {
                Lifetime::Launch | Lifetime::Run | Lifetime::RunUnlessByHand | Lifetime::Home | Lifetime::Route => true,
                Lifetime::Settled => false,
            }
    }
}
