//! JSON documents for scripts, all written alike.

use std::io;

use serde::Serialize;

use super::error::ReportError;

/// Writes one document, indented, and a line break.
pub(crate) fn document(document: &impl Serialize, out: &mut dyn io::Write) -> Result<(), ReportError> {
    serde_json::to_writer_pretty(&mut *out, document).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}
