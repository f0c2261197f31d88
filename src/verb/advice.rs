//! Exit and hint of each error: one match, an entry for each, in the order of the enum.

use std::path::Path;

use entry::ErrorEntry;
use hints::{
    LOOKS_ANEW, hint_of_altered, hint_of_control, hint_of_credentials, hint_of_file, hint_of_key, hint_of_missing_plan,
    hint_of_others_file, hint_of_owner, hint_of_planted, hint_of_problems, hint_of_rest, hint_of_skip, hint_of_status,
    hint_of_way,
};
use journal_errors::{entry_of_journal, entry_of_log_servers, hint_of_pruned};

use super::approval::{ApprovalError, MissingApprovals};
use super::error::{AfterChanges, AfterEnd, CommandError, LogAway, Unreported, UntrustedHooks};
use super::here::Here;
use crate::credentials::error::CredentialsError;
use crate::event::outcome::Outcome;
use crate::exit::Exit;
use crate::inventory::InventoryError;
use crate::lock::LockError;
use crate::log::server::{NotLed, NotRead};
use crate::model::words::nearest;
use crate::plan::error::PlanError;
use crate::settings::error::SettingsError;
use crate::settings::names::RUN_KEY;
use crate::transport::client::TransportError;
use crate::wording::amounts::{bounded, count};
use crate::wording::plain::plain;
use crate::wording::shell::{shell_path, shell_word};

mod entry;
mod hints;
pub(crate) mod journal_errors;

impl CommandError {
    pub(crate) fn exit(&self) -> Exit {
        self.entry().exit
    }

    /// Returns the advice, with the environment variable that names the unusable thing: unlike a flag, it is not visible in the command.
    pub(crate) fn hint(&self, here: &Here) -> Option<String> {
        self.entry().hint(here)
    }

