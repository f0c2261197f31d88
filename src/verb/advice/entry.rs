//! Entry of the table of errors.

use std::ffi::OsStr;

use crate::exit::Exit;
use crate::verb::here::Here;

/// Consequences of one error: the exit, the command or edit that comes next, and the variable that may have named its subject.
pub(crate) struct ErrorEntry<'e> {
    pub(crate) exit: Exit,
    hint: Hint<'e>,
    named_by: NamedBy<'e>,
}

/// The command or the edit that comes next.
enum Hint<'e> {
    Nothing,
    Said(&'static str),
    Typed(Typing<'e>),
}

/// Writes a hint with the flags that were given here, if there is one.
type Typing<'e> = Box<dyn FnOnce(&Here) -> Option<String> + 'e>;

/// A variable of the environment: nobody sees it where they type.
enum NamedBy<'e> {
    Nothing,
    /// The one that sets this.
    Setting(&'static str),
    /// The one that has this value.
    Value(&'e OsStr),
}

impl<'e> ErrorEntry<'e> {
    /// An error for which nothing is to be done, or of which the text says that.
    pub(super) fn plain(exit: Exit) -> Self {
        Self { exit, hint: Hint::Nothing, named_by: NamedBy::Nothing }
    }

    pub(super) fn said(exit: Exit, hint: &'static str) -> Self {
        Self { hint: Hint::Said(hint), ..Self::plain(exit) }
    }

    pub(super) fn typed(exit: Exit, hint: impl FnOnce(&Here) -> String + 'e) -> Self {
        Self::may_be_typed(exit, |here| Some(hint(here)))
    }

    pub(super) fn may_be_typed(exit: Exit, hint: impl FnOnce(&Here) -> Option<String> + 'e) -> Self {
        Self { hint: Hint::Typed(Box::new(hint)), ..Self::plain(exit) }
    }

    pub(super) fn ending_with(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    pub(super) fn of_setting(self, setting: &'static str) -> Self {
        Self { named_by: NamedBy::Setting(setting), ..self }
    }

    pub(super) fn of_value(self, value: &'e (impl AsRef<OsStr> + ?Sized)) -> Self {
        Self { named_by: NamedBy::Value(value.as_ref()), ..self }
    }

    /// The hint as people read it, with the variable that says what cannot be used.
    pub(crate) fn hint(self, here: &Here) -> Option<String> {
        let next = match self.hint {
            Hint::Nothing => None,
            Hint::Said(text) => Some(text.to_owned()),
            Hint::Typed(typed) => typed(here),
        };
        let variable = match self.named_by {
            NamedBy::Nothing => None,
            NamedBy::Setting(setting) => here.variable(setting),
            NamedBy::Value(value) => here.variable_that_names(value),
        };
        let Some(variable) = variable else { return next };
        Some(match next {
            Some(next) => format!("{next}; this one is named by {variable}"),
            None => format!("it is named by {variable}: set that to another one, or `unset {variable}`"),
        })
    }
}
