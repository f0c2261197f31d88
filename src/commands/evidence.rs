//! `audit`: checks for an auditor, and evidence to take along.

use std::io;
use std::path::{Path, PathBuf};

use crate::audit::bundle::CHECKER;
use crate::audit::{self, Audit, Signed, signature};
use crate::exit::Exit;
use crate::files::beside::check_destination;
use crate::ssh::keygen;
use crate::ssh::signature::Purpose;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, bad_destination, bad_key, must_be_there, output_failed, unreadable};
use crate::verb::journal;
use crate::verb::meant::{self, Otherwise};
use crate::verb::results::{print_document, write_fit};
use crate::wording::shell::shell_path;
use crate::wording::sieve::Form;

mod against;
mod checking;
mod export;
mod telling;
mod unpacking;

pub(super) use against::Against;
pub(super) use checking::verify_bundle;
pub(super) use export::{Exported, export};

use telling::tell;

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
    let audit = journal.at_one_instant(|| {
        let mut audit = match run {
            Some(_) => audit::verify_one(&journal, &meant::run(context, &journal, run, Otherwise::LaunchedLast)?)?,
            None => audit::verify_all(&journal)?,
        };
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

/// Verifies a run and signs its head, and writes head and signature beside each other.
pub(super) fn sign(
    context: &Context,
    run: Option<&str>,
    key: &Path,
    output: Option<&Path>,
    force: bool,
) -> Result<Exit, CommandError> {
    must_be_there(key)?;
    let journal = journal::to_read(context)?;
    let run = meant::run(context, &journal, run, Otherwise::LaunchedLast)?;
    let head_path = output.map_or_else(|| PathBuf::from(format!("{}.head", run.id)), Path::to_owned);
    let signature_path = with_more(&head_path, ".sig");
    for path in [&head_path, &signature_path] {
        if !force && path.exists() {
            return Err(CommandError::Exists(path.clone()));
        }
        check_destination(path).map_err(bad_destination(path))?;
    }
    journal.at_one_instant(|| {
        let audit = audit::verify_one(&journal, &run)?;
        if !audit.is_ok() {
            tell(context, &audit)?;
            return Ok(Exit::Integrity);
        }
        let head = signature::head(&journal, &run)?;
        let (signature, signer) = keygen::sign(&head, Purpose::Head, key).map_err(|error| bad_key(key, error))?;
        for (path, text) in [(&head_path, &head), (&signature_path, &signature)] {
            let like = &context.settings.journal;
            let write = |out: &mut dyn io::Write| out.write_all(text.as_bytes());
            write_fit(path, like, Form::Text, write).map_err(output_failed(path))?;
        }
        let (head, proof) = (shell_path(&head_path), shell_path(&signature_path));
        let verify = context.here.reads(&format!("audit verify {} --signature {proof}", run.id));
        let namespace = Purpose::Head.namespace();
        context.console.tell(|out| {
            writeln!(out, "{} signed the head of run {}: {head}, {proof}", signer.fingerprint, run.id)?;
            writeln!(
                out,
                "keep both elsewhere; to verify: `{verify}`, or `ssh-keygen -Y check-novalidate -n {namespace} -s {proof} < \
                 {head}`"
            )
        });
        Ok(Exit::Done)
    })
}

fn with_more(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    name.into()
}

/// Prints the program that checks a bundle without cutover, as this version adds it to each bundle.
pub(super) fn checker() -> Result<Exit, CommandError> {
    print_document(Form::Text, |out| Ok(out.write_all(CHECKER.as_bytes())?))?;
    Ok(Exit::Done)
}
