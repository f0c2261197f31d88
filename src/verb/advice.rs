//! Exit and hint of each error: one match, an entry for each, in the order of the enum.

use std::path::Path;

use facts::Facts;
use hints::{
    hint_of_altered, hint_of_control, hint_of_key, hint_of_owner, hint_of_planted, hint_of_rest, hint_of_skip,
    hint_of_status, hint_of_way,
};
use of_journal::facts_of_journal;

use super::approval::ApprovalError;
use super::error::{AfterChanges, CommandError};
use super::here::Here;
use crate::credentials::error::CredentialsError;
use crate::event::outcome::Outcome;
use crate::exit::Exit;
use crate::inventory::InventoryError;
use crate::lock::LockError;
use crate::plan::error::PlanError;
use crate::settings::error::SettingsError;
use crate::transport::client::TransportError;
use crate::wording::amounts::count;
use crate::wording::shell::{shell_path, shell_word};

mod facts;
mod hints;
pub(crate) mod of_journal;

impl CommandError {
    pub(crate) fn exit(&self) -> Exit {
        self.facts().exit
    }

    /// Advice, with the variable that says what cannot be used: nobody sees that where they type.
    pub(crate) fn hint(&self, here: &Here) -> Option<String> {
        self.facts().hint(here)
    }

    #[expect(clippy::too_many_lines, reason = "one list, an entry for each error")]
    fn facts(&self) -> Facts<'_> {
        use Exit::{Credentials, Integrity, Internal, Locked, NotOnTarget, Refused, Usage};
        match self {
            CommandError::Settings(error) => facts_of_settings(error),
            CommandError::Plan(error) => facts_of_plan(error),
            CommandError::PlanChanged(_) => Facts::said(Usage, "run the same command again"),
            CommandError::OneAccountForSeveral { .. } => {
                Facts::said(Usage, "leave it out; a profile may say `account`")
            }
            CommandError::SameAccount { .. } => {
                Facts::said(Usage, "name one of them in both; two would not know of each other's quota")
            }
            CommandError::NoEndpoint { target: Some(_) } => {
                Facts::said(Usage, "its profile may say `endpoint` or `region`")
            }
            CommandError::NoEndpoint { target: None } => Facts::said(
                Usage,
                "`--endpoint https://sms.REGION.myhuaweicloud.com`, or `--endpoint sandbox` to try it with no account",
            ),
            CommandError::OtherEndpoint { flag, .. } => Facts::typed(Usage, move |_| format!("leave `--{flag}` out")),
            CommandError::SaidByJournalAlone { flags, .. } => Facts::typed(Usage, |_| hint_of_way(flags.as_deref())),
            CommandError::NotAgreed => Facts::plain(Refused),
            CommandError::NoCredentials { target: Some(_), .. } => Facts::said(
                Credentials,
                "its profile may say token_env, access_key_env and secret_key_env, credential_command, …",
            ),
            CommandError::NoCredentials { target: None, endpoint } => Facts::typed(Credentials, |here| {
                let (or_try, doctor) = here.tries_elsewhere(endpoint);
                format!(
                    "set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, or an IAM token in CUTOVER_AUTH_TOKEN{or_try}; `{doctor}` \
                     says where it looks"
                )
            }),
            CommandError::Credentials(error) => Facts::plain(exit_of_credentials(error)),
            CommandError::NoTerminal => {
                Facts::said(Usage, "`--yes` if the plan was looked at before (`cutover plan PLAN`)")
            }
            CommandError::Scenario(_) => Facts::plain(Usage).of_setting("scenario"),
            CommandError::Journal(error) => facts_of_journal(error),
            CommandError::NotAsItWas { run, .. } => Facts::typed(Integrity, |here| hint_of_altered(run, here)),
            CommandError::ShortAnchor(_) => Facts::said(Usage, "give all of it, as the run printed it"),
            CommandError::Lock(error) => facts_of_lock(error),
            CommandError::Transport(error) => facts_of_transport(error),
            CommandError::Inventory(error) => Facts::typed(exit_of_inventory(error), hint_of_doctor),
            CommandError::BadSource { .. } => Facts::plain(Usage),
            CommandError::NoSuchSource(_) => Facts::typed(NotOnTarget, |here| {
                format!("`{}` shows them; another account may have it", here.asks("sources list"))
            }),
            CommandError::NeverBegun { instead, .. } => {
                Facts::typed(Integrity, move |_| format!("begin anew: `{instead}`"))
            }
            CommandError::Exists(_) => Facts::said(Usage, "name another, or replace it with --force"),
            CommandError::Taken(_) => Facts::said(Usage, "name another"),
            CommandError::NotApproved { plan, is_sealed: true, is_signed, .. } => {
                Facts::typed(Refused, |here| format!("`{}`", here.approves(&shell_path(Path::new(plan)), *is_signed)))
            }
            CommandError::NotApproved { plan, is_sealed: false, is_signed, .. } => Facts::typed(Refused, |here| {
                let (seal, approve) = (here.seals(Path::new(plan)), here.approves("FILE", *is_signed));
                format!("seal it first: `{seal}`, then `{approve}`")
            }),
            CommandError::Approval(error) => facts_of_approval(error),
            CommandError::NotSealed(_) => Facts::said(Usage, "`cutover plan PLAN -o FILE` seals one"),
            CommandError::SealerApproves { .. } => Facts::said(Refused, "somebody else has to"),
            CommandError::NoName => Facts::said(Usage, "`--as \"First Last\"`"),
            CommandError::SealedUnseen => Facts::said(Usage, "leave `preflight` on"),
            CommandError::SealedElsewhere { .. } => {
                Facts::said(Refused, "seal it there: `cutover plan PLAN -o FILE` with that endpoint and profile")
            }
            CommandError::DashIsNoFile => Facts::said(Usage, "name a file"),
            CommandError::NotLooked { exit, .. } => Facts::typed(*exit, hint_of_doctor),
            CommandError::Stopped { exit, .. } => Facts::plain(*exit),
            CommandError::AfterChanges(late) => {
                Facts::may_be_typed(late.error.exit().after_a_change(), |here| hint_after_changes(late, here))
            }
            CommandError::JournalGone(_) => Facts::said(Internal, LOOKS_BEFORE_IT_SENDS),
            CommandError::JournalAltered(_) => Facts::said(Integrity, LOOKS_BEFORE_IT_SENDS),
            CommandError::Command(_) => Facts::typed(Usage, hint_of_control),
            CommandError::NotRunning { run, resume } => Facts::typed(Usage, |here| hint_of_rest(run, resume, here)),
            CommandError::TooLate { run, .. } => Facts::typed(Usage, |here| hint_of_status(run, here)),
            CommandError::NotTaken(run) => Facts::typed(Locked, |here| hint_of_status(run, here)),
            CommandError::NotSkipped { id, run, .. } => Facts::typed(Usage, |here| hint_of_skip(id, run, here)),
            CommandError::SeveralRuns { .. } => Facts::said(Usage, "name the one that is meant"),
            CommandError::AmbiguousRow { .. } => Facts::said(Usage, "type more of its id"),
            CommandError::NoSuchRow { run, .. } => Facts::typed(Usage, |here| {
                format!("`{}` lists the rows", here.reads(&format!("report {} --format csv", shell_word(run))))
            }),
            CommandError::UnknownWave { known, .. } if known.is_empty() => {
                Facts::said(Usage, "only a plan file in TOML has waves to release")
            }
            CommandError::UnknownWave { known, .. } => {
                Facts::typed(Usage, |_| format!("there are: {}", known.join(", ")))
            }
            CommandError::ReportFormat(_) => {
                Facts::said(Usage, "end it with .csv, .html, .json, .md, .xlsx, or .xml for JUnit")
            }
            CommandError::NotForTerminals(name) => {
                Facts::typed(Usage, move |_| format!("write it to a file: `-o report.{name}`"))
            }
            CommandError::Input { path, .. } => Facts::plain(Usage).of_value(path),
            CommandError::Key { path, problem } => Facts::typed(Usage, |_| hint_of_key(path, problem)),
            CommandError::Bundle { .. } => Facts::said(Integrity, "keep it as it is, and ask for another copy"),
            CommandError::LaterBundle { .. } => Facts::said(Usage, "verify it with the newer cutover"),
            CommandError::Destination { .. } => {
                Facts::said(Usage, "name a file in a folder that is there and can be written to")
            }
            CommandError::Output { .. } | CommandError::Start(_) => Facts::plain(Internal),
            CommandError::Listen { .. } => {
                Facts::said(Usage, "`--listen ADDRESS:PORT` with another port; port 0 takes any that is free")
            }
            CommandError::OpenToAll(_) | CommandError::WeakToken(_) => Facts::said(
                Usage,
                "set CUTOVER_SERVE_TOKEN, or name a file with `--token-file`: `openssl rand -hex 24` makes a good one",
            ),
            CommandError::Panicked => {
                Facts::said(Internal, "this is a bug; the same command again takes the run up, looking first")
            }
            CommandError::Bug(_) => {
                Facts::said(Internal, "keep the journal: what was sent is in it, and the next launch looks first")
            }
        }
    }
}