    #[expect(clippy::too_many_lines, reason = "one list, an entry for each error")]
    fn entry(&self) -> ErrorEntry<'_> {
        use Exit::{Credentials, Integrity, Internal, Locked, NotOnTarget, Refused, Usage};
        match self {
            CommandError::Settings(error) => entry_of_settings(error),
            CommandError::Plan(error) => entry_of_plan(error),
            CommandError::PlanChanged(_) => ErrorEntry::said(Usage, "run the same command again"),
            CommandError::OneAccountForSeveral { .. } => {
                ErrorEntry::said(Usage, "leave it out; a profile may say `account`")
            }
            CommandError::SameAccount { .. } => {
                ErrorEntry::said(Usage, "name one of them in both; two would not know of each other's quota")
            }
            CommandError::NoEndpoint { target: Some(_) } => {
                ErrorEntry::said(Usage, "its profile may say `endpoint` or `region`")
            }
            CommandError::NoEndpoint { target: None } => ErrorEntry::said(
                Usage,
                "`--endpoint https://sms.REGION.myhuaweicloud.com`, or `--endpoint sandbox` to try it with no account",
            ),
            CommandError::OtherEndpoint { flag, .. } => {
                ErrorEntry::typed(Usage, move |_| format!("leave `--{flag}` out"))
            }
            CommandError::SaidByJournalAlone { flags, .. } => {
                ErrorEntry::typed(Usage, |_| hint_of_way(flags.as_deref()))
            }
            CommandError::NotAgreed => ErrorEntry::plain(Refused),
            CommandError::NoCredentials { target: Some(_), .. } => ErrorEntry::said(
                Credentials,
                "its profile may say token_env, access_key_env and secret_key_env, credential_command, …",
            ),
            CommandError::NoCredentials { target: None, endpoint } => ErrorEntry::typed(Credentials, |here| {
                let (or_try, doctor) = here.tries_elsewhere(endpoint);
                format!(
                    "set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, or an IAM token in CUTOVER_AUTH_TOKEN{or_try}; `{doctor}` \
                     says where it looks"
                )
            }),
            CommandError::Credentials(error) => {
                ErrorEntry::may_be_typed(exit_of_credentials(error), |_| hint_of_credentials(error))
            }
            CommandError::NoTerminal => {
                ErrorEntry::said(Usage, "`--yes` if the plan was looked at before (`cutover plan PLAN`)")
            }
            CommandError::Scenario(_) => ErrorEntry::plain(Usage).of_setting("scenario"),
            CommandError::Journal(error) => entry_of_journal(error),
            CommandError::NotAsItWas { run, .. } => ErrorEntry::typed(Integrity, |here| hint_of_altered(run, here)),
            CommandError::ShortAnchor(_) => ErrorEntry::said(Usage, "give all of it, as the run printed it"),
            CommandError::Log(error) => entry_of_log(error),
            CommandError::NotLed(error) => entry_of_lead(error),
            CommandError::LogAway(LogAway { exit, resume, .. }) => ErrorEntry::typed(*exit, move |_| {
                format!("once the servers answer, `{resume}` goes on with it, and looks first at what is open")
            }),
            CommandError::NeedsEngine(_) => ErrorEntry::said(
                Refused,
                "type it with a cutover that was built with `--features cluster`, in which it takes `--engine`; nothing was sent",
            ),
            CommandError::NoServers => {
                ErrorEntry::said(Usage, "`--engine nats://HOST:4222`, or `url` in [engine] of the settings")
            }
            CommandError::WorkersWithoutServers(_) => {
                ErrorEntry::said(Usage, "`--engine nats://HOST:4222`, or `url` in [engine] of the settings; nothing was sent")
            }
            CommandError::NothingToServe => ErrorEntry::said(Credentials, "`cutover doctor` shows where it looks for them"),
            CommandError::AtWorkers(_) => {
                ErrorEntry::said(Refused, "type it on a machine that has them; a run, `plan` and `resume` ask by way of workers")
            }
            CommandError::NotForgotten { .. } => {
                ErrorEntry::said(Refused, "what was copied is in the journal; nothing was removed")
            }
            CommandError::BegunAlone(_) => ErrorEntry::said(Usage, "leave `--engine` out"),
            CommandError::Lock(error) => entry_of_lock(error),
            CommandError::NothingToFollow(run) => ErrorEntry::typed(Usage, |here| {
                format!("`{}` goes on with it", here.reads(&format!("resume {}", shell_word(run))))
            }),
            CommandError::StandsByWithoutLeave { stand_by, .. } => {
                ErrorEntry::typed(Refused, move |_| format!("`{stand_by}` could go on with it"))
            }
            CommandError::FollowsItself(_) => {
                ErrorEntry::said(Locked, "type the same on another machine, or here with another `--journal PATH`")
            }
            CommandError::EndedBefore { exit, next, .. } => ErrorEntry::typed(*exit, move |_| match next {
                AfterEnd::GoesOn(resume) => format!("`{resume}` goes on with it"),
                AfterEnd::Shows(status) => format!("`{status}` shows it"),
            }),
            CommandError::StoodBy { exit, .. } => ErrorEntry::said(*exit, "run the same command again to stand by"),
            CommandError::StillLocked { exit, error, .. } => error.entry().ending_with(*exit),
            CommandError::KeyOfAnother { run, .. } => ErrorEntry::typed(Usage, move |here| {
                format!("another slot has another key; `{}` shows that run", here.reads(&format!("status {run}")))
            }),
            CommandError::EndedAndPruned { exit, tombstone, .. } => {
                ErrorEntry::typed(*exit, |_| hint_of_pruned(tombstone))
            }
            CommandError::BadRunKey { .. } => ErrorEntry::typed(Usage, |_| {
                format!("a cron table sets variables as they stand: give the key as `--run-key`, or `unset {RUN_KEY}`")
            }),
            CommandError::NewWithKey => {
                ErrorEntry::typed(Usage, |_| format!("`unset {RUN_KEY}`, or leave `--new` out"))
            }
            CommandError::Transport(error) => entry_of_transport(error),
            CommandError::Inventory(error) => ErrorEntry::typed(exit_of_inventory(error), hint_of_doctor),
            CommandError::BadSource { .. } => ErrorEntry::plain(Usage),
            CommandError::NoSuchSource(_) => ErrorEntry::typed(NotOnTarget, |here| {
                format!("`{}` shows them; another account may have it", here.asks("sources list"))
            }),
            CommandError::NeverBegun { instead, .. } => {
                ErrorEntry::typed(Integrity, move |_| format!("begin anew: `{instead}`"))
            }
            CommandError::Exists(_) => ErrorEntry::said(Usage, "name another, or replace it with --force"),
            CommandError::Taken(_) => ErrorEntry::said(Usage, "name another"),
            CommandError::NotApproved(MissingApprovals { plan, is_sealed: true, is_signed, .. }) => {
                ErrorEntry::typed(Refused, |here| {
                    format!("`{}`", here.approves(&shell_path(Path::new(plan)), *is_signed))
                })
            }
            CommandError::NotApproved(MissingApprovals { plan, is_sealed: false, is_signed, .. }) => {
                ErrorEntry::typed(Refused, |here| {
                    let (seal, approve) = (here.seals(Path::new(plan)), here.approves("FILE", *is_signed));
                    format!("seal it first: `{seal}`, then `{approve}`")
                })
            }
            CommandError::UntrustedHooks(UntrustedHooks { plan, .. }) => ErrorEntry::typed(Usage, move |_| {
                if plan == Path::new("-") {
                    return "a plan with hooks has to be a file, which is read and then trusted".to_owned();
                }
                format!(
                    "read them, and the files that they run; then trust them, as the user of the job: `cutover trust {}`",
                    shell_path(plan)
                )
            }),
            CommandError::SealedApart => ErrorEntry::said(Usage, "name a file beside the plan (`-o`)"),
            CommandError::Approval(error) => entry_of_approval(error),
            CommandError::NotSealed(_) => ErrorEntry::said(Usage, "`cutover plan PLAN -o FILE` seals one"),
            CommandError::SealerApproves { .. } => ErrorEntry::said(Refused, "somebody else has to"),
            CommandError::NoName => ErrorEntry::said(Usage, "`--as \"First Last\"`"),
            CommandError::SealedUnseen => ErrorEntry::said(Usage, "leave `preflight` on"),
            CommandError::SealedElsewhere { .. } => {
                ErrorEntry::said(Refused, "seal it there: `cutover plan PLAN -o FILE` with that endpoint and profile")
            }
            CommandError::DashIsNoFile => ErrorEntry::said(Usage, "name a file"),
            CommandError::NotLooked { exit, .. } => ErrorEntry::typed(*exit, hint_of_doctor),
            CommandError::Stopped { exit, .. } => ErrorEntry::plain(*exit),
            CommandError::AfterChanges(late) => {
                ErrorEntry::may_be_typed(late.error.exit().after_a_change(), |here| hint_after_changes(late, here))
            }
            CommandError::JournalGone(_) => ErrorEntry::said(Internal, LOOKS_BEFORE_IT_SENDS),
            CommandError::JournalAltered(_) => ErrorEntry::said(Integrity, LOOKS_BEFORE_IT_SENDS),
            CommandError::Command(_) => ErrorEntry::typed(Usage, hint_of_control),
            CommandError::NotRunning { run, resume } => {
                ErrorEntry::typed(Usage, |here| hint_of_rest(run, resume, here))
            }
            CommandError::TooLate { run, .. } => ErrorEntry::typed(Usage, |here| hint_of_status(run, here)),
            CommandError::NotTaken(run) | CommandError::NotWithdrawn(run) => ErrorEntry::typed(Locked, |here| hint_of_status(run, here)),
            CommandError::NotSkipped { id, run, .. } => ErrorEntry::typed(Usage, |here| hint_of_skip(id, run, here)),
            CommandError::SeveralRuns { .. } => ErrorEntry::said(Usage, "name the one that is meant"),
            CommandError::AmbiguousRow { .. } => ErrorEntry::said(Usage, "type more of its id"),
            CommandError::NoSuchRow { run, .. } => ErrorEntry::typed(Usage, |here| {
                format!("`{}` lists the rows", here.reads(&format!("report {} --format csv", shell_word(run))))
            }),
            CommandError::UnknownWave { known, .. } if known.is_empty() => {
                ErrorEntry::said(Usage, "only a plan file in TOML has waves to release")
            }
            CommandError::UnknownWave { name, known } => ErrorEntry::typed(Usage, |_| {
                let near = nearest(name, known.iter().map(String::as_str));
                let meant = near.map_or_else(String::new, |near| format!("did you mean `{}`? ", plain(near)));
                let quoted: Vec<String> = known.iter().map(|wave| format!("`{}`", plain(wave))).collect();
                format!("{meant}there are: {}", bounded(&quoted))
            }),
            CommandError::ReportFormat(_) => {
                ErrorEntry::said(Usage, "end it with .csv, .html, .json, .md, .xlsx, or .xml for JUnit")
            }
            CommandError::NotForTerminals(name) => {
                ErrorEntry::typed(Usage, move |_| format!("write it to a file: `-o report.{name}`"))
            }
            CommandError::Input { path, .. } => {
                ErrorEntry::may_be_typed(Usage, |here| hint_of_others_file(path, here)).of_value(path)
            }
            CommandError::Key { path, problem } => ErrorEntry::typed(Usage, |_| hint_of_key(path, problem)),
            CommandError::Bundle { .. } => ErrorEntry::said(Integrity, "keep it as it is, and ask for another copy"),
            CommandError::LaterBundle { .. } => ErrorEntry::said(Usage, "verify it with the newer cutover"),
            CommandError::Destination { path, .. } => ErrorEntry::typed(Usage, |here| {
                hint_of_file(path, here, "name a file in a folder that is there and can be written to")
            }),
            CommandError::MetricsFile { path, .. } => ErrorEntry::typed(Usage, |here| {
                const NEW: &str = "name a new file that ends with `.prom`, or one that cutover wrote, in a folder that is there, can be \
                                   written to and has room";
                hint_of_file(path, here, NEW)
            })
            .of_value(path),
            CommandError::Archives { .. } => {
                ErrorEntry::said(Usage, "name a folder that can be written to; nothing was taken out of the journal")
            }
            CommandError::LogFile { path, .. } => ErrorEntry::typed(Usage, |here| {
                hint_of_file(path, here, "name a plain file in a folder that is there and can be written to")
            })
            .of_value(path),
            CommandError::Output { .. } | CommandError::Start(_) => ErrorEntry::plain(Internal),
            CommandError::Unreported(unreported) => {
                let Unreported { error, ended, again } = &**unreported;
                ErrorEntry::typed(error.exit(), move |_| {
                    format!("the run itself ended: {ended} Once there is room for the report, `{again}` writes it")
                })
            }
            CommandError::Listen { .. } => {
                ErrorEntry::said(Usage, "`--listen ADDRESS:PORT` with another port; port 0 takes any that is free")
            }
            CommandError::OpenToAll(_) | CommandError::WeakToken(_) => ErrorEntry::said(
                Usage,
                "set CUTOVER_SERVE_TOKEN, or name a file with `--token-file`: `openssl rand -hex 24` makes a good one",
            ),
            CommandError::Panicked => {
                ErrorEntry::said(Internal, "this is a bug; the same command again takes the run up, looking first")
            }
            CommandError::Bug(_) => {
                ErrorEntry::said(Internal, "keep the journal: what was sent is in it, and the next launch looks first")
            }
        }
    }
}

