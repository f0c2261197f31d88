//! Evidence that was kept apart from the journal.

use std::path::Path;

use crate::journal::chain::Code;

/// Evidence that was kept elsewhere, against which a journal is checked.
pub(in crate::commands::audit) struct Against<'a> {
    pub(in crate::commands::audit) anchor: Option<&'a Code>,
    pub(in crate::commands::audit) signature: Option<&'a Path>,
    /// Signed text, if it is not beside the signature.
    pub(in crate::commands::audit) head: Option<&'a Path>,
    /// Folder with the archives of runs that were taken out.
    pub(in crate::commands::audit) archives: Option<&'a Path>,
    /// File of public keys, one of which has to have signed.
    pub(in crate::commands::audit) signer: Option<&'a Path>,
}