const LOOKS_BEFORE_IT_SENDS: &str =
    "a new run of the plan in another journal (`--journal PATH`) looks at each server before it sends";

fn facts_of_settings(error: &SettingsError) -> Facts<'_> {
    let facts = Facts::may_be_typed(Exit::Usage, |_| error.hint());
    match error {
        SettingsError::UnknownProfile { name, .. } => facts.of_value(name),
        SettingsError::Unreadable { path, .. } => facts.of_value(path),
        SettingsError::Value { .. }
        | SettingsError::Syntax { .. }
        | SettingsError::UnknownKey { .. }
        | SettingsError::Secret { .. }
        | SettingsError::Shape { .. }
        | SettingsError::ProfilesShape { .. }
        | SettingsError::Untrusted(_)
        | SettingsError::InOtherHands { .. }
        | SettingsError::NoStateFolder
        | SettingsError::NotOfAFolder(_)
        | SettingsError::UnknownVariable { .. }
        | SettingsError::Unlike { .. }
        | SettingsError::Zone(_) => facts,
    }
}

fn facts_of_plan(error: &PlanError) -> Facts<'_> {
    match error {
        PlanError::Problems { .. } => {
            Facts::said(Exit::Usage, "correct the plan and run the same command again; nothing was sent")
        }
        PlanError::Unreadable { .. } => Facts::said(Exit::Usage, "`cutover init` writes an example plan"),
        PlanError::Unsupported { .. } => {
            Facts::said(Exit::Usage, "plans are read as CSV, TSV, JSON Lines and TOML; nothing was sent")
        }
        PlanError::Edited { .. } => Facts::said(
            Exit::Integrity,
            "seal it again with `cutover plan PLAN -o FILE`, and have it approved again; nothing was sent",
        ),
    }
}

