//! One piece of advice: a sentence, and the command to type.

use crate::report::next::NextCommands;

/// Advice to a person about a row, and the command that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    pub(crate) say: String,
    pub(crate) command: String,
}

/// Makes an advice from a sentence and its command.
pub(super) fn advice(say: impl Into<String>, command: String) -> Advice {
    Advice { say: say.into(), command }
}

/// Adds the flag that gives leave for targets without a way back, where such leave is needed and was not given.
pub(super) fn with_leave(say: &str, commands: &NextCommands) -> String {
    if commands.lacks_leave {
        return format!("{say} (with --allow-irreversible, if targets without a way back are meant)");
    }
    say.to_owned()
}

/// Makes the advice to go on with the run. By day, a run with a window would wait for hours.
pub(super) fn go_on(say: &str, commands: &NextCommands) -> Advice {
    let say = with_leave(say, commands);
    let waits = if commands.has_window { "; outside of the window it waits; --window off lifts it" } else { "" };
    advice(say + waits, commands.resume())
}
