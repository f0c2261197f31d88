//! Effect of a change, as a look after it shows it.
//!
//! Compared are the fields that the plan names, each by itself; the first line that applies counts:
//!
//! | the field shows | it is |
//! |---|---|
//! | its target | on target |
//! | another word, and reads never show its target | never shown |
//! | the word that it had before, or one of the two is not known | unmoved |
//! | another word than before | moved |
//!
//! One field that moved makes the row overtaken; otherwise one that is never shown makes it unprovable; otherwise one that is
//! unmoved makes it not yet on target. So what was not known before cannot be overtaken.

use crate::model::state::{SeenState, TargetState};
use crate::model::words::{self, Word};

/// Effect of a change on a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    OnTarget,
    /// Neither field has moved yet, or only one has; the reason says which.
    NotYet {
        reason: String,
    },
    /// A field is neither what it was nor the target.
    Overtaken {
        reason: String,
    },
    /// Reads never show the target word, so nothing can prove it. `as_before` if every field is known to be what it was.
    Unprovable {
        reason: String,
        as_before: bool,
    },
}

impl Effect {
    /// Compares what a look shows with the target and with what was seen `before`. Without a state from before nothing is
    /// overtaken; `seen` is `None` where the service does not know the source.
    pub(crate) fn from_look(wants: &TargetState, before: Option<&SeenState>, seen: Option<&SeenState>) -> Self {
        let Some(seen) = seen else {
            let reason = "the service no longer knows this source".to_owned();
            return if before.is_some() { Self::Overtaken { reason } } else { Self::NotYet { reason } };
        };
        let fields = named_fields(wants, before, seen);
        let first = |sought: FieldEffect| fields.iter().flatten().find(move |field| field.effect() == sought);
        if let Some(moved) = first(FieldEffect::Moved) {
            return Self::Overtaken { reason: moved.moved() };
        }
        if let Some(hidden) = first(FieldEffect::NeverShown) {
            let as_before = fields.iter().flatten().all(|field| field.was.is_some() && field.was == field.shown);
            return Self::Unprovable { reason: hidden.never_shown(), as_before };
        }
        let Some(unmoved) = first(FieldEffect::Unmoved) else { return Self::OnTarget };
        // A field that was on target before is no half of an effect.
        let mut on_target = fields.iter().flatten().filter(|field| field.effect() == FieldEffect::OnTarget);
        let reason = match on_target.find(|field| field.was != Some(field.wanted)) {
            Some(there) => format!("{} is on target, {}", there.name, unmoved.remains()),
            None => unmoved.remains(),
        };
        Self::NotYet { reason }
    }
}

/// Tells that a look shows the target in every field that the plan names.
pub(crate) fn on_target(wants: &TargetState, seen: &SeenState) -> bool {
    let matches = |wanted: &Option<Word>, shown: &Option<Word>| wanted.is_none() || wanted == shown;
    matches(&wants.copystate, &seen.copystate) && matches(&wants.migrationcycle, &seen.migrationcycle)
}

/// Word as reasons have it.
pub(super) fn shown_as(word: Option<&Word>) -> &str {
    word.map_or("nothing", Word::as_str)
}

/// Field that the plan names, before and after the change.
struct NamedField<'a> {
    name: &'static str,
    wanted: &'a Word,
    /// `None` if it is not known.
    was: Option<&'a Word>,
    shown: Option<&'a Word>,
}

/// Effect of a change on one field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FieldEffect {
    OnTarget,
    NeverShown,
    Unmoved,
    Moved,
}

/// Fields that the plan names, each with the words to compare.
fn named_fields<'a>(
    wants: &'a TargetState,
    before: Option<&'a SeenState>,
    seen: &'a SeenState,
) -> [Option<NamedField<'a>>; 2] {
    let copystate = wants.copystate.as_ref().map(|wanted| NamedField {
        name: "copystate",
        wanted,
        was: before.and_then(|before| before.copystate.as_ref()),
        shown: seen.copystate.as_ref(),
    });
    let migrationcycle = wants.migrationcycle.as_ref().map(|wanted| NamedField {
        name: "migrationcycle",
        wanted,
        was: before.and_then(|before| before.migrationcycle.as_ref()),
        shown: seen.migrationcycle.as_ref(),
    });
    [copystate, migrationcycle]
}

impl NamedField<'_> {
    fn effect(&self) -> FieldEffect {
        if self.shown == Some(self.wanted) {
            FieldEffect::OnTarget
        } else if words::never_shown(self.wanted) {
            FieldEffect::NeverShown
        } else if self.was.is_none() || self.shown.is_none() || self.was == self.shown {
            FieldEffect::Unmoved
        } else {
            FieldEffect::Moved
        }
    }

    fn moved(&self) -> String {
        let (shown, was) = (shown_as(self.shown), shown_as(self.was));
        format!("{} is `{shown}`, neither what it was (`{was}`) nor the target", self.name)
    }

    fn never_shown(&self) -> String {
        format!("reads never show {} `{}`", self.name, self.wanted)
    }

    fn remains(&self) -> String {
        let still = if self.was.is_some() { "still " } else { "" };
        format!("{} is {still}`{}`", self.name, shown_as(self.shown))
    }
}