const LOOKS_BEFORE_IT_SENDS: &str =
    "a new run of the plan in another journal (`--journal PATH`) looks at each server before it sends";

fn entry_of_settings(error: &SettingsError) -> ErrorEntry<'_> {
    let entry = ErrorEntry::may_be_typed(Exit::Usage, |_| error.hint());
    match error {
        SettingsError::UnknownProfile { name, .. } => entry.of_value(name),
        SettingsError::Unreadable { path, .. } | SettingsError::SameFile { path, .. } => entry.of_value(path),
        SettingsError::Value { .. }
        | SettingsError::Syntax { .. }
        | SettingsError::UnknownKey { .. }
        | SettingsError::Secret { .. }
        | SettingsError::Shape { .. }
        | SettingsError::TablesShape { .. }
        | SettingsError::InTable { .. }
        | SettingsError::Receiver { .. }
        | SettingsError::Untrusted(_)
        | SettingsError::InOtherHands { .. }
        | SettingsError::NoStateFolder
        | SettingsError::NotOfAFolder(_)
        | SettingsError::TakenForPlan { .. }
        | SettingsError::UnknownVariable { .. }
        | SettingsError::Unlike { .. }
        | SettingsError::Zone(_)
        | SettingsError::ZoneOfTime(_) => entry,
    }
}

