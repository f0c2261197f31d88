//! Evidence that is kept apart from the journal.

use std::path::Path;

use crate::journal::chain::Code;

/// Evidence that a journal is held against that was kept elsewhere.
pub(in crate::commands) struct Against<'a> {
    pub(in crate::commands) anchor: Option<&'a Code>,
    pub(in crate::commands) signature: Option<&'a Path>,
    /// Text that was signed, where it is not beside the signature.
    pub(in crate::commands) head: Option<&'a Path>,
    /// A file of public keys, one of which has to have signed.
    pub(in crate::commands) signer: Option<&'a Path>,
}
