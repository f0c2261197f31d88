//! Summary for people: the sentence, counts, causes and what to do next.

use std::io;

use super::advice::step::Advice;
use super::advice::{going_on, rows};
use super::causes::{cause_text, example_of};
use super::summary::{Summary, Unsettled};
use crate::control::CONTROL;
use crate::event::run::DrainReason;
use crate::event::verdict::Verdict;
use crate::journal::read::causes::Cause;
use crate::ledger::standing::Phase;
use crate::values::zone::Zone;
use crate::wording::amounts::count;
use crate::wording::printout::Printout;

/// Name of the step about rows on target that were not verified by choice.
pub(crate) const UNPROVEN: &str = "unproven";
/// Name of the steps about rows that were not begun.
const PENDING: &str = "pending";
const VERDICT_WIDTH: usize = 10;

impl Summary {
    /// Writes the summary as text of about 100 columns, meaningful without colour, with times in this time zone.
    pub fn write_text(&self, zone: &Zone, out: &mut Printout<'_>) -> io::Result<()> {
        writeln!(out, "{}", self.sentence())?;
        self.write_counts(out)?;
        self.write_causes(out)?;
        self.write_next("What to do next", out)?;
        self.write_footer(zone, out)
    }

    /// Returns the counts that are not zero, with verdict and meaning; they add up to the total below them.
    pub(super) fn counts(&self) -> Vec<(&'static str, u64, &'static str)> {
        let verdicts = Verdict::ALL.map(|verdict| (verdict.name(), self.verdicts.get(verdict), verdict.meaning()));
        let Unsettled { pending, in_doubt, under_way } = self.unsettled;
        let unsettled = [
            ("pending", pending, "not begun, or due again"),
            ("under_way", under_way, "begun; its answer or its proof is waited for"),
            ("in_doubt", in_doubt - under_way, "sent; not known or not yet proven whether it was done"),
        ];
        verdicts.into_iter().chain(unsettled).filter(|(_, n_rows, _)| *n_rows > 0).collect()
    }

    pub(crate) fn write_counts(&self, out: &mut Printout<'_>) -> io::Result<()> {
        writeln!(out)?;
        for (name, n_rows, meaning) in self.counts() {
            writeln!(out, "  {name:<VERDICT_WIDTH$} {n_rows:>9}  {meaning}")?;
        }
        writeln!(out, "  {:<VERDICT_WIDTH$} {:>9}", "total", self.plan.rows)
    }

    pub(super) fn write_causes(&self, out: &mut Printout<'_>) -> io::Result<()> {
        if self.causes.is_empty() {
            return Ok(());
        }
        out.heading("What needs a look")?;
        for cause in &self.causes {
            let Cause { verdict, n_rows, .. } = cause;
            writeln!(out, "  {verdict:<VERDICT_WIDTH$} {n_rows:>9}  {} ({})", cause_text(cause), example_of(cause))?;
        }
        let n_more = self.n_need_a_look().saturating_sub(self.causes.iter().map(|cause| cause.n_rows).sum());
        if n_more > 0 {
            writeln!(out, "  … and {} for other causes", count(n_more, "row"))?;
        }
        Ok(())
    }

    /// Returns the first thing to do; and the command that goes on after it, where the first only looks or lifts a pause.
    pub(crate) fn first_steps(&self) -> Option<(Advice, Option<String>)> {
        let mut steps = self.next_steps();
        let goes_on = steps.iter().rfind(|(about, _)| *about == PENDING).map(|(_, advice)| advice.command.clone());
        if steps.is_empty() {
            return None;
        }
        let (_, first) = steps.swap_remove(0);
        let is_half = first.command == self.commands.doctor() || first.command == self.commands.goes_on_after_pause();
        Some((first, goes_on.filter(|_| is_half)))
    }

    /// Returns what to do about rows that are not on target or not proven, once for each cause.
    pub(crate) fn next_steps(&self) -> Vec<(&'static str, Advice)> {
        let commands = &self.commands;
        let mut steps = Vec::new();
        let in_doubt = self.unsettled.in_doubt > 0;
        if !commands.goes_on && in_doubt {
            steps.extend(rows::next(Phase::InDoubt, None, commands, "").map(|next| ("in_doubt", next)));
        }
        if !commands.goes_on && self.unsettled.pending > 0 {
            if self.ending.drained == Some(DrainReason::NotBegun)
                && self.steering.paused.iter().any(|paused| paused.by.via == CONTROL)
            {
                steps.push((PENDING, going_on::lift_pause(commands)));
            }
            let left = going_on::steps(self.exit.code, &self.ending, in_doubt, commands);
            steps.extend(left.into_iter().map(|next| (PENDING, next)));
        }
        if self.unproven > 0 {
            steps.push((UNPROVEN, rows::unproven(self.unproven, commands)));
        }
        for verdict in Verdict::ALL {
            let causes = || self.causes.iter().filter(|cause| cause.verdict == verdict.name());
            for (n, cause) in causes().enumerate() {
                if !causes().take(n).any(|before| rows::is_same(before, cause)) {
                    steps.extend(rows::of_cause(cause, commands).map(|next| (verdict.name(), next)));
                }
            }
        }
        if let Some(cause) = self.causes.first() {
            steps.push(("any row", rows::story(&cause.example, commands)));
        }
        steps
    }

    pub(super) fn write_next(&self, title: &str, out: &mut Printout<'_>) -> io::Result<()> {
        let steps = self.next_steps();
        if steps.is_empty() {
            return Ok(());
        }
        out.heading(title)?;
        for (name, Advice { say, command }) in steps {
            writeln!(out, "  {name:<VERDICT_WIDTH$} {say}")?;
            writeln!(out, "  {:VERDICT_WIDTH$}   {command}", "")?;
        }
        Ok(())
    }

    pub(super) fn write_footer(&self, zone: &Zone, out: &mut Printout<'_>) -> io::Result<()> {
        writeln!(out)?;
        for (name, value) in self.facts_in(Some(zone)) {
            writeln!(out, "  {name:<VERDICT_WIDTH$} {value}")?;
        }
        Ok(())
    }
}
