//! `audit checker`: prints the program that checks a bundle without cutover.

use crate::audit::bundle::CHECKER;
use crate::exit::Exit;
use crate::journal::chain::hex;
use crate::verb::error::CommandError;
use crate::verb::results::print_document;
use crate::wording::sieve::Form;

/// Prints the program that checks a bundle without cutover, as this version adds it to each bundle.
pub(super) fn checker() -> Result<Exit, CommandError> {
    print_document(Form::Text, |out| Ok(out.write_all(CHECKER.as_bytes())?))?;
    Ok(Exit::Done)
}

/// Returns the SHA-256 of the `check.py` of this version.
pub(super) fn checker_sum() -> String {
    use sha2::{Digest as _, Sha256};
    hex(&Sha256::digest(CHECKER))
}
