//! Meaning of a look for a row: functions of what the plan wants, what was before, and what is seen.

use crate::event::row::RowEvent;
use crate::event::{EventKind, Ground, Verdict};
use crate::ledger::{LastWord, Standing};
use crate::model::dialect::Dialect;
use crate::model::words::{self, Pairing, Word};
use crate::model::{Fields, Row, RowId, SeenState, TargetState};

/// Words for a state in which a change is swallowed, and for a row that nobody looked at before it was sent.
const IGNORES_UPDATES: &str = "answers success and changes nothing";
pub(crate) const UNSEEN_BEFORE: &str = "nobody saw where it was before";

/// Reason for a verdict: in words, and as a fact where something depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) text: String,
    pub(crate) ground: Option<Ground>,
}

impl Reason {
    pub(crate) fn on(ground: Ground, text: impl Into<String>) -> Self {
        Self { text: text.into(), ground: Some(ground) }
    }

    /// Reason of a row that was accepted while verification was off.
    pub(crate) fn not_verified() -> Self {
        Self::on(Ground::NotVerified, "verification is switched off")
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self { text, ground: None }
    }
}

/// Decision about a row before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Already,
    Blocked {
        reason: Reason,
    },
    /// Would be sent, with the half that the plan leaves open filled in.
    Change {
        sends: TargetState,
        pairing: Pairing,
    },
}

/// The fields without which a look cannot decide whether a row is sent: those that the plan names as its target or expects,
/// and both where a half is filled in. A look that lacks one of them is a failed look: it settles nothing and permits
/// nothing. A field that nobody asks about may be missing, and then it is not known.
pub(crate) fn needed_to_send(row: &Row, completes: bool) -> Fields {
    if completes { Fields::BOTH } else { row.wants.fields().or(row.expects.fields()) }
}

/// Tells that what is sent depends on what was seen: the plan expects something, or the missing half of the pair is filled in.
pub(crate) fn depends_on_look(row: &Row, completes: bool) -> bool {
    !row.expects.is_empty() || (completes && !row.wants.is_pair())
}

/// A row's verdict, as it is recorded.
pub(crate) fn settled(row: RowId, verdict: Verdict, seen: Option<SeenState>, reason: Option<Reason>) -> EventKind {
    let (reason, ground) = reason.map(|Reason { text, ground }| (text, ground)).unzip();
    RowEvent::Settled { verdict, seen, reason, ground: ground.flatten() }.about(row)
}

/// Verdict of a row that is not to be sent: `blocked`, or, after attempts that counted, what the last answer of the service
/// makes of it.
pub(crate) fn unsent_verdict(standing: &Standing) -> Verdict {
    match standing.last_word {
        _ if standing.attempts == 0 => Verdict::Blocked,
        LastWord::Yes => Verdict::NoEffect,
        LastWord::No => Verdict::Refused,
        LastWord::Unsaid => Verdict::Failed,
    }
}

/// Decides about a row from what a look showed; `None` stands for a source that the service does not know.
/// `already` goes before `blocked`: a server in `stopped` whose target is `stopped` is on target.
pub(crate) fn judge(row: &Row, seen: Option<&SeenState>, complete_pair: bool, dialect: Dialect) -> Fate {
    let Some(seen) = seen else {
        return Fate::Blocked { reason: Reason::on(Ground::UnknownSource, "the service does not know this source") };
    };
    if on_target(&row.wants, seen) {
        return Fate::Already;
    }
    if let Some(unmet) = unmet(&row.expects, seen) {
        return Fate::Blocked { reason: Reason::on(Ground::NotAsExpected, unmet) };
    }
    if let Some(state) = seen.copystate.as_ref().filter(|state| words::swallows_updates(state)) {
        // source: CN api-sms/UpdateCopyState.html (2026-01-27)
        let ignores = format!("a server in `{state}` {IGNORES_UPDATES}");
        return Fate::Blocked { reason: Reason::on(Ground::IgnoresUpdates, ignores) };
    }
    let sends = if complete_pair { row.wants.completed_from(seen) } else { row.wants.clone() };
    // Nothing is filled in any more: what the look did not show is missing.
    if let Some(objection) = dialect.objections(&sends, false).next() {
        return Fate::Blocked { reason: Reason::on(Ground::Unsayable, objection.to_string()) };
    }
    let pairing = pairing_of(&sends);
    Fate::Change { sends, pairing }
}

