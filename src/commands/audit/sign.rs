//! `audit sign`: signs the head of a run, to be kept elsewhere.

use std::io;
use std::path::{Path, PathBuf};

use super::telling::tell;
use crate::audit::{self, signature};
use crate::exit::Exit;
use crate::files::beside::check_destination;
use crate::ssh::keygen;
use crate::ssh::signature::Purpose;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, bad_destination, bad_key, key_must_exist, output_failed};
use crate::verb::journal;
use crate::verb::meant::{self, Otherwise};
use crate::verb::results::write_fit;
use crate::wording::shell::shell_path;
use crate::wording::sieve::Form;

/// Verifies a run and signs its head, and writes head and signature beside each other.
pub(super) fn sign(
    context: &Context,
    run: Option<&str>,
    key: &Path,
    output: Option<&Path>,
    force: bool,
) -> Result<Exit, CommandError> {
    key_must_exist(key)?;
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
