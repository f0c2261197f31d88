//! Difference between plan and servers, as people and programs read it: counts first, then rows grouped by their effect.

use std::io;

use serde_json::json;

use crate::engine::lane::LaneSettings;
use crate::hooks::HookCommand;
use crate::journal::read::runs::RunRecord;
use crate::model::Row;
use crate::model::state::SeenState;
use crate::plan::stage_keys::{OperatorCap, STAGE_KEYS, StageKey};
use crate::preflight::difference::{Preview, RowGroup};
use crate::preflight::prospect::Kind;
use crate::settings::Settings;
use crate::waves::{StageTerms, Terms};
use crate::wording::amounts::count;
use crate::wording::plain::{padded, plain, shortened};
use crate::wording::printout::{Printout, widest};

/// A setting of the plan, and the value that holds instead of it, with its origin, if one does.
pub(crate) struct OfPlan {
    name: String,
    value: String,
    instead: Option<(String, String)>,
}

/// Settings of the plan, for the run and for its waves.
pub(crate) fn set_by_plan(terms: &Terms, settings: &Settings) -> Vec<OfPlan> {
    let of_run = terms.policy.iter().map(|(name, value)| {
        let instead = settings.instead_of(name, value);
        let instead = instead.map(|(text, origin)| (text.clone(), origin.to_string()));
        OfPlan { name: name.clone(), value: value.clone(), instead }
    });
    let of_stage = move |name: String, stage: &StageTerms| {
        let set = |key: &StageKey| {
            let value = (key.shown)(stage)?;
            let instead = capped(key.cap, stage, &settings.lane).map(|cap| (cap, "at most".to_owned()));
            Some(OfPlan { name: format!("{} of {name}", key.name), value, instead })
        };
        STAGE_KEYS.iter().filter_map(set).collect::<Vec<_>>()
    };
    let of_waves = terms.waves.iter().flat_map(|wave| {
        let canary = wave.canary.as_ref().map(|canary| (format!("the canary of {}", wave.name), &canary.stage));
        canary.into_iter().chain([(wave.name.clone(), &wave.whole)])
    });
    of_run.chain(of_waves.flat_map(|(name, stage)| of_stage(name, stage))).collect()
}

/// Cap that holds instead of a stage's value. The run's own rules for halting stop it as well, whatever a wave says.
fn capped(cap: OperatorCap, stage: &StageTerms, lane: &LaneSettings) -> Option<String> {
    match cap {
        OperatorCap::Rate => {
            let rate = stage.rate.as_ref()?.per_second();
            lane.rate_cap.filter(|cap| rate.is_none_or(|rate| rate > *cap)).map(|cap| cap.to_string())
        }
        OperatorCap::Concurrency => {
            let most = stage.concurrency?;
            lane.concurrency_cap.filter(|cap| most > *cap).map(|cap| cap.to_string())
        }
        OperatorCap::NoCap => None,
    }
}

/// Difference with everything that holds for the launch besides.
pub(crate) struct Shown<'a> {
    pub(crate) difference: &'a Preview,
    pub(crate) of_plan: &'a [OfPlan],
    /// Commands that would run.
    pub(crate) hooks: &'a [HookCommand],
}

pub(crate) fn render(Shown { difference, of_plan, hooks }: &Shown<'_>, out: &mut Printout<'_>) -> io::Result<()> {
    writeln!(out, "{}", headline(difference))?;
    difference.no_way_back.write(0, out)?;
    for group in &difference.groups {
        writeln!(out)?;
        writeln!(out, "{} {} {}", group.kind.words().mark, count(group.n_rows, "row"), heading(group))?;
        let lines: Vec<_> = group.first.iter().map(|(row, _)| columns(row)).collect();
        let id_width = widest(lines.iter().map(|[id, ..]| &**id)).max(ID_WIDTH);
        let name_width = widest(lines.iter().map(|[_, name, _]| &**name)).max(NAME_WIDTH);
        for [id, name, wave] in &lines {
            let line = format!("    {}  {} {wave}", padded(id, id_width), padded(name, name_width));
            writeln!(out, "{}", line.trim_end())?;
        }
        let n_first = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        if n_first < group.n_rows {
            writeln!(out, "    … and {} more", group.n_rows - n_first)?;
        }
    }
    if !of_plan.is_empty() {
        writeln!(out)?;
        writeln!(out, "the plan sets")?;
    }
    for OfPlan { name, value, instead } in *of_plan {
        let instead = instead.as_ref().map_or_else(String::new, |(text, origin)| {
            format!("  (does not hold: it is {})", plain(&format!("{text} {origin}")))
        });
        writeln!(out, "    {} {}{instead}", plain(name), plain(value))?;
    }
    if !hooks.is_empty() && difference.n_changes() > 0 {
        writeln!(out)?;
        writeln!(out, "commands that run")?;
        for HookCommand { hook, from, command, .. } in *hooks {
            writeln!(out, "    {:<11}  {}  (by {from})", hook.name(), plain(command))?;
        }
    }
    Ok(())
}

