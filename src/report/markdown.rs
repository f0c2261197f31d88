//! Report for a ticket: the result in a sentence, the counts, the causes, the rows that need a human, and how to verify all of
//! it.

use std::io;

use super::advice::step::Advice;
use super::causes::cause_text;
use super::error::ReportError;
use super::summary::Summary;
use crate::journal::Journal;
use crate::journal::read::rows::Which;
use crate::journal::read::runs::RunRecord;
use crate::ledger::standing::Standing;
use crate::model::Row;
use crate::wording::amounts::count;
use crate::wording::plain::{plain, shortened};

/// Most rows listed, since people read a ticket; the others are counted.
const MOST_ROWS: u32 = 200;
const TEXT_WIDTH: usize = 160;

pub(super) fn write(journal: &Journal, run: &RunRecord, out: &mut dyn io::Write) -> Result<(), ReportError> {
    let summary = Summary::now(journal, run, journal.told_path())?;
    writeln!(out, "# cutover: run {}\n\n{}\n", escaped(&run.id), summary.sentence())?;
    write_counts(&summary, out)?;
    write_waves(&summary, out)?;
    write_causes(&summary, out)?;
    write_steps(&summary, out)?;
    write_rows(journal, run, &summary, out)?;
    write_facts(&summary, out)
}

fn write_counts(summary: &Summary, out: &mut dyn io::Write) -> Result<(), ReportError> {
    writeln!(out, "| verdict | rows | meaning |\n|---|---:|---|")?;
    for (name, n_rows, meaning) in summary.counts() {
        writeln!(out, "| {name} | {n_rows} | {meaning} |")?;
    }
    writeln!(out, "| **total** | **{}** | |", summary.plan.rows)?;
    Ok(())
}

fn write_waves(summary: &Summary, out: &mut dyn io::Write) -> Result<(), ReportError> {
    if summary.waves.len() < 2 {
        return Ok(());
    }
    writeln!(out, "\n## Waves\n\n| wave | rows | settled | on target |\n|---|---:|---:|---:|")?;
    for wave in &summary.waves {
        let name = wave.wave.as_deref().map_or_else(|| "(none)".to_owned(), escaped);
        writeln!(out, "| {name} | {} | {} | {} |", wave.rows, wave.settled, wave.on_target)?;
    }
    Ok(())
}

fn write_causes(summary: &Summary, out: &mut dyn io::Write) -> Result<(), ReportError> {
    if summary.causes.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Causes\n\n| verdict | rows | cause | such as |\n|---|---:|---|---|")?;
    for cause in &summary.causes {
        let (text, example) = (escaped(&shortened(&cause_text(cause), TEXT_WIDTH)), escaped(&cause.example));
        writeln!(out, "| {} | {} | {text} | {example} |", cause.verdict, cause.n_rows)?;
    }
    Ok(())
}

fn write_steps(summary: &Summary, out: &mut dyn io::Write) -> Result<(), ReportError> {
    let steps = summary.next_steps();
    if steps.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## What to do next\n")?;
    for (name, Advice { say, command }) in steps {
        writeln!(out, "- {name}: {}: {}", escaped(&say), code(&command))?;
    }
    Ok(())
}

fn write_rows(
    journal: &Journal,
    run: &RunRecord,
    summary: &Summary,
    out: &mut dyn io::Write,
) -> Result<(), ReportError> {
    let n_off_target = u64::from(summary.plan.rows).saturating_sub(summary.on_target);
    if n_off_target == 0 {
        return Ok(());
    }
    writeln!(out, "\n## Rows not on target\n\n| row | source | name | wanted | seen | verdict | why | request id |")?;
    writeln!(out, "|---:|---|---|---|---|---|---|---|")?;
    let rows = journal.page(run.key, Which::OffTarget, None, MOST_ROWS)?;
    let n_shown = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    for (row, standing) in &rows {
        writeln!(out, "{}", line(row, standing))?;
    }
    let n_more = n_off_target.saturating_sub(n_shown);
    if n_more > 0 {
        writeln!(
            out,
            "\n… and {} (all of them: {}).",
            count(n_more, "more row"),
            code(&summary.commands.report("csv"))
        )?;
    }
    Ok(())
}

fn line(row: &Row, standing: &Standing) -> String {
    let seen = standing.after.as_ref().or(standing.before.as_ref()).map(ToString::to_string).unwrap_or_default();
    let why = standing.reason.as_deref().or(standing.error_msg.as_deref()).unwrap_or_default();
    let cells = [
        row.id.to_string(),
        escaped(row.source_id.as_str()),
        escaped(row.name.as_deref().unwrap_or_default()),
        escaped(&row.wants.to_string()),
        escaped(&seen),
        standing.phase.public_name().to_owned(),
        escaped(&shortened(&plain(why), TEXT_WIDTH)),
        escaped(standing.request_id.as_deref().unwrap_or_default()),
    ];
    format!("| {} |", cells.join(" | "))
}

fn write_facts(summary: &Summary, out: &mut dyn io::Write) -> Result<(), ReportError> {
    writeln!(out, "\n## Evidence\n")?;
    for (name, value) in summary.facts() {
        writeln!(out, "- {name}: {}", escaped(&value))?;
    }
    writeln!(
        out,
        "\nTo verify: {} recomputes every event from the journal and compares its head with the anchor above.",
        code(&summary.commands.verify(&summary.anchor_hash))
    )?;
    Ok(())
}

/// Escapes a text for one cell or list item: nothing in it becomes markup, a mention or the end of the cell.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in plain(text).chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '@' => escaped.push_str("&#64;"),
            '|' | '`' | '*' | '_' | '\\' | '[' | ']' | '~' | '#' | '!' => escaped.extend(['\\', character]),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Returns a piece of code, fenced by one backtick more than its longest row of backticks.
fn code(text: &str) -> String {
    let text = plain(text);
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    if longest == 0 { format!("{fence}{text}{fence}") } else { format!("{fence} {text} {fence}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_cell_or_becomes_markup() {
        assert_eq!(escaped("a|b\nc"), "a\\|b\\\\nc");
        assert_eq!(code("a `` b"), "``` a `` b ```");
        assert_eq!(code("a"), "`a`");
        assert_eq!(escaped("<img> `x` [y](z) @all"), "&lt;img&gt; \\`x\\` \\[y\\](z) &#64;all");
    }
}