/// Rule that the vendor documents for the pair that is sent; half a pair has none.
pub(crate) fn pairing_of(sends: &TargetState) -> Pairing {
    match (&sends.copystate, &sends.migrationcycle) {
        (Some(copystate), Some(cycle)) => words::pairing(copystate, cycle),
        (Some(_) | None, None) | (None, Some(_)) => Pairing::NoRule,
    }
}

/// Verdict of a row that is found on target: `applied` if anything was ever sent for it, `already` otherwise. A request that
/// was answered 429 counts as sent, because nothing but the answer says that it had no effect.
pub(crate) fn on_target_verdict(standing: &Standing) -> Verdict {
    if standing.attempts == 0 && standing.throttled == 0 { Verdict::Already } else { Verdict::Applied }
}

/// Reason for which a row cannot be rolled back from the state it `is` in to the one in which it was seen (`was`); `None` if it
/// can. A rollback asks this of rows that were sent, and the difference of rows that would be, so both say the same. Without
/// `was` the row was never seen before it was sent, or will not be.
///
/// It goes further than the three targets for which leave is needed: that is asked for where the vendor has no way back at
/// all, and in `stopped` or `clearing` a server only ignores updates, so that the console has one yet.
pub(crate) fn no_way_back(is: &SeenState, was: Option<&SeenState>) -> Option<String> {
    let Some(was) = was else { return Some(UNSEEN_BEFORE.to_owned()) };
    stuck_in(is).or_else(|| no_target(was))
}

/// Reason for which no update takes a server out of a state; `None` if one does.
pub(crate) fn stuck_in(is: &SeenState) -> Option<String> {
    let state = is.copystate.as_ref()?;
    if words::swallows_updates(state) {
        // source: CN api-sms/UpdateCopyState.html (2026-01-27)
        return Some(format!("a server in `{state}` {IGNORES_UPDATES}"));
    }
    words::irreversible(state).then(|| format!("there is no way back from `{state}`"))
}

/// Reason for which a state cannot be sent as a target; `None` if it can.
fn no_target(was: &SeenState) -> Option<String> {
    let copystate = was.copystate.as_ref().filter(|word| !word.is_copystate());
    let unknown = copystate.or_else(|| was.migrationcycle.as_ref().filter(|word| !word.is_migrationcycle()));
    if let Some(unknown) = unknown {
        return Some(format!("it was in `{unknown}`, which no edition of the API lists as a target"));
    }
    let (copystate, cycle) = (was.copystate.as_ref()?, was.migrationcycle.as_ref()?);
    (words::pairing(copystate, cycle) == Pairing::Outside)
        .then(|| format!("it was in {was}, which is none of the documented pairs: the service may refuse it"))
}

pub(crate) fn on_target(wants: &TargetState, seen: &SeenState) -> bool {
    let matches = |wanted: &Option<Word>, shown: &Option<Word>| wanted.is_none() || wanted == shown;
    matches(&wants.copystate, &seen.copystate) && matches(&wants.migrationcycle, &seen.migrationcycle)
}

fn unmet(expects: &TargetState, seen: &SeenState) -> Option<String> {
    let fields = [
        ("copystate", &expects.copystate, &seen.copystate),
        ("migrationcycle", &expects.migrationcycle, &seen.migrationcycle),
    ];
    fields.into_iter().find_map(|(field, expected, shown)| {
        let expected = expected.as_ref()?;
        (Some(expected) != shown.as_ref())
            .then(|| format!("the plan expects {field} `{expected}`, seen is `{}`", shown_as(shown.as_ref())))
    })
}

fn shown_as(word: Option<&Word>) -> &str {
    word.map_or("nothing", Word::as_str)
}

/// Effect of a change as a look after it shows it.
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
    /// Reads never show the target word, so nothing can prove it.
    Unprovable {
        reason: String,
        as_before: bool,
    },
}