#[cfg(test)]
mod tests {
    use super::super::states::{seen, wants};
    use super::*;

    #[test]
    fn what_a_look_after_a_change_shows() {
        let table = [
            ("finished/cutovered", "cutovering/cutovering", "finished/cutovered", "on target"),
            ("finished/cutovered", "cutovering/cutovering", "FINISHED/Cutovered", "on target"),
            ("init/replicating", "waiting/setting", "initialize/replicating", "on target"),
            ("finished/*", "cutovering/cutovering", "finished/error", "on target"),
            ("finished/cutovered", "cutovering/cutovering", "cutovering/cutovering", "not yet: copystate is still"),
            ("finished/cutovered", "cutovering/cutovering", "finished/cutovering", "not yet: copystate is on target"),
            ("finished/cutovered", "cutovering/cutovering", "error/cutovering", "overtaken: copystate is `error`"),
            ("finished/cutovered", "cutovering/cutovering", "finished/syncing", "overtaken: migrationcycle"),
            ("finished/cutovered", "cutovering/cutovering", "*/cutovered", "not yet"),
            ("error/syncing", "syncing/syncing", "syncing/syncing", "not yet: copystate is still"),
            ("premiging/setting", "waiting/setting", "premigready/setting", "unprovable false"),
            ("premiging/setting", "waiting/setting", "waiting/setting", "unprovable true"),
            ("premiging/setting", "waiting/setting", "premiging/setting", "on target"),
            ("waiting/tested", "error/setting", "stopped/setting", "overtaken: copystate"),
        ];
        for (target, before, shown, expected) in table {
            let effect = match Effect::from_look(&wants(target), Some(&seen(before)), Some(&seen(shown))) {
                Effect::OnTarget => "on target".to_owned(),
                Effect::NotYet { reason } => format!("not yet: {reason}"),
                Effect::Overtaken { reason } => format!("overtaken: {reason}"),
                Effect::Unprovable { as_before, .. } => format!("unprovable {as_before}"),
            };
            assert!(effect.starts_with(expected), "{target}, {before} -> {shown}: {effect}");
        }
    }

    #[test]
    fn without_a_look_before_nothing_is_overtaken() {
        let effect = Effect::from_look(&wants("finished/cutovered"), None, Some(&seen("error/syncing")));
        assert!(matches!(effect, Effect::NotYet { .. }));
    }

    #[test]
    fn a_field_that_was_not_known_before_is_not_overtaken() {
        let before = seen("*/cutovering");
        let effect = |shown| Effect::from_look(&wants("finished/cutovered"), Some(&before), Some(&seen(shown)));
        assert_eq!(effect("error/cutovering"), Effect::NotYet { reason: "copystate is `error`".to_owned() });
        assert!(matches!(effect("error/syncing"), Effect::Overtaken { .. }));
        assert_eq!(effect("finished/cutovered"), Effect::OnTarget);
    }

    #[test]
    fn of_all_states_those_are_overtaken_in_which_a_known_field_has_moved() {
        let copystates = ["*", "syncing", "stopped", "error", "premiging"];
        let cycles = ["*", "setting", "syncing", "cutovered"];
        let pairs = || copystates.into_iter().flat_map(|copystate| cycles.map(|cycle| format!("{copystate}/{cycle}")));
        for (target, before) in pairs().flat_map(|target| pairs().map(move |before| (target.clone(), before))) {
            let (wants, was) = (wants(&target), seen(&before));
            for shown in pairs().map(|shown| seen(&shown)) {
                let effect = Effect::from_look(&wants, Some(&was), Some(&shown));
                let case = format!("{target}, {before} -> {shown}: {effect:?}");
                let moved = has_moved(wants.copystate.as_ref(), was.copystate.as_ref(), shown.copystate.as_ref())
                    || has_moved(
                        wants.migrationcycle.as_ref(),
                        was.migrationcycle.as_ref(),
                        shown.migrationcycle.as_ref(),
                    );
                assert_eq!(matches!(effect, Effect::Overtaken { .. }), moved, "{case}");
            }
        }
    }

    /// Tells that a field, all of whose words are known, is neither what it was nor the target, which reads could show.
    fn has_moved(wanted: Option<&Word>, was: Option<&Word>, shown: Option<&Word>) -> bool {
        wanted
            .zip(was)
            .zip(shown)
            .is_some_and(|((wanted, was), shown)| shown != was && shown != wanted && !words::never_shown(wanted))
    }
}
