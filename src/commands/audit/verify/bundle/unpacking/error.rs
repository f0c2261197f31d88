//! Reasons for which a bundle cannot be unpacked.

use std::io;

use crate::audit::bundle::BadBundle;

#[derive(Debug, thiserror::Error)]
pub(in crate::commands::audit::verify::bundle) enum UnpackError {
    #[error(transparent)]
    Bad(#[from] BadBundle),
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` calls it")]
pub(super) fn bad_archive(error: zip::result::ZipError) -> UnpackError {
    BadBundle::Archive(error.to_string()).into()
}

/// Distinguishes content that cannot be unpacked from a disk that cannot be read.
pub(super) fn bad_content(error: io::Error) -> UnpackError {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            BadBundle::Archive(error.to_string()).into()
        }
        _ => UnpackError::Io(error),
    }
}
