//! Findings of the doctor: each thing that was checked, its health, and what to do about it.

use std::io;

use serde::Serialize;

use crate::wording::plain::plain;
use crate::wording::printout::{Printout, Span};

/// Health of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Health {
    Ok,
    /// Cannot be told from here; nothing is known to be wrong.
    Unknown,
    /// An earlier problem kept it from being checked.
    NotChecked,
    Warning,
    Problem,
}

impl Health {
    fn word(self) -> &'static str {
        match self {
            Health::Ok => "ok",
            Health::Unknown => "unknown",
            Health::NotChecked => "not checked",
            Health::Warning => "warning",
            Health::Problem => "problem",
        }
    }

    /// Returns the colour as SGR parameters: green, yellow, red. The words alone carry the meaning.
    fn style(self) -> Vec<u8> {
        match self {
            Health::Ok => vec![32],
            Health::Warning => vec![33],
            Health::Problem => vec![31],
            Health::Unknown | Health::NotChecked => Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CheckResult {
    pub(crate) what: &'static str,
    pub(crate) health: Health,
    pub(crate) found: String,
    /// Next thing to do.
    #[serde(rename = "do")]
    pub(crate) advice: Option<String>,
}

/// Checks of one subject: this machine, or one account.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Patient {
    pub(crate) name: String,
    pub(crate) checks: Vec<CheckResult>,
}

impl Patient {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), checks: Vec::new() }
    }

    pub(crate) fn ok(&mut self, what: &'static str, found: impl Into<String>) {
        self.add(what, Health::Ok, found, None);
    }

    pub(crate) fn add(&mut self, what: &'static str, health: Health, found: impl Into<String>, advice: Option<&str>) {
        self.checks.push(CheckResult { what, health, found: found.into(), advice: advice.map(str::to_owned) });
    }

    /// Adds things that could not be checked because of the problem before them.
    pub(crate) fn not_checked(&mut self, whats: &[&'static str]) {
        for what in whats {
            self.add(what, Health::NotChecked, "because of the problem above", None);
        }
    }

    pub(crate) fn worst(&self) -> Health {
        self.checks.iter().map(|check| check.health).max().unwrap_or(Health::Ok)
    }
}

/// Document `cutover.doctor.v1`.
pub(crate) fn document(patients: &[Patient]) -> serde_json::Value {
    let worst = patients.iter().map(Patient::worst).max().unwrap_or(Health::Ok);
    serde_json::json!({"schema": "cutover.doctor.v1", "health": worst, "patients": patients})
}

/// Returns the first problem, and what to do about it.
pub(crate) fn in_one_line(patients: &[Patient]) -> (String, Option<&str>) {
    let problems: Vec<(&Patient, &CheckResult)> = patients
        .iter()
        .flat_map(|patient| patient.checks.iter().map(move |check| (patient, check)))
        .filter(|(_, check)| check.health == Health::Problem)
        .collect();
    let Some((patient, CheckResult { what, found, advice, .. })) = problems.first() else {
        return ("the doctor could not look at everything".to_owned(), None);
    };
    let more = match problems.len() {
        1 => String::new(),
        n => format!(" (and {} more; `cutover doctor` shows them)", n - 1),
    };
    (format!("{}: {what}: {found}{more}", patient.name), advice.as_deref())
}

pub(crate) fn render(patients: &[Patient], out: &mut Printout<'_>) -> io::Result<()> {
    for patient in patients {
        writeln!(out, "{}", plain(&patient.name))?;
        for CheckResult { what, health, found, advice } in &patient.checks {
            let word = format!("{:<11}", health.word());
            let rest = format!("  {what:<19}  {}", plain(found));
            out.styled(&[Span::bare("  "), Span { style: health.style(), text: &word }, Span::bare(&rest)])?;
            if let Some(advice) = advice {
                writeln!(out, "  {:<11}  {:<19}  -> {advice}", "", "")?;
            }
        }
        writeln!(out)?;
    }
    let count =
        |health| patients.iter().flat_map(|patient| &patient.checks).filter(|check| check.health == health).count();
    let (problems, warnings, unknown) = (count(Health::Problem), count(Health::Warning), count(Health::Unknown));
    match (problems, warnings) {
        (0, 0) if unknown == 0 => writeln!(out, "all is well"),
        (0, 0) => writeln!(out, "all that can be told is well; not known: {unknown}"),
        (0, n) => writeln!(out, "nothing stands in the way; warnings: {n}"),
        (n, m) => writeln!(out, "problems: {n}, warnings: {m}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_reads_without_colour() {
        let mut patient = Patient::new("account\u{1b}[2J");
        patient.ok("DNS", "127.0.0.1");
        patient.add("credentials", Health::Problem, "none", Some("set some"));
        patient.not_checked(&["permission to read"]);
        let mut text = Vec::new();
        render(std::slice::from_ref(&patient), &mut Printout::new(&mut text)).unwrap();
        let expected = concat!(
            "account\\u{1b}[2J\n",
            "  ok           DNS                  127.0.0.1\n",
            "  problem      credentials          none\n",
            "                                    -> set some\n",
            "  not checked  permission to read   because of the problem above\n",
            "\nproblems: 1, warnings: 0\n",
        );
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn all_is_well_only_where_all_is_known() {
        let ends = |healths: &[Health]| {
            let mut patient = Patient::new("account");
            for health in healths {
                patient.add("it", *health, "so", None);
            }
            let mut text = Vec::new();
            render(&[patient], &mut Printout::new(&mut text)).unwrap();
            String::from_utf8(text).unwrap().lines().last().unwrap().to_owned()
        };
        assert_eq!(ends(&[Health::Ok]), "all is well");
        assert_eq!(ends(&[Health::Ok, Health::Unknown]), "all that can be told is well; not known: 1");
        assert_eq!(ends(&[Health::Warning, Health::Unknown]), "nothing stands in the way; warnings: 1");
    }
}