/// Compares field by field, only those that the plan names. A field of which nothing was known before cannot be overtaken, so
/// that without a look before there is no `overtaken`.
pub(crate) fn effect(wants: &TargetState, before: Option<&SeenState>, seen: Option<&SeenState>) -> Effect {
    let Some(seen) = seen else {
        let reason = "the service no longer knows this source".to_owned();
        return if before.is_some() { Effect::Overtaken { reason } } else { Effect::NotYet { reason } };
    };
    let fields = [
        Field {
            name: "copystate",
            wanted: wants.copystate.as_ref(),
            was: before.and_then(|before| before.copystate.as_ref()),
            shown: seen.copystate.as_ref(),
        },
        Field {
            name: "migrationcycle",
            wanted: wants.migrationcycle.as_ref(),
            was: before.and_then(|before| before.migrationcycle.as_ref()),
            shown: seen.migrationcycle.as_ref(),
        },
    ];
    let of = |sought: Shows| fields.iter().find(move |field| field.shows() == Some(sought));
    if let Some(moved) = of(Shows::Moved) {
        let reason = format!(
            "{} is `{}`, neither what it was (`{}`) nor the target",
            moved.name,
            shown_as(moved.shown),
            shown_as(moved.was)
        );
        return Effect::Overtaken { reason };
    }
    if let Some(hidden) = of(Shows::Unprovable) {
        let reason = format!("reads never show {} `{}`", hidden.name, shown_as(hidden.wanted));
        let mut named = fields.iter().filter(|field| field.wanted.is_some());
        let as_before = named.all(|field| field.was.is_some() && field.was == field.shown);
        return Effect::Unprovable { reason, as_before };
    }
    // A half that was on target before is no half of an effect.
    let arrived = fields.iter().find(|field| field.shows() == Some(Shows::Target) && field.was != field.wanted);
    match (of(Shows::Old), arrived) {
        (None, _) => Effect::OnTarget,
        (Some(old), Some(there)) => {
            Effect::NotYet { reason: format!("{} is on target, {}", there.name, old.remains()) }
        }
        (Some(old), None) => Effect::NotYet { reason: old.remains() },
    }
}

struct Field<'a> {
    name: &'static str,
    wanted: Option<&'a Word>,
    /// `None` if it is not known.
    was: Option<&'a Word>,
    shown: Option<&'a Word>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    Target,
    Old,
    Moved,
    Unprovable,
}