fn entry_of_plan(error: &PlanError) -> ErrorEntry<'_> {
    match error {
        PlanError::Problems { name, .. } => ErrorEntry::typed(Exit::Usage, |here| hint_of_problems(name, here)),
        PlanError::Unreadable { name, .. } => ErrorEntry::typed(Exit::Usage, |here| hint_of_missing_plan(name, here)),
        PlanError::Unsupported { .. } => {
            ErrorEntry::said(Exit::Usage, "plans are read as CSV, TSV, JSON Lines and TOML; nothing was sent")
        }
        PlanError::Edited { .. } => ErrorEntry::said(
            Exit::Integrity,
            "seal it again with `cutover plan PLAN -o FILE`, and have it approved again; nothing was sent",
        ),
    }
}

fn entry_of_approval(error: &ApprovalError) -> ErrorEntry<'_> {
    match error {
        ApprovalError::LooksLike { .. } => ErrorEntry::said(Exit::Refused, "use a name that nobody takes for another"),
        ApprovalError::MustSign => ErrorEntry::said(Exit::Usage, "`--key KEY`, as `audit sign` takes it"),
        ApprovalError::CountsForNothing { .. } => {
            ErrorEntry::said(Exit::Refused, "use a name and a key of your own that count; nothing was added")
        }
        ApprovalError::Approvers { path, .. } => {
            ErrorEntry::said(Exit::Usage, "ssh-keygen(1) describes the file under ALLOWED SIGNERS").of_value(path)
        }
    }
}

