//! `audit`: what an auditor is shown and takes along.

use std::path::{Path, PathBuf};

use super::meant::{self, Otherwise};
use super::reading::{journal, print, print_document, print_json};
use super::{CommandError, Context, bad_destination, output_failed};
use crate::audit::bundle::CHECKER;
use crate::audit::signature;
use crate::audit::{self, Altered, AuditError, Verified};
use crate::exit::Exit;
use crate::files::beside::{check_destination, write_beside};
use crate::journal::Journal;
use crate::journal::read::RunRecord;
use crate::report::plain::shell_path;
use crate::report::sieve::Form;
use crate::ssh::{self, Purpose, SignatureError};

mod checking;
mod export;
mod unpacking;

pub(super) use checking::verify_bundle;
pub(super) use export::{Exported, export};

/// What a journal is held against that was kept elsewhere.
pub(super) struct Against<'a> {
    pub(super) anchor: Option<&'a str>,
    pub(super) signature: Option<&'a Path>,
    /// A file of public keys, one of which has to have signed.
    pub(super) signer: Option<&'a Path>,
}

pub(super) fn verify(context: &Context, run: Option<&str>, against: &Against<'_>) -> Result<Exit, CommandError> {
    let read = |path: &Path| crate::texts::read(path).map_err(unreadable(path));
    let signature = against.signature.map(read).transpose()?;
    let signers = against.signer.map(read).transpose()?;
    let journal = journal(context)?;
    let run = meant::run(context, &journal, run, Otherwise::LaunchedLast)?;
    let verified = verified(&journal, &run, |verified| {
        let verified = match against.anchor {
            Some(anchor) => verified.against(anchor)?,
            None => verified,
        };
        match &signature {
            Some(signature) => verified.signed(&signature::head(&journal, &run)?, signature, signers.as_deref()),
            None => Ok(verified),
        }
    })?;
    tell(context, verified.as_ref())?;
    Ok(if verified.is_ok() { Exit::Done } else { Exit::Integrity })
}

fn tell(context: &Context, verified: Result<&Verified, &Altered>) -> Result<(), CommandError> {
    if context.console.answers_by_code() {
        if let Err(altered) = verified {
            context.console.fail(&altered.in_one_line(), &[], Some(audit::KEEP_IT));
        }
        return Ok(());
    }
    if context.console.json {
        return print_json(|out| Ok(audit::write_json(verified, out)?));
    }
    print(|out| Ok(audit::write_text(verified, out)?))
}

fn verified(
    journal: &Journal,
    run: &RunRecord,
    and: impl FnOnce(Verified) -> Result<Verified, AuditError>,
) -> Result<Result<Verified, Altered>, CommandError> {
    match audit::verify(journal, run).and_then(and) {
        Ok(verified) => Ok(Ok(verified)),
        Err(AuditError::Altered(altered)) => Ok(Err(altered)),
        Err(AuditError::Journal(error)) => Err(error.into()),
    }
}

/// Signs the head of a run that was verified just before, and writes both beside each other.
pub(super) fn sign(
    context: &Context,
    run: Option<&str>,
    key: &Path,
    output: Option<&Path>,
    force: bool,
) -> Result<Exit, CommandError> {
    must_be_there(key)?;
    let journal = journal(context)?;
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
        if let Err(altered) = verified(&journal, &run, Ok)? {
            tell(context, Err(&altered))?;
            return Ok(Exit::Integrity);
        }
        let head = signature::head(&journal, &run)?;
        let (signature, signer) = ssh::sign(&head, Purpose::Head, key).map_err(|error| bad_key(key, error))?;
        for (path, text) in [(&head_path, &head), (&signature_path, &signature)] {
            let like = &context.settings.journal;
            write_beside(path, like, |out| out.write_all(text.as_bytes())).map_err(output_failed(path))?;
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

/// The program with which a stranger checks a bundle, as this version writes it into each.
pub(super) fn checker() -> Result<Exit, CommandError> {
    print_document(Form::Text, |out| Ok(out.write_all(CHECKER.as_bytes())?))?;
    Ok(Exit::Done)
}

/// A key that is not there is told before the work, and by its name.
fn must_be_there(key: &Path) -> Result<(), CommandError> {
    std::fs::metadata(key).map(drop).map_err(unreadable(key))
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> CommandError {
    let path = path.to_owned();
    move |source| CommandError::Input { path, source }
}

fn bad_key(path: &Path, problem: SignatureError) -> CommandError {
    CommandError::Key { path: path.to_owned(), problem }
}
