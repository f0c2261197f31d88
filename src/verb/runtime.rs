//! Runtime of verbs that talk to a service or to browsers.

use tokio::runtime::Runtime;

use super::error::CommandError;

/// Makes a runtime with a thread for each processor, timers and sockets.
pub(crate) fn runtime() -> Result<Runtime, CommandError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandError::Start)
}
