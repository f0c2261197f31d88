//! `audit verify`: checks a run, or all of them, against its own events and against evidence that was kept elsewhere.

use std::path::{Path, PathBuf};

use against::Against;
use archives::CheckedArchives;

use super::telling::tell;
use crate::audit;
use crate::audit::result::Audit;
use crate::audit::signature::Signed;
use crate::exit::Exit;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, unreadable};
use crate::verb::journal;
use crate::verb::meant::{self, Otherwise};

pub(super) mod against;
pub(in crate::commands) mod archives;
pub(super) mod bundle;

pub(super) fn verify(context: &Context, run: Option<&str>, against: &Against<'_>) -> Result<Exit, CommandError> {
    let read = |path: &Path| crate::texts::read(path).map_err(unreadable(path));
    let signature = against.signature.map(read).transpose()?;
    let signers = against.signer.map(read).transpose()?;
    let head = match (against.head, against.signature) {
        (Some(head), _) => Some(read(head)?),
        (None, Some(signature)) => head_beside(signature).map(|head| read(&head)).transpose()?,
        (None, None) => None,
    };
    let journal = journal::to_read(context)?;
    // Read before, so that no read of the journal is open meanwhile. Tombstones never change.
    let archives = against.archives.map(|folder| CheckedArchives::check(&journal, folder)).transpose()?;
    let audit = journal.at_one_instant(|| {
        let mut audit = match run {
            Some(_) => audit::verify_one(&journal, &meant::run(context, &journal, run, Otherwise::LaunchedLast)?)?,
            None => audit::verify_all(&journal)?,
        };
        if let Some(archives) = &archives {
            archives.tell(&mut audit, &journal.tombstones()?);
        }
        if let Some(code) = against.anchor {
            audit = audit.against(code)?;
        }
        if let Some(signature) = &signature {
            let signed = Signed { head: head.as_deref(), signature, signers: signers.as_deref() };
            audit = audit.signed(&journal, &signed)?;
        }
        Ok::<Audit, CommandError>(audit)
    })?;
    tell(context, &audit)?;
    Ok(if audit.is_ok() { Exit::Done } else { Exit::Integrity })
}

/// Returns the signed text beside a signature, where `audit sign` and `ssh-keygen` put it.
fn head_beside(signature: &Path) -> Option<PathBuf> {
    let head = signature.to_str()?.strip_suffix(".sig").map(PathBuf::from)?;
    head.is_file().then_some(head)
}