impl Field<'_> {
    fn remains(&self) -> String {
        let still = if self.was.is_some() { "still " } else { "" };
        format!("{} is {still}`{}`", self.name, shown_as(self.shown))
    }

    /// Compares the field with its target; `None` if the plan does not name it.
    fn shows(&self) -> Option<Shows> {
        let wanted = self.wanted?;
        Some(if self.shown == Some(wanted) {
            Shows::Target
        } else if words::never_shown(wanted) {
            Shows::Unprovable
        } else if self.was.is_none() || self.was == self.shown || self.shown.is_none() {
            // Where either is not known, nobody can say that it moved.
            Shows::Old
        } else {
            Shows::Moved
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::dialect::Edition;

    fn wants(text: &str) -> TargetState {
        let seen = seen(text);
        TargetState { copystate: seen.copystate, migrationcycle: seen.migrationcycle }
    }

    fn seen(text: &str) -> SeenState {
        let (copystate, cycle) = text.split_once('/').unwrap();
        let word = |text: &str| (text != "*").then(|| Word::new(text));
        SeenState { copystate: word(copystate), migrationcycle: word(cycle) }
    }

    fn row(target: &str, expects: &str) -> Row {
        Row { expects: wants(expects), ..Row::first(wants(target)) }
    }

    #[test]
    fn what_preflight_makes_of_a_row() {
        let table = [
            ("finished/cutovered", "*/*", "finished/cutovered", "already"),
            ("stopped/*", "*/*", "stopped/syncing", "already"),
            ("init/*", "*/*", "initialize/replicating", "already"),
            ("finished/cutovered", "*/*", "stopped/cutovered", "answers success and changes nothing"),
            ("finished/cutovered", "*/syncing", "cutovering/cutovering", "expects migrationcycle `syncing`"),
            ("finished/*", "*/*", "cutovering/cutovering", "sends finished/cutovering Outside"),
            ("finished/cutovered", "cutovering/*", "cutovering/cutovering", "sends finished/cutovered Allowed"),
            ("cleared/cutovered", "*/*", "error/cutovered", "sends cleared/cutovered NoRule"),
        ];
        for (target, expects, shown, expected) in table {
            let fate = match judge(&row(target, expects), Some(&seen(shown)), true, Dialect::Auto) {
                Fate::Already => "already".to_owned(),
                Fate::Blocked { reason } => reason.text,
                Fate::Change { sends, pairing } => format!("sends {sends} {pairing:?}"),
            };
            assert!(fate.contains(expected), "{target} from {shown}: {fate}");
        }
        assert!(matches!(judge(&row("error/*", "*/*"), None, true, Dialect::Auto), Fate::Blocked { .. }));
    }

    #[test]
    fn a_half_is_sent_as_it_stands_when_the_pair_is_not_completed() {
        let fate = judge(&row("error/*", "*/*"), Some(&seen("syncing/syncing")), false, Dialect::Auto);
        assert_eq!(fate, Fate::Change { sends: wants("error/*"), pairing: Pairing::NoRule });
    }

    #[test]
    fn a_pair_that_a_read_does_not_complete_is_not_sent_where_both_fields_are_wanted() {
        let fate = |dialect, shown| judge(&row("error/*", "*/*"), Some(&seen(shown)), true, dialect);
        let objection = "the 2026-01 edition wants both fields, and nothing fills in the migrationcycle";
        let reason = Reason::on(Ground::Unsayable, objection);
        assert_eq!(fate(Dialect::Of(Edition::Y2026M01), "syncing/*"), Fate::Blocked { reason });
        for (dialect, shown) in [
            (Dialect::Of(Edition::Y2026M01), "syncing/hibernating"),
            (Dialect::Of(Edition::Y2025M11), "syncing/*"),
            (Dialect::Auto, "syncing/*"),
        ] {
            assert!(matches!(fate(dialect, shown), Fate::Change { .. }), "{dialect:?} {shown}");
        }
    }

    #[test]
    fn a_row_has_no_way_back_from_where_it_is_stuck_and_to_where_nothing_is_sent() {
        for (is, was, expected) in [
            ("cutovering/cutovering", "syncing/syncing", None),
            ("stopped/syncing", "syncing/syncing", Some("`stopped` answers success and changes nothing")),
            ("finished/cutovered", "cutovering/cutovering", Some("`finished` answers success and changes nothing")),
            ("cleared/cutovered", "error/cutovered", Some("no way back from `cleared`")),
            ("cutovering/*", "syncing/syncing", None),
            ("cutovering/cutovering", "waiting/syncing", Some("none of the documented pairs")),
            ("cutovering/cutovering", "brand_new/syncing", Some("`brand_new`, which no edition")),
        ] {
            let reason = no_way_back(&seen(is), Some(&seen(was)));
            assert!(
                reason.as_deref().is_some_and(|why| expected.is_some_and(|part| why.contains(part)))
                    || (reason.is_none() && expected.is_none()),
                "{was} -> {is}: {reason:?}"
            );
        }
        assert_eq!(no_way_back(&seen("cutovering/cutovering"), None).as_deref(), Some(UNSEEN_BEFORE));
        // Whatever needs leave is said to have no way back.
        for state in words::IRREVERSIBLE {
            assert!(stuck_in(&seen(&format!("{state}/cutovered"))).is_some(), "{state}");
        }
    }

    #[test]
    fn all_seven_silent_states_block() {
        for state in ["unavailable", "stopping", "stopped", "deleting", "finished", "clearing", "clearfailed"] {
            let shown = seen(&format!("{state}/syncing"));
            let fate = judge(&row("error/syncing", "*/*"), Some(&shown), true, Dialect::Auto);
            assert!(matches!(fate, Fate::Blocked { .. }), "{state}");
        }
    }

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
            let effect = match effect(&wants(target), Some(&seen(before)), Some(&seen(shown))) {
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
        let effect = effect(&wants("finished/cutovered"), None, Some(&seen("error/syncing")));
        assert!(matches!(effect, Effect::NotYet { .. }));
    }

    #[test]
    fn a_field_that_was_not_known_before_is_not_overtaken() {
        let before = seen("*/cutovering");
        let effect = |shown| effect(&wants("finished/cutovered"), Some(&before), Some(&seen(shown)));
        assert_eq!(effect("error/cutovering"), Effect::NotYet { reason: "copystate is `error`".to_owned() });
        assert!(matches!(effect("error/syncing"), Effect::Overtaken { .. }));
        assert_eq!(effect("finished/cutovered"), Effect::OnTarget);
    }

    #[test]
    fn a_look_needs_what_is_named_expected_or_filled_in() {
        let needed = |target, expects, completes| needed_to_send(&row(target, expects), completes);
        assert_eq!(needed("error/*", "*/*", false), Fields { copystate: true, migrationcycle: false });
        assert_eq!(needed("error/*", "*/syncing", false), Fields::BOTH);
        assert_eq!(needed("error/*", "*/*", true), Fields::BOTH);
        assert_eq!(seen("*/syncing").lacks(Fields::BOTH), Some("state"));
        assert_eq!(seen("error/*").lacks(needed("error/*", "*/*", false)), None);
    }

    #[test]
    fn only_a_row_of_which_no_attempt_was_begun_was_there_already() {
        let with = |attempts, throttled| on_target_verdict(&Standing { attempts, throttled, ..Standing::default() });
        let verdicts = [with(0, 0), with(1, 0), with(0, 1), with(2, 3)];
        assert_eq!(verdicts, [Verdict::Already, Verdict::Applied, Verdict::Applied, Verdict::Applied]);
    }

    #[test]
    fn only_a_row_that_was_never_sent_is_blocked() {
        let sent = |last_word| unsent_verdict(&Standing { attempts: 1, last_word, ..Standing::default() });
        assert_eq!(unsent_verdict(&Standing::default()), Verdict::Blocked);
        assert_eq!(sent(LastWord::Yes), Verdict::NoEffect);
        assert_eq!(sent(LastWord::No), Verdict::Refused);
        assert_eq!(sent(LastWord::Unsaid), Verdict::Failed);
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    fn word(words: &'static [&'static str]) -> impl Strategy<Value = Option<Word>> {
        prop::option::weighted(0.8, prop::sample::select(words).prop_map(Word::new))
    }

    fn state() -> impl Strategy<Value = SeenState> {
        let copystates = &["syncing", "stopped", "finished", "deleting", "cutovering", "clearing", "elsewhere"];
        (word(copystates), word(&["syncing", "cutovered", "replicating", "elsewhere"]))
            .prop_map(|(copystate, migrationcycle)| SeenState { copystate, migrationcycle })
    }

    fn target() -> impl Strategy<Value = TargetState> {
        state().prop_map(|SeenState { copystate, migrationcycle }| TargetState { copystate, migrationcycle })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        #[test]
        fn only_a_row_that_is_as_expected_and_not_on_target_is_sent_and_as_the_plan_wants_it(
            wants in target(), expects in target(), seen in prop::option::of(state()), complete_pair in any::<bool>(),
        ) {
            let row = Row { expects, ..Row::first(wants) };
            if let Fate::Change { sends, .. } = judge(&row, seen.as_ref(), complete_pair, Dialect::Auto) {
                let seen = seen.expect("a source that nobody saw is not sent");
                prop_assert!(!on_target(&row.wants, &seen) && on_target(&row.expects, &seen));
                prop_assert!(!seen.copystate.as_ref().is_some_and(words::swallows_updates));
                let sent = SeenState { copystate: sends.copystate, migrationcycle: sends.migrationcycle };
                prop_assert!(on_target(&row.wants, &sent));
            }
        }

        #[test]
        fn a_change_took_hold_exactly_where_the_row_is_on_target(
            wants in target(), before in prop::option::of(state()), seen in state(),
        ) {
            let effect = effect(&wants, before.as_ref(), Some(&seen));
            prop_assert_eq!(effect == Effect::OnTarget, on_target(&wants, &seen));
        }

        #[test]
        fn nobody_overtook_a_row_of_which_nothing_was_known_before(wants in target(), seen in prop::option::of(state())) {
            let is_overtaken = matches!(effect(&wants, None, seen.as_ref()), Effect::Overtaken { .. });
            prop_assert!(!is_overtaken);
        }
    }
}
