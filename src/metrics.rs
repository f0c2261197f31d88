//! Metrics of runs in Prometheus' text format: a file for a collector, and a page of `serve`.
//!
//! [`table`] has every metric once: its name, type, help, labels, and its values by [`figures`], which are read from the journal.
//! [`exposition`] writes them. [`mod@file`] is the file of a launch; [`former`] reads it back, so that another launch is told of as long as it
//! goes on. [`plans`] are the figures of every plan in a journal. Alert rules, a dashboard and the table in README.md are made from the
//! same table (`samples`).
//!
//! No metric has a source id in a label, and none is a fact that only metrics have: they are sums of the journal, but for the pace
//! and the exit code of a launch that had no run.
//!
//! source: `prometheus.io/docs/instrumenting/exposition_formats` (text format 0.0.4)

mod exposition;
pub(crate) mod figures;
pub(crate) mod file;
mod former;
pub(crate) mod pace;
pub(crate) mod plans;
#[cfg(test)]
mod samples;
mod table;

/// Media type of the text format.
pub(crate) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
