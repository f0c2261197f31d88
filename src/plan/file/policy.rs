//! Settings that a plan file sets for the whole run: its tables `policy`, `halt` and `window`, made from the table of settings.

use super::sections::Section;
use crate::settings::key::{Key, PlanRule, PlanTable};
use crate::settings::keys::KEYS;
use crate::settings::strict::Stricter;
use crate::values;
use crate::waves::Terms;
use crate::waves::window::{Deadline, Hours};

/// Reads the three tables into the terms, each setting in the form of its flag.
pub(super) fn read(plan: &mut Section<'_>, terms: &mut Terms) {
    if let Some(mut policy) = plan.section("policy") {
        for (key, rule) in keys_of_plan().filter(|(_, rule)| rule.table == PlanTable::Policy) {
            if let Some(text) = policy.read(key.name, |text| key.checked(text)) {
                if rule.stricter == Stricter::On && values::on_off(&text) == Ok(false) {
                    let message = format!(
                        "`{}` is not switched off by a plan; `--{} off` does it for a launch",
                        key.name,
                        key.long()
                    );
                    policy.warn_of(key.name, message);
                }
                terms.policy.insert(key.name.to_owned(), text);
            }
        }
        policy.finish();
    }
    if let Some(mut halt) = plan.section("halt") {
        for (key, _) in keys_of_plan().filter(|(_, rule)| rule.table == PlanTable::Halt) {
            if let Some(text) = halt.read(key.name, |text| key.checked(text)) {
                terms.policy.insert(key.name.to_owned(), text);
            }
        }
        halt.finish();
    }
    if let Some(mut window) = plan.section("window") {
        for (key, name) in keys_of_plan().filter_map(|(key, rule)| Some((key, in_window(rule)?))) {
            if let Some(text) = window.read(name, |text| window_text(key, text)) {
                terms.policy.insert(key.name.to_owned(), text);
            }
        }
        window.finish();
    }
}

/// Settings that a plan may set.
pub(super) fn keys_of_plan() -> impl Iterator<Item = (&'static Key, PlanRule)> {
    KEYS.iter().filter_map(|&key| Some((key, key.of_plan?)))
}

/// Name of a setting in the table `window`; `None` for one of another table.
pub(super) fn in_window(rule: PlanRule) -> Option<&'static str> {
    match rule.table {
        PlanTable::Window(name) => Some(name),
        PlanTable::Policy | PlanTable::Halt => None,
    }
}

/// Checks a text of the table `window`. A plan lifts no hours: `off` is for flags.
fn window_text(key: &Key, text: &str) -> Result<String, String> {
    let bad = match key.name {
        "window" => text.parse::<Hours>().err(),
        "deadline" => text.parse::<Deadline>().err(),
        _ => return key.checked(text),
    };
    bad.map_or_else(|| Ok(text.to_owned()), |bad| Err(bad.to_string()))
}
