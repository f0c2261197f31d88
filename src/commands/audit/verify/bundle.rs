//! `audit verify --bundle`: checks a bundle from somebody else: the files against its manifest, then against its journal.

use std::path::Path;

use unpacking::error::UnpackError;
use unpacking::{Unpacked, unpacked};

use super::against::Against;
use crate::audit;
use crate::audit::bundle::reports::CompareError;
use crate::audit::bundle::{self, BadBundle, BundleForm, Bundled, CHECK};
use crate::audit::result::{Altered, Audit, AuditError, ProvenBy, Verified};
use crate::commands::audit::checker::checker_sum;
use crate::commands::audit::telling::tell;
use crate::exit::Exit;
use crate::files::temporary::writable_folder;
use crate::journal::chain::Code;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::ssh::signature::{Purpose, is_among, verify};
use crate::verb::context::Context;
use crate::verb::error::{CommandError, output_failed, unreadable};

mod unpacking;

/// Verifies a bundle. A run that is named has to be the one that the bundle is about.
pub(in crate::commands::audit) fn verify_bundle(
    context: &Context,
    path: &Path,
    run: Option<&str>,
    against: &Against<'_>,
) -> Result<Exit, CommandError> {
    let signers = against.signer.map(|path| crate::texts::read(path).map_err(unreadable(path))).transpose()?;
    let signers = signers.as_deref();
    let room = writable_folder(None).map_err(CommandError::Start)?;
    let bundle = BundleToCheck { path, room: &room, run, anchor: against.anchor, signers };
    let (audit, ()) = bundle.check(|_, _| Ok(()))?;
    tell(context, &audit)?;
    Ok(if audit.is_ok() { Exit::Done } else { Exit::Integrity })
}

/// A bundle from somebody else, and the evidence against which it is checked.
pub(super) struct BundleToCheck<'a> {
    pub(super) path: &'a Path,
    /// Folder in which there is room for a copy.
    pub(super) room: &'a Path,
    pub(super) run: Option<&'a str>,
    pub(super) anchor: Option<&'a Code>,
    pub(super) signers: Option<&'a str>,
}

impl BundleToCheck<'_> {
    /// Checks it, and reads something else of its journal.
    pub(super) fn check<T>(
        &self,
        read: impl FnOnce(&Journal, &RunRecord) -> Result<T, JournalError>,
    ) -> Result<(Audit, T), CommandError> {
        let Self { path, room, run, anchor, signers } = *self;
        let bad = |problem: BadBundle| CommandError::Bundle { path: path.to_owned(), problem };
        let bundle = unpacked(path, room).map_err(|error| match error {
            UnpackError::Bad(problem) => bad(problem),
            UnpackError::Io(source) => CommandError::Input { path: path.to_owned(), source },
        })?;
        let folder = bundle.folder.path();
        let form = bundle::form_of(folder).map_err(bad)?;
        if form.is_later() {
            return Err(CommandError::LaterBundle { path: path.to_owned(), form });
        }
        let id = bundle::run_of(folder).map_err(bad)?;
        if run.is_some_and(|run| !id.starts_with(run)) {
            return Err(bad(BadBundle::Lacks(format!("run {}", run.unwrap_or_default()))));
        }
        // The path of the unpacked journal means nothing to the reader.
        let mut journal = Journal::open_to_read(&folder.join(bundle::JOURNAL))?;
        journal.be_told_as(bundle::JOURNAL);
        let not_there = || bad(BadBundle::Lacks(format!("run {id} in its journal")));
        // All runs in its journal are verified, also those that the reports do not cover.
        let audit = audit::verify_all(&journal)?.about(&id).ok_or_else(not_there)?;
        let run = journal.find_run(&id)?;
        let audit = audit.in_bundle(|verified| {
            let verified = match anchor.map_or(Ok(verified.clone()), |anchor| verified.against(anchor)) {
                Ok(verified) => verified,
                Err(AuditError::Altered(altered)) => return Ok(Err(altered)),
                Err(error) => return Err(error.into()),
            };
            held_together(&bundle, form, &journal, &run, verified, signers).map_err(|error| match error {
                CompareError::Journal(error) => error.into(),
                CompareError::Io(error) => output_failed(folder)(error),
            })
        })?;
        let also = read(&journal, &run)?;
        Ok((audit, also))
    }
}

/// Compares the bundle's files with its journal, and checks the signature of its manifest.
fn held_together(
    bundle: &Unpacked,
    form: BundleForm,
    journal: &Journal,
    run: &RunRecord,
    verified: Verified,
    signers: Option<&str>,
) -> Result<Result<Verified, Altered>, CompareError> {
    let findings = bundle::compare(bundle.folder.path(), &bundle.manifest, form, journal, run)?;
    let signed_by = match &bundle.signature {
        Some(signature) => match verify(&bundle.manifest_text, Purpose::Bundle, signature) {
            Ok(signer) => Some(signer),
            Err(problem) => return Ok(Err(verified.not_signed(&problem.to_string()))),
        },
        None if signers.is_some() => return Ok(Err(verified.not_signed("nobody signed the manifest"))),
        None => None,
    };
    if let (Some(signer), Some(keys)) = (&signed_by, signers)
        && let Err(problem) = is_among(signer, keys)
    {
        return Ok(Err(verified.not_signed(&problem)));
    }
    let proven_by = match (&signed_by, signers) {
        (Some(_), Some(_)) => ProvenBy::Signature,
        (Some(_), None) | (None, _) => verified.proven_by,
    };
    let verified = Verified { proven_by, ..verified };
    let bundled = Bundled {
        files: bundle.manifest.0.len(),
        form,
        covered_by_manifest: bundle::not_compared(&bundle.manifest),
        signed_by,
        checker_is_ours: bundle.manifest.0.get(CHECK).is_some_and(|sum| *sum == checker_sum()),
    };
    Ok(verified.in_bundle(bundled, findings))
}
