//! Files that only their user or root may have written.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::texts;

/// Reads a file that only the user or root may have written. Owner and mode are those of the opened file, whatever stands at
/// its path a moment later; of a link, its own owner counts as well.
pub(crate) fn own_content(path: &Path) -> Result<(Vec<u8>, Metadata), NotOwn> {
    let (file, found) = texts::open(path, texts::OF_TEXTS)?;
    let me = rustix::process::geteuid().as_raw();
    // The owner of a link decides where it leads.
    let link = std::fs::symlink_metadata(path)?;
    if let Some(problem) = in_other_hands(&found, me).or_else(|| of_another(link.uid(), me)) {
        return Err(NotOwn::InOtherHands(problem));
    }
    Ok((texts::content(file, texts::OF_TEXTS)?, found))
}

/// Failure to read a file that only the user or root may have written.
#[derive(Debug)]
pub(crate) enum NotOwn {
    Unreadable(std::io::Error),
    InOtherHands(OtherHands),
}

impl From<std::io::Error> for NotOwn {
    fn from(error: std::io::Error) -> Self {
        NotOwn::Unreadable(error)
    }
}

/// Reason why somebody else may have written the file; `None` if only the user or root may have.
fn in_other_hands(found: &Metadata, me: u32) -> Option<OtherHands> {
    let mode = found.mode() & 0o7777;
    of_another(found.uid(), me).or_else(|| (mode & 0o022 != 0).then_some(OtherHands::Mode(mode)))
}

fn of_another(owner: u32, me: u32) -> Option<OtherHands> {
    (owner != me && owner != 0).then_some(OtherHands::Owner(owner))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OtherHands {
    #[error("it belongs to the user with the id {0}, and neither to you nor to root")]
    Owner(u32),
    #[error("others than its owner can write it (mode {0:03o})")]
    Mode(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_in_other_hands_by_its_owner_and_its_mode() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = tempfile::NamedTempFile::new().unwrap();
        let me = file.as_file().metadata().unwrap().uid();
        let judge = |mode, me| {
            file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
            in_other_hands(&file.as_file().metadata().unwrap(), me)
        };
        for mode in [0o600, 0o644, 0o444, 0o755] {
            assert_eq!(judge(mode, me), None, "{mode:o}");
        }
        for mode in [0o602, 0o620, 0o666, 0o664] {
            assert_eq!(judge(mode, me), Some(OtherHands::Mode(mode)), "{mode:o}");
        }
        let whose = (me != 0).then_some(OtherHands::Owner(me));
        assert_eq!(judge(0o600, me + 1), whose, "root's is everybody's");
    }
}
