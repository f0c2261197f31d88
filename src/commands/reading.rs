use super::{CommandError, Context};
use crate::exit::Exit;
use crate::settings::flags::ReportFormat;
use std::path::Path;
pub(super) fn status(_: &Context, _: Option<&str>, _: bool) -> Result<Exit, CommandError> {
    Ok(Exit::Done)
}
pub(super) fn runs(_: &Context) -> Result<Exit, CommandError> {
    Ok(Exit::Done)
}
pub(super) fn explain(_: &Context, _: Option<&str>, _: &str) -> Result<Exit, CommandError> {
    Ok(Exit::Done)
}
pub(super) fn report(_: &Context, _: Option<&str>, _: ReportFormat, _: Option<&Path>) -> Result<Exit, CommandError> {
    Ok(Exit::Done)
}
pub(super) fn audit_verify(_: &Context, _: Option<&str>) -> Result<Exit, CommandError> {
    Ok(Exit::Done)
}