fn facts_of_approval(error: &ApprovalError) -> Facts<'_> {
    match error {
        ApprovalError::LooksLike { .. } => Facts::said(Exit::Refused, "use a name that nobody takes for another"),
        ApprovalError::MustSign => Facts::said(Exit::Usage, "`--key KEY`, as `audit sign` takes it"),
        ApprovalError::CountsForNothing { .. } => {
            Facts::said(Exit::Refused, "use a name and a key of your own that count; nothing was added")
        }
        ApprovalError::Approvers { path, .. } => {
            Facts::said(Exit::Usage, "ssh-keygen(1) describes the file under ALLOWED SIGNERS").of_value(path)
        }
    }
}

fn facts_of_lock(error: &LockError) -> Facts<'_> {
    match error {
        LockError::Held { owner, .. } => Facts::typed(Exit::Locked, |here| hint_of_owner(owner.as_ref(), here)),
        LockError::Unworkable(_) => Facts::said(Exit::Refused, "put the journal on a local disk"),
        LockError::NotOurs { path, .. } => Facts::typed(Exit::Refused, |_| hint_of_planted(path)),
        LockError::Io { .. } => Facts::plain(Exit::Internal),
    }
}

fn facts_of_transport(error: &TransportError) -> Facts<'_> {
    match error {
        TransportError::CaBundle { path, .. } => Facts::plain(Exit::Usage).of_value(path),
        TransportError::Proxy(_) => {
            Facts::said(Exit::Usage, "`unset` it to go without a proxy; NO_PROXY names hosts that need none")
        }
        TransportError::Setup(_) => Facts::plain(Exit::Internal),
    }
}

fn exit_of_inventory(error: &InventoryError) -> Exit {
    match error {
        InventoryError::Credentials(error) => exit_of_credentials(error),
        InventoryError::Denied(_) => Exit::Credentials,
        InventoryError::Unreachable(Outcome::Throttled { .. }) => Exit::Halted,
        InventoryError::Unreachable(_) | InventoryError::Contradicted(_) => Exit::Unreachable,
    }
}

pub(crate) fn exit_of_credentials(error: &CredentialsError) -> Exit {
    match error {
        CredentialsError::Empty { .. }
        | CredentialsError::TooLong { .. }
        | CredentialsError::NotVisible { .. }
        | CredentialsError::Malformed(_) => Exit::Usage,
        CredentialsError::Expired { .. } | CredentialsError::Denied { .. } => Exit::Credentials,
        CredentialsError::Unreachable { .. } => Exit::Unreachable,
    }
}

fn hint_of_doctor(here: &Here) -> String {
    format!("`{}` looks at endpoint, clock and credentials", here.asks("doctor"))
}

/// Count of what was sent, and what is known of it in the journal, before what the error itself has to say.
fn hint_after_changes(late: &AfterChanges, here: &Here) -> Option<String> {
    let AfterChanges { n_sent, error } = late;
    let hint = error.hint(here);
    if matches!(**error, CommandError::JournalGone(_) | CommandError::JournalAltered(_)) {
        // It says so itself.
        return hint;
    }
    let is_damaged = matches!(&**error, CommandError::Journal(error) if error.is_about_content());
    let has_each = if is_damaged { "" } else { ", and the journal has each" };
    // Of what was about to leave as the journal failed, nobody could write down that it did not.
    let at_most = if matches!(**error, CommandError::Journal(_)) { "at most " } else { "" };
    let sent = format!("{at_most}{} left before that{has_each}", count(*n_sent, "change"));
    Some(hint.map_or(sent.clone(), |hint| format!("{sent}; {hint}")))
}