/// Exit code of a log that was not read.
pub(crate) fn exit_of_log(error: &NotRead) -> Exit {
    entry_of_log(error).exit
}

fn entry_of_log(error: &NotRead) -> ErrorEntry<'_> {
    match error {
        NotRead::Untrue { run, .. } => ErrorEntry::typed(Exit::Integrity, move |_| {
            format!(
                "where several servers keep the log, `nats stream cluster step-down {}` has another one lead, which may have it as it \
                 was; else keep the journal and the log as they are, and compare them with an earlier copy; {LOOKS_ANEW}",
                shell_word(&format!("cutover-{run}"))
            )
        }),
        NotRead::Lost { run, .. } => ErrorEntry::typed(Exit::Integrity, move |here| {
            format!(
                "`{}` writes to it again what this journal has, if nothing in it is another; the journal of whoever led the run last has \
                 the most",
                here.reads(&format!("resume {} --restore-log", shell_word(run)))
            )
        }),
        NotRead::Unfit { run, .. } => ErrorEntry::typed(Exit::Integrity, move |here| {
            let (run, stream) = (shell_word(run), shell_word(&format!("cutover-{run}")));
            format!(
                "`nats stream backup {stream} FOLDER` keeps a copy of it, and `nats stream rm {stream}` then deletes it; `{}` makes it \
                 anew of what this journal has; that of whoever led the run last has the most",
                here.reads(&format!("resume {run} --restore-log"))
            )
        }),
        NotRead::JournalAlone(_) => ErrorEntry::said(Exit::Usage, "leave `--restore-log` out"),
        NotRead::Newer { .. } => ErrorEntry::said(Exit::Integrity, "use the newer cutover; nothing was sent"),
        NotRead::Unreachable(_) => entry_of_log_servers(),
        NotRead::NotOpen(_) => ErrorEntry::said(
            Exit::Credentials,
            "`credentials` in [engine] of the settings, or CUTOVER_ENGINE_CREDENTIALS, names a NATS .creds file or one with an nkey seed",
        ),
        NotRead::NoRun(_) => {
            ErrorEntry::typed(Exit::Usage, |here| format!("`{}` shows those of this journal", here.reads("runs")))
        }
        NotRead::UnfitBucket(_) => ErrorEntry::said(
            Exit::Refused,
            "`nats stream edit KV_cutover --max-age=0s --max-msgs-per-subject=1 --replicas=N` sets it right; one that is kept in memory has \
             to be removed (`nats stream rm KV_cutover`) while no run is unfinished, and the next launch makes it anew",
        ),
        NotRead::Unmade(run) => ErrorEntry::typed(Exit::Usage, move |_| {
            format!(
                "unless somebody makes it just now, `nats stream rm cutover-{}` removes what is left of it",
                shell_word(run)
            )
        }),
        NotRead::Journal(error) => entry_of_journal(error),
    }
}

fn entry_of_lead(error: &NotLed) -> ErrorEntry<'_> {
    match error {
        NotLed::Led { run, .. } | NotLed::AccountTaken { run, .. } => {
            ErrorEntry::typed(Exit::Locked, |here| hint_of_status(run, here))
        }
        NotLed::AccountLeft { run, .. } => ErrorEntry::typed(Exit::Locked, |here| {
            format!("`{}` goes on with it", here.reads(&format!("resume {} --engine URL", shell_word(run))))
        }),
        NotLed::ClaimUnread(_) => ErrorEntry::said(Exit::Locked, "use the newer cutover"),
        NotLed::KeyTaken { run, .. } => ErrorEntry::typed(Exit::Locked, |here| {
            format!("run the same command again, or `{}`", here.reads(&format!("resume {}", shell_word(run))))
        }),
        NotLed::OtherClock { .. } => {
            ErrorEntry::said(Exit::Refused, "set both by one source of time (NTP), and run the same command again")
        }
        NotLed::Log(error) => entry_of_log(error),
    }
}

