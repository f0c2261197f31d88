//! Hints that need more than one sentence, or a command.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::credentials::error::CredentialsError;
use crate::lock::Owner;
use crate::plan::source::STDIN;
use crate::report::next::flags::journal_flag;
use crate::ssh::signature::SignatureError;
use crate::verb::here::Here;
use crate::whoami::name_of;
use crate::wording::plain::plain;
use crate::wording::shell::{shell_path, shell_word};

/// Way on without an earlier copy of the journal: by that, changes sent since would count as states found before the run.
pub(super) const LOOKS_ANEW: &str =
    "`cutover plan PLAN` looks at what is there now, and `cutover run PLAN --new --journal NEW` goes on from that";

pub(super) fn hint_of_way(flags: Option<&str>) -> String {
    match flags {
        Some(flags) => format!("if it is meant to, the same command with `{}`", flags.trim_start()),
        None => {
            "if it is meant to, let the profile of each account say `endpoint` and `account` (`cutover init` shows how)"
                .to_owned()
        }
    }
}

pub(super) fn hint_of_altered(run: &str, here: &Here) -> String {
    let verify = here.reads(&format!("audit verify {}", shell_word(run)));
    format!(
        "`{verify}` lists what was found; keep the file as it is, compare it with an earlier copy, and go on with neither: \
         {LOOKS_ANEW}"
    )
}

pub(super) fn hint_of_control(here: &Here) -> String {
    format!("`cutover control --help` lists the commands; `{}` shows the run", here.reads("status"))
}

pub(super) fn hint_of_skip(id: &str, run: &str, here: &Here) -> String {
    let run = shell_word(run);
    let story = here.reads(&format!("explain {} --run {run}", shell_word(id)));
    let drain = here.reads(&format!("control {run} drain"));
    format!("`{story}` tells its story; `{drain}` stops the run")
}

pub(super) fn hint_of_status(run: &str, here: &Here) -> String {
    format!("`{}` shows where it stands", here.reads(&format!("status {}", shell_word(run))))
}

pub(super) fn hint_of_problems(plan: &str, here: &Here) -> String {
    const AND_THEN: &str = "run the same command again; nothing was sent";
    if plan == STDIN {
        return format!("correct the plan and {AND_THEN}");
    }
    format!("`{}` lists all that is wrong with it; correct that and {AND_THEN}", here.checks(Path::new(plan)))
}

/// Advice about a plan that cannot be read. A launch of a timetable is early more often than it is new.
pub(super) fn hint_of_missing_plan(plan: &str, here: &Here) -> String {
    let path = Path::new(plan);
    if let Some(hint) = hint_of_others_file(path, here) {
        return hint;
    }
    match std::path::absolute(path) {
        Ok(place) if here.is_unattended && plan != STDIN => format!(
            "nothing was sent; it was looked for as {}: once the export is there, type the same command again",
            shell_path(&place)
        ),
        Ok(_) | Err(_) => "`cutover init` writes an example plan".to_owned(),
    }
}

/// Advice about half of a pair; the texts of the other errors say what to put right.
pub(super) fn hint_of_credentials(error: &CredentialsError) -> Option<String> {
    match error {
        CredentialsError::Lacking { lacks, folder: Some(_), .. } => {
            Some(format!("put it there: in a unit of systemd, `LoadCredential={lacks}:PATH` does"))
        }
        CredentialsError::Lacking { lacks, folder: None, .. } => {
            Some(format!("`export {lacks}=…`, or put a file of that name into the folder CREDENTIALS_DIRECTORY"))
        }
        CredentialsError::NoWorker { target, .. } => Some(format!(
            "`cutover worker --target {}` on a machine that has its credentials, with the same `--engine`",
            shell_word(target)
        )),
        CredentialsError::Empty { .. }
        | CredentialsError::TooLong { .. }
        | CredentialsError::NotVisible { .. }
        | CredentialsError::Expired { .. }
        | CredentialsError::Denied { .. }
        | CredentialsError::Unreachable { .. }
        | CredentialsError::Malformed(_) => None,
    }
}

/// Advice about a file that cannot be used: the user to whom it belongs, where that is another one, and what to name instead.
pub(super) fn hint_of_file(path: &Path, here: &Here, otherwise: &str) -> String {
    match hint_of_others_file(path, here) {
        Some(hint) => format!("{hint}, or {otherwise}"),
        None => otherwise.to_owned(),
    }
}

pub(super) fn hint_of_others_file(path: &Path, here: &Here) -> Option<String> {
    let owner = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?.uid();
    if owner == rustix::process::geteuid().as_raw() {
        return None;
    }
    let name = name_of(owner);
    let user = if name == owner.to_string() { format!("\\#{owner}") } else { shell_word(&name) };
    Some(format!("it belongs to {}: type the command as that user (`sudo -u {user} {}`)", plain(&name), here.typed))
}

pub(super) fn hint_of_rest(run: &str, resume: &str, here: &Here) -> String {
    let status = here.reads(&format!("status {}", shell_word(run)));
    format!("`{status}` shows where it stands; `{resume}` goes on with it, if anything is left")
}

pub(super) fn hint_of_key(path: &Path, problem: &SignatureError) -> String {
    if let SignatureError::NoProgram = problem {
        return "install OpenSSH's client (8.1 or later), which brings it; or do this where it is".to_owned();
    }
    let key = shell_path(path);
    format!("`ssh-add {key}` lets the agent have a key with a passphrase; `ssh-keygen -t ed25519 -f KEY` makes another")
}

/// Hint for something foreign where a lock of ours belongs. A file is removed, as nothing of ours is lost with it; a folder is only
/// moved aside, because its content is unknown.
pub(super) fn hint_of_planted(path: &Path) -> String {
    let shown = shell_path(path);
    if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        let aside = shell_word(&format!("{}.aside", path.display()));
        return format!("see who put it there (`ls -la {shown}`), and put it aside: `mv {shown} {aside}`");
    }
    format!("see who put it there (`ls -l {shown}`), and take it away: `rm {shown}`")
}

/// Command that shows the run that holds a lock, by the journal that its owner recorded, or else that of this command.
pub(super) fn hint_of_owner(owner: Option<&Owner>, here: &Here) -> String {
    let journal = owner.and_then(|owner| owner.journal.as_deref());
    let elsewhere = |journal| format!("cutover status{}", journal_flag(journal));
    let status = journal.map_or_else(|| here.reads("status"), elsewhere);
    format!("`{status}` shows where it stands")
}