/// Least widths of the columns, in characters.
const ID_WIDTH: usize = 36;
const NAME_WIDTH: usize = 24;
/// Greatest widths, in characters; ids are never cut, because people agree to the list by them.
const MOST_OF_NAME: usize = 40;
const MOST_OF_WAVE: usize = 24;

/// Columns of a row: its whole id, its name and its wave.
fn columns(row: &Row) -> [String; 3] {
    let text = |text: &Option<String>, most| text.as_deref().map(|text| shortened(&plain(text), most));
    let wave = text(&row.wave, MOST_OF_WAVE).map_or_else(String::new, |wave| format!("[{wave}]"));
    [plain(row.source_id.as_str()), text(&row.name, MOST_OF_NAME).unwrap_or_default(), wave]
}

/// One line with the number of rows of each kind, and of those without a way back.
pub(crate) fn headline(difference: &Preview) -> String {
    let counts = Kind::ALL.map(|kind| (difference.n(kind), kind.words().counted));
    let named: Vec<String> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, counted)| format!("{n} {counted}")).collect();
    let n_rows: u64 = counts.iter().map(|(n, _)| n).sum();
    let mut text = format!("{}: {}", count(n_rows, "row"), named.join(", "));
    if named.is_empty() {
        "nothing is left to do".clone_into(&mut text);
    }
    let n_no_way_back = difference.no_way_back.n_rows();
    if n_no_way_back > 0 {
        // Read as a refusal otherwise.
        let needs = if difference.n_irreversible == 0 { " (which needs no flag)" } else { "" };
        text = format!("{text}; no way back for {n_no_way_back} of them{needs}:");
    }
    text
}

fn heading(group: &RowGroup) -> String {
    let title = plain(&group.title);
    match group.kind {
        Kind::Blocked => format!("blocked: {title}"),
        Kind::Change | Kind::Unseen | Kind::LookFirst | Kind::Already | Kind::LeftOut => title,
    }
}

/// Document `cutover.plan.v1`.
pub(crate) fn document(run: &RunRecord, Shown { difference, of_plan, hooks }: &Shown<'_>) -> serde_json::Value {
    let hook = |HookCommand { hook, from, command, files, .. }: &HookCommand| json!({"hook": hook, "from": from, "command": command, "files": files});
    let set = |OfPlan { name, value, instead }: &OfPlan| {
        let (instead, origin) = instead.as_ref().map(|(text, origin)| (text, origin)).unzip();
        json!({"name": name, "value": value, "holds": instead.is_none(), "instead": instead, "origin": origin})
    };
    json!({
        "schema": "cutover.plan.v1",
        "plan": {"path": run.plan_path, "digest": run.plan_digest, "rows": run.n_rows},
        "counts": counts(difference),
        "no_way_back": difference.no_way_back,
        "groups": groups(difference),
        "set_by_plan": of_plan.iter().map(set).collect::<Vec<_>>(),
        "hooks": hooks.iter().map(hook).collect::<Vec<_>>(),
    })
}

fn counts(difference: &Preview) -> serde_json::Value {
    let mut counts = json!({
        "outside_matrix": difference.n_outside_matrix,
        "irreversible": difference.n_irreversible,
        "no_way_back": difference.no_way_back.n_rows(),
    });
    for kind in Kind::ALL {
        counts[kind.words().stored] = difference.n(kind).into();
    }
    counts
}

fn groups(difference: &Preview) -> serde_json::Value {
    let example = |(row, before): &(Row, Option<SeenState>)| json!({"row": row.id, "source_id": row.source_id, "name": row.name, "before": before});
    let group = |group: &RowGroup| {
        let examples: Vec<serde_json::Value> = group.first.iter().map(example).collect();
        json!({"kind": group.kind.words().stored, "title": group.title, "rows": group.n_rows, "examples": examples})
    };
    difference.groups.iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::words::Word;
    use crate::preflight::prospect::{LatestLook, prospect};
    use crate::report::lab::night;
    use crate::settings::layers::Layers;

    #[test]
    fn the_groups_of_the_document_hold_every_row() {
        let night = night::night();
        let (journal, run) = night.open();
        let layers = Layers::without_files(Vec::new(), |_| None).unwrap();
        let settings = Settings::read(&layers, None).unwrap().lane;
        let mut difference = Preview::default();
        journal
            .for_each_row(run.key, |row, mut standing| {
                let unseen = row.id.0 % 2 == 0;
                standing.before = Some(SeenState { copystate: Some(Word::new("syncing")), migrationcycle: None });
                let settings = LaneSettings { preflight: !unseen, ..settings.clone() };
                let prospect = prospect(&row, &standing, LatestLook::Counts, &settings);
                difference.add(row, &standing, &prospect, 3);
                Ok::<(), crate::journal::JournalError>(())
            })
            .unwrap();
        let instead = Some(("1".to_owned(), "in `x`".to_owned()));
        let of_plan = [OfPlan { name: "max_changes".into(), value: "9".into(), instead }];
        let document = document(&run, &Shown { difference: &difference, of_plan: &of_plan, hooks: &[] });
        let n_rows: u64 =
            document["groups"].as_array().unwrap().iter().map(|group| group["rows"].as_u64().unwrap()).sum();
        assert_eq!(n_rows, u64::from(run.n_rows));
    }
}