fn entry_of_lock(error: &LockError) -> ErrorEntry<'_> {
    match error {
        LockError::Held { owner, .. } => ErrorEntry::typed(Exit::Locked, |here| hint_of_owner(owner.as_ref(), here)),
        LockError::Unworkable(_) => ErrorEntry::said(
            Exit::Refused,
            "put the journal on a local disk; in Kubernetes, on a volume of a block device (`ReadWriteOncePod`)",
        ),
        LockError::NotOurs { path, .. } => ErrorEntry::typed(Exit::Refused, |_| hint_of_planted(path)),
        LockError::Io { .. } => ErrorEntry::plain(Exit::Internal),
    }
}

fn entry_of_transport(error: &TransportError) -> ErrorEntry<'_> {
    match error {
        TransportError::CaBundle { path, .. } => ErrorEntry::plain(Exit::Usage).of_value(path),
        TransportError::Proxy(_) => {
            ErrorEntry::said(Exit::Usage, "`unset` it to go without a proxy; NO_PROXY names hosts that need none")
        }
        TransportError::Setup(_) => ErrorEntry::plain(Exit::Internal),
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
        | CredentialsError::Lacking { .. }
        | CredentialsError::Malformed(_) => Exit::Usage,
        CredentialsError::Expired { .. } | CredentialsError::Denied { .. } => Exit::Credentials,
        CredentialsError::Unreachable { .. } | CredentialsError::NoWorker { .. } => Exit::Unreachable,
    }
}

fn hint_of_doctor(here: &Here) -> String {
    format!("`{}` looks at endpoint, clock and credentials", here.asks("doctor"))
}

