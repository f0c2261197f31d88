//! Metrics file of an earlier launch, or of another one that goes on, read back.

use super::table::{ENDED, LAST_SUCCESS, METRICS, PLAN, RUN, STARTED};

/// Content of a metrics file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Former {
    pub(super) launches: Vec<FormerLaunch>,
    pub(super) successes: Vec<FormerSuccess>,
}

/// Last success of a plan.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FormerSuccess {
    plan: Option<String>,
    /// Time in seconds since 1970.
    at: f64,
    /// Number of its metric in the table.
    pub(super) metric: usize,
    pub(super) line: String,
}

/// Run, or launch without one, that a file tells of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct FormerLaunch {
    pub(super) plan: Option<String>,
    pub(super) run: Option<String>,
    /// End in seconds since 1970.
    pub(super) ended: Option<f64>,
    is_started: bool,
    /// Lines, each with the number of its metric in the table.
    pub(super) lines: Vec<(usize, String)>,
}

/// Text that is not a metrics file of this program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotOurs;

impl Former {
    /// Reads a file. Metrics that another version had and this one has not are left out.
    pub(super) fn read(text: &str) -> Result<Self, NotOurs> {
        let mut former = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if !line.starts_with("cutover_") {
                return Err(NotOurs);
            }
            former.add(line).ok_or(NotOurs)?;
        }
        former.launches.retain(|launch| launch.is_started);
        Ok(former)
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let name_ends = line.find(['{', ' '])?;
        let (labels, value) = labels(&line[name_ends..])?;
        let label = |name: &str| labels.iter().find(|(label, _)| label == name).map(|(_, text)| text.clone());
        let Some(metric) = METRICS.iter().position(|metric| metric.name == &line[..name_ends]) else { return Some(()) };
        let value: f64 = value.trim().parse().ok()?;
        let plan = label(PLAN);
        if METRICS[metric].name == LAST_SUCCESS {
            self.successes.push(FormerSuccess { plan, at: value, metric, line: line.to_owned() });
            return Some(());
        }
        let launch = self.launch(plan, label(RUN));
        match METRICS[metric].name {
            ENDED => launch.ended = Some(value),
            STARTED => launch.is_started = true,
            _ => (),
        }
        launch.lines.push((metric, line.to_owned()));
        Some(())
    }

    fn launch(&mut self, plan: Option<String>, run: Option<String>) -> &mut FormerLaunch {
        let is_it = |launch: &FormerLaunch| launch.plan == plan && launch.run == run;
        let at = self.launches.iter().position(is_it).unwrap_or_else(|| {
            self.launches.push(FormerLaunch { plan, run, ..FormerLaunch::default() });
            self.launches.len() - 1
        });
        &mut self.launches[at]
    }

    /// Returns the time of a plan's last success.
    pub(super) fn success_of(&self, plan: Option<&str>) -> Option<f64> {
        self.successes.iter().find(|success| success.plan.as_deref() == plan).map(|success| success.at)
    }
}

/// Splits labels and their values from the value of a sample.
fn labels(text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    let Some(mut rest) = text.strip_prefix('{') else { return Some((labels, text)) };
    loop {
        if let Some(value) = rest.strip_prefix('}') {
            return Some((labels, value));
        }
        let (name, behind) = rest.split_once("=\"")?;
        let (value, behind) = quoted(behind)?;
        labels.push((name.trim().to_owned(), value));
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
}

/// Reads the value of a label up to its closing quotation mark, and returns the text behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                escaped => escaped,
            }),
            _ => value.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_by_launches_and_whatever_is_not_ours_is_refused() {
        let text = "# HELP cutover_run_exit_code x.\n\
                    cutover_run_exit_code{plan=\"a\\\"b\",run=\"r1\"} 4\n\
                    cutover_run_started_timestamp_seconds{plan=\"a\\\"b\",run=\"r1\"} 10\n\
                    cutover_run_ended_timestamp_seconds{plan=\"a\\\"b\",run=\"r1\"} 12.5\n\
                    cutover_run_started_timestamp_seconds{plan=\"a\\\"b\"} 11\n\
                    cutover_run_last_success_timestamp_seconds{plan=\"a\\\"b\"} 9\n\
                    cutover_of_another_version{x=\"y\"} 1\n";
        let former = Former::read(text).unwrap();
        let told: Vec<_> = former.launches.iter().map(|launch| (launch.run.as_deref(), launch.ended)).collect();
        assert_eq!(told, [(Some("r1"), Some(12.5)), (None, None)]);
        assert_eq!(former.launches[0].plan.as_deref(), Some("a\"b"));
        assert_eq!(former.launches[0].lines.len(), 3);
        assert_eq!((former.success_of(Some("a\"b")), former.success_of(Some("c"))), (Some(9.0), None));
        assert_eq!(Former::read(""), Ok(Former::default()));
        for other in ["node_load1 0.5", "source_id,copystate", "cutover_x", "cutover_x{a=\"b} 1"] {
            assert_eq!(Former::read(other), Err(NotOurs), "{other}");
        }
    }
}
