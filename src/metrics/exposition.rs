//! Text format: the lines of each metric under its help and type.
//!
//! source: `prometheus.io/docs/instrumenting/exposition_formats` (text format 0.0.4)

use std::fmt::Write as _;

use super::figures::Figures;
use super::table::{METRICS, N_METRICS};

/// Samples by metric, in the order of the table.
#[derive(Default)]
pub(super) struct Exposition([Vec<String>; N_METRICS]);

impl Exposition {
    /// Adds every sample of these figures.
    pub(super) fn add(&mut self, figures: &Figures) {
        for (lines, metric) in self.0.iter_mut().zip(&METRICS) {
            lines.extend(metric.samples(figures).map(|(labels, value)| sample(metric.name, &labels, value)));
        }
    }

    /// Adds a line that was read back, under the metric of this number in the table.
    pub(super) fn add_line(&mut self, metric: usize, line: &str) {
        self.0[metric].push(line.to_owned());
    }

    /// Returns the whole text. A metric without a sample is left out.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (lines, metric) in self.0.iter().zip(&METRICS).filter(|(lines, _)| !lines.is_empty()) {
            let (name, help, kind) = (metric.name, metric.help, metric.kind.name());
            _ = write!(text, "# HELP {name} {help}.\n# TYPE {name} {kind}\n");
            for line in lines {
                _ = writeln!(text, "{line}");
            }
        }
        text
    }
}

fn sample(name: &str, labels: &[(&str, String)], value: f64) -> String {
    let labels: Vec<String> = labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let value = if value == f64::INFINITY { "+Inf".to_owned() } else { value.to_string() };
    format!("{name}{labels} {value}")
}

/// Value of a label inside its quotation marks.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_a_label_cannot_end_it() {
        let labels = [("plan", "a\"} 1\n# b\\".to_owned()), ("run", "r1".to_owned())];
        assert_eq!(sample("m", &labels, 1.5), "m{plan=\"a\\\"} 1\\n# b\\\\\",run=\"r1\"} 1.5");
        assert_eq!(sample("m", &[], 1_795_858_030.25), "m 1795858030.25");
        assert_eq!(sample("m", &[], f64::INFINITY), "m +Inf");
    }
}