/// Hint of an error after changes: their count, and whether the journal has them, before the hint of the error itself.
fn hint_after_changes(late: &AfterChanges, here: &Here) -> Option<String> {
    let AfterChanges { n_sent, error } = late;
    let hint = error.hint(here);
    if matches!(**error, CommandError::JournalGone(_) | CommandError::JournalAltered(_)) {
        // The text of these errors has the count.
        return hint;
    }
    let is_damaged = matches!(&**error, CommandError::Journal(error) if error.is_about_content());
    let has_each = if is_damaged { "" } else { ", and the journal has each" };
    // A change that was about to leave when the journal failed is counted, and may not have left.
    let at_most = if matches!(**error, CommandError::Journal(_) | CommandError::LogAway(_)) { "at most " } else { "" };
    let sent = format!("{at_most}{} left before that{has_each}", count(*n_sent, "change"));
    Some(hint.map_or(sent.clone(), |hint| format!("{sent}; {hint}")))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use super::*;
    use crate::journal::{JournalError, LogError};
    use crate::lock::Owner;

    fn here(flags: &[(&'static str, &str)], variables: &[(&'static str, &str)]) -> Here {
        let flags: Vec<_> = flags.iter().map(|(key, text)| (*key, (*text).to_owned())).collect();
        let value =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| OsString::from(text));
        Here::new(&flags, " --strict".to_owned(), value)
    }

    #[test]
    fn each_error_has_its_exit_and_the_command_that_comes_next() {
        let missing = |is_sealed, is_signed| {
            let (plan, passed_over) = ("p.csv".to_owned(), Vec::new());
            CommandError::NotApproved(MissingApprovals {
                plan,
                given: 0,
                required: 2,
                is_sealed,
                is_signed,
                passed_over,
            })
        };
        let wave = |known: &[&str]| CommandError::UnknownWave {
            name: "pilott".into(),
            known: known.iter().map(|name| (*name).to_owned()).collect(),
        };
        let no_credentials = |target| CommandError::NoCredentials { target, endpoint: "https://sms.example".into() };
        let here = here(&[("journal", "n.db"), ("endpoint", "https://sms.example")], &[]);
        for (error, exit, hint) in [
            (CommandError::NotAgreed, Exit::Refused, None),
            (CommandError::PlanChanged("p".into()), Exit::Usage, Some("run the same command again")),
            (missing(true, false), Exit::Refused, Some("`cutover approve p.csv --as NAME`")),
            (missing(true, true), Exit::Refused, Some("`cutover approve p.csv --as NAME --key KEY`")),
            (
                missing(false, false),
                Exit::Refused,
                Some(
                    "seal it first: `cutover plan p.csv --strict -o FILE --endpoint https://sms.example`, then `cutover \
                     approve FILE --as NAME`",
                ),
            ),
            (wave(&[]), Exit::Usage, Some("only a plan file in TOML has waves to release")),
            (wave(&["a", "c"]), Exit::Usage, Some("there are: `a`, `c`")),
            (wave(&["pilot", "c"]), Exit::Usage, Some("did you mean `pilot`? there are: `pilot`, `c`")),
            (
                no_credentials(Some("east".into())),
                Exit::Credentials,
                Some("its profile may say token_env, access_key_env and secret_key_env, credential_command, …"),
            ),
            (
                no_credentials(None),
                Exit::Credentials,
                Some(
                    "set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, or an IAM token in CUTOVER_AUTH_TOKEN, or try \
                     `--endpoint sandbox`; `cutover doctor --endpoint https://sms.example` says where it looks",
                ),
            ),
            (
                CommandError::NotTaken("r 1".into()),
                Exit::Locked,
                Some("`cutover status 'r 1' --journal n.db` shows where it stands"),
            ),
            (
                CommandError::EndedBefore {
                    exit: Exit::Halted,
                    run: "r1".into(),
                    reason: None,
                    next: AfterEnd::GoesOn("cutover resume r1 --rate 5".into()),
                },
                Exit::Halted,
                Some("`cutover resume r1 --rate 5` goes on with it"),
            ),
            (CommandError::Journal(JournalError::Abandoned), Exit::Internal, None),
            (
                CommandError::Journal(LogError::Shorter { acknowledged: 9, found: 7 }.into()),
                Exit::Integrity,
                Some(
                    "keep the journal as it is: it has all that was recorded before this; the log may have acknowledged more, of what was \
                     about to be recorded; `cutover resume RUN --restore-log` writes to the log again what it lacks",
                ),
            ),
            (
                CommandError::Journal(JournalError::Replaced),
                Exit::Locked,
                Some("`cutover status --journal n.db` tells of it, and `cutover runs --journal n.db` of all runs"),
            ),
        ] {
            assert_eq!((error.exit(), error.hint(&here).as_deref()), (exit, hint), "{error}");
        }
    }

    #[test]
    fn a_log_that_is_not_read_and_a_run_that_is_not_led_have_exits_of_their_own() {
        let (run, why) = (|| "r1".to_owned(), || "why".to_owned());
        let owner = Owner { pid: 7, host: "east".to_owned(), since: jiff::Timestamp::UNIX_EPOCH, journal: None };
        let by = || Box::new(owner.clone());
        let account = || "a".to_owned();
        let status = "`cutover status r1 --journal n.db` shows where it stands";
        let servers = "look at the servers and at the way to them, and run the same command again";
        let errors: [(CommandError, Exit, &str); 18] = [
            (
                NotRead::Untrue { run: run(), why: why() }.into(),
                Exit::Integrity,
                "where several servers keep the log, `nats stream cluster step-down cutover-r1` has another one lead",
            ),
            (
                NotRead::Lost { run: run(), why: why() }.into(),
                Exit::Integrity,
                "`cutover resume r1 --restore-log --journal n.db` writes to it again",
            ),
            (
                NotRead::Unfit { run: run(), why: why() }.into(),
                Exit::Integrity,
                "`nats stream backup cutover-r1 FOLDER` keeps a copy of it, and `nats stream rm cutover-r1` then deletes it; `cutover \
                 resume r1 --restore-log --journal n.db` makes it anew",
            ),
            (NotRead::JournalAlone(run()).into(), Exit::Usage, "leave `--restore-log` out"),
            (NotRead::Newer { run: run(), why: why() }.into(), Exit::Integrity, "use the newer cutover"),
            (NotRead::Unreachable(why()).into(), Exit::Unreachable, servers),
            (NotRead::NotOpen(why()).into(), Exit::Credentials, "`credentials` in [engine] of the settings"),
            (NotRead::NoRun(run()).into(), Exit::Usage, "`cutover runs --journal n.db` shows those of this journal"),
            (
                NotRead::Unmade(run()).into(),
                Exit::Usage,
                "unless somebody makes it just now, `nats stream rm cutover-r1`",
            ),
            (
                NotRead::UnfitBucket(why()).into(),
                Exit::Refused,
                "`nats stream edit KV_cutover --max-age=0s --max-msgs-per-subject=1 --replicas=N` sets it right",
            ),
            (NotRead::Journal(JournalError::NoRuns).into(), Exit::Usage, "`cutover run PLAN` makes one"),
            (NotLed::Led { run: run(), by: Some(by()) }.into(), Exit::Locked, status),
            (NotLed::AccountTaken { account: account(), run: run(), by: by() }.into(), Exit::Locked, status),
            (
                NotLed::AccountLeft { account: account(), run: run(), by: by() }.into(),
                Exit::Locked,
                "`cutover resume r1 --engine URL --journal n.db` goes on with it",
            ),
            (NotLed::ClaimUnread(account()).into(), Exit::Locked, "use the newer cutover"),
            (
                NotLed::KeyTaken { run_key: account(), run: run() }.into(),
                Exit::Locked,
                "run the same command again, or `cutover resume r1 --journal n.db`",
            ),
            (
                NotLed::OtherClock { clock: run(), there: owner.since, here: owner.since }.into(),
                Exit::Refused,
                "set both by one source of time (NTP)",
            ),
            (NotLed::Log(NotRead::Unreachable(why())).into(), Exit::Unreachable, servers),
        ];
        let here = here(&[("journal", "n.db")], &[]);
        for (error, exit, hint) in errors {
            let told = error.hint(&here).unwrap();
            assert!(error.exit() == exit && told.starts_with(hint), "{error}: {:?} {told}", error.exit());
        }
    }

    #[test]
    fn a_variable_that_names_what_cannot_be_used_is_told_unless_a_flag_names_it() {
        let absent = || CommandError::Journal(JournalError::Absent("gone.db".into()));
        let by_variable = here(&[], &[("CUTOVER_JOURNAL", "gone.db")]);
        let hint = absent().hint(&by_variable).unwrap();
        assert!(hint.ends_with("; this one is named by CUTOVER_JOURNAL"), "{hint}");
        let by_flag = here(&[("journal", "gone.db")], &[("CUTOVER_JOURNAL", "other.db")]);
        let hint = absent().hint(&by_flag).unwrap();
        assert!(!hint.contains("CUTOVER_JOURNAL"), "{hint}");
        let source = std::io::ErrorKind::NotFound.into();
        let unreadable = CommandError::Input { path: PathBuf::from("keys"), source };
        let hint = unreadable.hint(&here(&[], &[("CUTOVER_APPROVERS", "keys")])).unwrap();
        assert_eq!(hint, "it is named by CUTOVER_APPROVERS: set that to another one, or `unset CUTOVER_APPROVERS`");
    }

    #[test]
    fn an_error_after_changes_says_how_many_and_never_that_nothing_was_sent() {
        let after = |error: CommandError| CommandError::from(AfterChanges { n_sent: 3, error: Box::new(error) });
        for (error, exit, hint) in [
            (
                CommandError::Panicked,
                Exit::Internal,
                "3 changes left before that, and the journal has each; this is a bug",
            ),
            (CommandError::NotAgreed, Exit::Halted, "3 changes left before that, and the journal has each"),
            (CommandError::NoName, Exit::Internal, "3 changes left before that, and the journal has each; `--as"),
            // Of a change that was about to leave, nobody could write down that it did not.
            (
                CommandError::Journal(JournalError::Abandoned),
                Exit::Internal,
                "at most 3 changes left before that, and the journal has each",
            ),
            (
                CommandError::Journal(JournalError::Damaged("x".into())),
                Exit::Integrity,
                "at most 3 changes left before that; keep the file as it is",
            ),
            (
                CommandError::Journal(JournalError::Replaced),
                Exit::Halted,
                "at most 3 changes left before that, and the journal has each; `cutover status` tells of it",
            ),
            // The text says it.
            (CommandError::JournalGone("gone: stopped after 3 changes".into()), Exit::Internal, LOOKS_BEFORE_IT_SENDS),
        ] {
            let error = after(error);
            let told = error.hint(&Here::default()).unwrap();
            assert!(error.exit() == exit && told.starts_with(hint), "{error}: {:?} {told}", error.exit());
        }
    }
}
