//! The reports that programs read, held against the journal row by row. Columns that this version does not know are another's.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use serde_json::{Map, Value};

use super::{CompareError, line_of};
use crate::journal::read::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::report::csv::{defused, own_name};
use crate::report::row::{COLUMNS, cells};
use crate::report::summary::Summary;

/// Findings past these tell nothing new.
const MOST_FOUND: usize = 20;

/// What is said of a report; it ends with the first ones.
struct Said<'a> {
    n_found: usize,
    say: &'a mut dyn FnMut(String),
}

impl Said<'_> {
    fn say(&mut self, problem: String) {
        self.n_found += 1;
        if self.n_found <= MOST_FOUND {
            (self.say)(problem);
        }
    }
}

pub(super) fn compare_csv(
    journal: &Journal,
    run: &RunRecord,
    path: &Path,
    say: &mut dyn FnMut(String),
) -> Result<(), CompareError> {
    let mut said = Said { n_found: 0, say };
    let mut lines = csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(io::Error::from)?;
    let Ok(header) = lines.headers().cloned() else {
        said.say("it cannot be read".to_owned());
        return Ok(());
    };
    let extra = journal.extra_columns(run.key)?;
    let own: Vec<_> = extra.iter().map(|name| defused(&own_name(name)).into_owned()).collect();
    if COLUMNS
        .iter()
        .copied()
        .chain(own.iter().map(String::as_str))
        .any(|name| !header.iter().any(|found| found == name))
    {
        said.say("it lacks columns of a report".to_owned());
        return Ok(());
    }
    let mut line = csv::StringRecord::new();
    journal.for_each_row(run.key, |row, standing| {
        if !lines.read_record(&mut line).unwrap_or(false) {
            said.say(format!("row {} is missing", row.id));
            return Ok::<(), JournalError>(());
        }
        let known = COLUMNS.iter().zip(cells(&row, &standing));
        let expected =
            known.map(|(name, cell)| (*name, cell.as_csv())).chain(extra.iter().zip(&own).map(|(name, own)| {
                let value = row.extra.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value);
                (own.as_str(), defused(value).into_owned())
            }));
        for (name, value) in expected {
            let found = header.iter().zip(&line).find(|(column, _)| *column == name);
            if found.is_none_or(|(_, found)| found != value) {
                said.say(format!("{name} of row {} is not what the journal says", row.id));
            }
        }
        Ok(())
    })?;
    if lines.read_record(&mut line).unwrap_or(true) {
        said.say("there are lines behind its last row".to_owned());
    }
    Ok(())
}

pub(super) fn compare_json(
    journal: &Journal,
    run: &RunRecord,
    path: &Path,
    say: &mut dyn FnMut(String),
) -> Result<(), CompareError> {
    let mut said = Said { n_found: 0, say };
    let mut text = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    let mut next = |begins: &str| -> io::Result<Option<Map<String, Value>>> {
        line_of(&mut text, &mut line)?;
        let Some(rest) = line.strip_prefix(begins.as_bytes()) else { return Ok(None) };
        Ok(serde_json::from_slice(rest.strip_suffix(b",").unwrap_or(rest)).ok())
    };
    next("{\"schema\":\"cutover.report.v1\"")?;
    let summary = next("\"summary\":")?.unwrap_or_default();
    let expected = serde_json::to_value(Summary::of(journal, run, journal.path())?).expect("a summary is JSON");
    // Where the journal lay when the report was made is its own affair.
    let expected = expected.as_object().expect("it has fields").iter().filter(|(name, _)| *name != "journal");
    for (name, value) in expected {
        if summary.get(name) != Some(value) {
            said.say(format!("{name} of its summary is not what the journal says"));
        }
    }
    next("\"rows\":[")?;
    let mut failed = None;
    journal.for_each_row(run.key, |row, standing| {
        let found = next("").unwrap_or_else(|error| {
            failed.get_or_insert(error);
            None
        });
        let found = found.unwrap_or_default();
        let known = COLUMNS.iter().zip(cells(&row, &standing));
        let known = known.map(|(name, cell)| (*name, serde_json::to_value(cell).expect("a cell is JSON")));
        let own: Map<String, Value> =
            row.extra.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        for (name, value) in known.chain([("extra", own.into())]) {
            if found.get(name) != Some(&value) {
                said.say(format!("{name} of row {} is not what the journal says", row.id));
            }
        }
        Ok::<(), JournalError>(())
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    line_of(&mut text, &mut line)?;
    let (mut behind, ends) = (Vec::new(), line == b"]}");
    if !ends || line_of(&mut text, &mut behind)? {
        said.say("it does not end with its last row".to_owned());
    }
    Ok(())
}
