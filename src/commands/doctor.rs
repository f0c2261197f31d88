//! `doctor`: checks everything that a run depends on, and changes nothing.

mod workers;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::credentials::chain;
use crate::credentials::chain::places::FoundCredentials;
use crate::credentials::error::CredentialsError;
use crate::doctor::{Health, Patient, document, in_one_line, render};
use crate::event::outcome::Outcome;
use crate::exit::Exit;
use crate::hands::{Hands, Via, Worker};
use crate::journal::place::JournalFiles;
use crate::journal::read::lanes::LearnedQuota;
use crate::journal::{Journal, JournalError};
use crate::launch::saving::log_is_held;
use crate::lock::{Lock, LockError};
use crate::metrics::file::MetricsFile;
use crate::model::dialect::unknown_words;
use crate::model::state::SeenState;
use crate::model::words::Word;
use crate::notices::notice::{Notice, Occasion};
use crate::notices::receiver::Receiver;
use crate::notices::smn::OfRun;
use crate::recorder::watch::LOG_IS_LARGE;
use crate::remote::http::{Http, Looked};
use crate::settings::Settings;
use crate::settings::parse::Destination;
use crate::transport::Transport;
use crate::transport::endpoint::Endpoint;
use crate::verb::advice::exit_of_credentials;
use crate::verb::advice::journal_errors::entry_of_journal;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, stdout_failed};
use crate::verb::notices::{BadReceiver, receivers};
use crate::verb::runtime::runtime;
use crate::waves::UNNAMED;
use crate::wording::shell::shell_word;
use crate::wording::sieve::Form;
use crate::{console, files};

/// Clock difference from which on signatures are refused. source: devg-apisign authentication pages.
const SKEW_REFUSED: Duration = Duration::from_mins(15);
const SKEW_WORTH_A_WORD: Duration = Duration::from_mins(1);
const DISK_TOO_SMALL: u64 = 50 << 20;
const DISK_SMALL: u64 = 1 << 30;
/// source: SMS FAQs PDF §4.3.
const SOURCES_PER_ACCOUNT: u64 = 1_000;

const OF_READING: [&str; 5] = ["permission to read", "sources", "state words", "permission to write", "clock"];

/// Tests to receivers of notices: sent if somebody asked for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tests {
    Sent,
    NotSent,
}

pub(super) fn doctor(context: &Context, tests: Tests) -> Result<Exit, CommandError> {
    let runtime = runtime()?;
    let mut exit = Exit::Done;
    let mut patients = vec![machine(context, &mut exit)];
    let (hands, of_workers) = workers::workers(context, &mut exit);
    patients.extend(of_workers);
    let names: Vec<Option<String>> = match (&context.settings.profile, context.layers.profiles().as_slice()) {
        (Some(profile), _) => vec![Some(profile.clone())],
        (None, []) => vec![None],
        (None, names) => names.iter().map(|name| Some((*name).to_owned())).collect(),
    };
    for name in names {
        let (patient, worst) = runtime.block_on(account(context, name.as_deref(), hands.as_deref()))?;
        patients.push(patient);
        exit = exit.worst(worst);
    }
    for receiver in receivers(&context.layers, &context.settings, &OfRun::default()) {
        let (patient, worst) = match receiver {
            Ok(receiver) => runtime.block_on(receiver_of_notices(&receiver, tests)),
            Err(bad) => bad_receiver(&bad),
        };
        patients.push(patient);
        exit = exit.worst(worst);
    }
    runtime.shutdown_background();
    let written = if context.console.json {
        console::document(Form::Json, |out| writeln!(out, "{:#}", document(&patients)))
    } else if context.console.quiet {
        Ok(())
    } else {
        console::print(|out| render(&patients, out))
    };
    written.map_err(stdout_failed)?;
    if context.console.quiet && exit != Exit::Done {
        let (text, hint) = in_one_line(&patients);
        context.console.fail(&text, &[], hint);
    }
    Ok(exit)
}

/// Tells of a receiver of notices with which nothing is launched.
fn bad_receiver(BadReceiver { name, problem, .. }: &BadReceiver) -> (Patient, Exit) {
    let mut patient = Patient::new(format!("receiver {name} of notices"));
    let advice = format!("see [notify.{name}] in the settings file; nothing is launched with it");
    patient.add("settings", Health::Problem, problem, Some(&advice));
    patient.not_checked(&["test"]);
    (patient, Exit::Usage)
}

/// Sends a test to a receiver of notices if that was asked for.
async fn receiver_of_notices(receiver: &Receiver, tests: Tests) -> (Patient, Exit) {
    let mut patient = Patient::new(format!("receiver {} of notices", receiver.name));
    patient.ok("settings", "its address and its secrets are there");
    match tests {
        Tests::NotSent => {
            patient.add("test", Health::Unknown, "none was sent: `cutover doctor --notify` sends one", None);
        }
        Tests::Sent => {
            let test = Notice::new(Occasion::Test, "doctor", "this is a test, and no run is going on".to_owned());
            if let Err(problem) = receiver.test(&test).await {
                patient.add(
                    "test",
                    Health::Problem,
                    problem,
                    Some("a run goes on without it; it is told of in the end"),
                );
                return (patient, Exit::Unreachable);
            }
            patient.ok("test", "it was delivered");
        }
    }
    (patient, Exit::Done)
}

/// Checks the journal, the locks beside it, and the disk that it is on.
fn machine(context: &Context, exit: &mut Exit) -> Patient {
    let mut patient = Patient::new("this machine");
    let path = &context.settings.journal;
    match Journal::open_to_read(path).and_then(|journal| journal.runs()) {
        Ok(runs) => {
            patient.ok("journal", format!("`{}`, runs: {}", path.display(), runs.len()));
            log_of_journal(path, &mut patient);
        }
        Err(JournalError::Absent(_) | JournalError::NoRuns) => {
            patient.ok("journal", format!("`{}` is not there yet; the first run makes it", path.display()));
        }
        Err(error) => {
            *exit = exit.worst(entry_of_journal(&error).exit);
            patient.add("journal", Health::Problem, error.to_string(), Some("name another with --journal PATH"));
        }
    }
    if let Some(path) = &context.settings.metrics_file {
        metrics_file(path, &mut patient, exit);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match Lock::take(&folder.join(".cutover-doctor.lock"), files::mode::PRIVATE, "the trial lock", path) {
        Ok(_) => patient.ok("file locks", format!("`{}` keeps them", folder.display())),
        Err(LockError::Held { .. }) => patient.ok("file locks", "another doctor is at it"),
        Err(error @ LockError::NotOurs { .. }) => {
            *exit = exit.worst(Exit::Refused);
            patient.add(
                "file locks",
                Health::Problem,
                error.to_string(),
                Some("see who put it there, and take it away"),
            );
        }
        Err(error @ (LockError::Unworkable(_) | LockError::Io { .. })) => {
            *exit = exit.worst(Exit::Internal);
            let advice = "put the journal on a local disk that you can write to";
            patient.add("file locks", Health::Problem, error.to_string(), Some(advice));
        }
    }
    match rustix::fs::statvfs(folder) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let found = format!("{} MiB free at `{}`", free >> 20, folder.display());
            let advice = "make room: a row with one attempt takes about 1.2 KB";
            match free {
                0..DISK_TOO_SMALL => {
                    *exit = exit.worst(Exit::Internal);
                    patient.add("disk", Health::Problem, found, Some(advice));
                }
                DISK_TOO_SMALL..DISK_SMALL => patient.add("disk", Health::Warning, found, Some(advice)),
                _ => patient.ok("disk", found),
            }
        }
        Err(error) => patient.add("disk", Health::Unknown, format!("it does not say how much is free: {error}"), None),
    }
    patient
}

/// Checks that metrics can be written, and that a collector of another user could read them.
fn metrics_file(path: &Path, patient: &mut Patient, exit: &mut Exit) {
    let told = format!("`{}`", path.display());
    match MetricsFile::tried(path, Timestamp::now()) {
        Ok(file) if file.is_private() => {
            let advice = "`chmod` it once it is there, and it stays so; or set another umask";
            patient.add("metrics file", Health::Warning, format!("{told} is for its owner alone"), Some(advice));
        }
        Ok(_) => patient.ok("metrics file", told),
        Err(error) => {
            *exit = exit.worst(Exit::Usage);
            let advice = "name a new file that ends with `.prom`, or one that cutover wrote, in a folder that is there, can be written to and has room";
            patient.add("metrics file", Health::Problem, format!("{told}: {error}"), Some(advice));
        }
    }
}

/// Warns about a large log: a process that reads for long makes it grow, and a killed launch leaves it behind.
fn log_of_journal(path: &Path, patient: &mut Patient) {
    let Ok(place) = JournalFiles::at(path) else { return };
    let log @ LOG_IS_LARGE.. = place.log_size() else { return };
    let (found, advice) = told_of_log(log, place.readers().as_deref());
    patient.add("journal's log", Health::Warning, found, Some(advice));
}

/// Returns finding and advice about a large log; `readers` is `None` where the system does not list them.
fn told_of_log(log: u64, readers: Option<&[String]>) -> (String, &'static str) {
    let has = format!("it has {} MiB, which are not written back into the journal", log >> 20);
    match readers {
        Some([]) => (
            format!(
                "{has}; nobody reads in it now: a launch that was killed leaves it so, and so does a reader that is gone"
            ),
            "nothing needs to be done: the next change cuts it",
        ),
        Some(readers) => (log_is_held(log, readers), "end what reads it; the log is cut by the next change"),
        None => (
            format!("{has}: a process may be reading in it, or a launch was killed; the system does not say which"),
            "end what reads it, if something does; the log is cut by the next change",
        ),
    }
}

async fn account(
    context: &Context,
    profile: Option<&str>,
    hands: Option<&dyn Hands>,
) -> Result<(Patient, Exit), CommandError> {
    let settings = match profile {
        Some(name) => Settings::read(&context.layers, Some(name))?,
        None => context.settings.clone(),
    };
    let mut patient = Patient::new(profile.map_or_else(|| "the account".to_owned(), |name| format!("profile {name}")));
    let spec = &settings.credentials;
    let endpoint = match &settings.destination {
        Some(Destination::Service(endpoint)) => endpoint.clone(),
        Some(Destination::Sandbox) => {
            patient.ok("endpoint", "the sandbox in this process: there is nothing to look at");
            return Ok((patient, Exit::Done));
        }
        None => {
            let advice = "--endpoint URL or --region NAME, or one of them in the settings";
            patient.add("endpoint", Health::Problem, "none is set", Some(advice));
            patient.not_checked(&["DNS", "TCP", "connection", "credentials"]);
            patient.not_checked(&OF_READING);
            return Ok((patient, Exit::Usage));
        }
    };
    let found = chain::find(spec, &settings.transport, &|name| std::env::var_os(name));
    let name = profile.unwrap_or(UNNAMED);
    let worker = hands
        .and_then(|hands| hands.workers().into_iter().find(|worker| worker.serves(name, &endpoint.place()).is_some()));
    if is_asked_elsewhere(settings.via, worker.as_ref(), &found) {
        return Ok(by_worker(patient, (name, &endpoint), worker));
    }
    let transport = Transport::new(endpoint.clone(), &settings.transport)?;
    let by = transport.proxy().map_or_else(String::new, |proxy| format!(", by the proxy {proxy}"));
    patient.ok("endpoint", format!("{endpoint}{by}"));
    if transport.proxy().is_none() {
        look_up(&mut patient, &endpoint.host_and_port(), settings.transport.connect_timeout).await;
    }
    let found = match found {
        Ok(Some(found)) => found,
        Ok(None) => {
            no_credentials(&mut patient);
            return Ok((patient, Exit::Credentials));
        }
        Err(error) => {
            patient.add("credentials", Health::Problem, error.to_string(), Some("see `cutover config show`"));
            patient.not_checked(&OF_READING);
            return Ok((patient, exit_of_credentials(&error)));
        }
    };
    for warning in &found.warnings {
        patient.add("credential files", Health::Warning, warning.clone(), None);
    }
    let credentials = Arc::new(found.credentials);
    if let Err(error) = credentials.ready().await {
        if found.is_last_resort {
            no_credentials(&mut patient);
            return Ok((patient, Exit::Credentials));
        }
        patient.add("credentials", Health::Problem, error.to_string(), Some("see `cutover config show`"));
        patient.not_checked(&OF_READING);
        return Ok((patient, exit_of_credentials(&error)));
    }
    let until = credentials.expires_at().map_or_else(String::new, |at| format!(", until {at:.0}"));
    patient.ok("credentials", format!("{} from {}{until}", credentials.kind(), credentials.origin()));
    let looked = Http::new(transport, Arc::clone(&credentials)).look().await;
    let exit = reading(&mut patient, !endpoint.is_plain(), looked);
    learned(context, &settings, profile, &mut patient);
    Ok((patient, exit))
}

/// Tells whether a launch would hand the requests of an account to a worker.
fn is_asked_elsewhere(
    via: Option<Via>,
    worker: Option<&Worker>,
    found: &Result<Option<FoundCredentials>, CredentialsError>,
) -> bool {
    match via {
        Some(Via::Worker) => true,
        Some(Via::Here) => false,
        None => {
            let is_here =
                found.as_ref().map_or(true, |found| found.as_ref().is_some_and(|found| !found.is_last_resort));
            worker.is_some() && !is_here
        }
    }
}

/// Tells which worker makes the requests of an account. All else is looked at where that is.
fn by_worker(mut patient: Patient, (name, endpoint): (&str, &Endpoint), worker: Option<Worker>) -> (Patient, Exit) {
    patient.ok("endpoint", format!("{endpoint}, by way of workers"));
    let exit = if let Some(worker) = worker {
        patient.ok("credentials", format!("worker {} has them", worker.name()));
        Exit::Done
    } else {
        let advice = format!("`cutover worker --target {}` on a machine that has them", shell_word(name));
        patient.add("credentials", Health::Problem, "no worker that serves it is heard", Some(&advice));
        Exit::Unreachable
    };
    for what in OF_READING {
        patient.add(what, Health::Unknown, "the worker's machine is asked by a `cutover doctor` there", None);
    }
    (patient, exit)
}

fn no_credentials(patient: &mut Patient) {
    let looked = "none: neither token, keys nor user in the environment or in CREDENTIALS_DIRECTORY, no command, no \
                  ~/.huaweicloud/credentials, no plain ~/.hcloud/config.json, no container identity, no agency";
    let advice = "set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, or CUTOVER_AUTH_TOKEN, or a profile's credentials";
    patient.add("credentials", Health::Problem, looked, Some(advice));
    patient.not_checked(&OF_READING);
}

/// Looks up the name and connects to the port, before anything is sent. With a proxy, the proxy does both.
async fn look_up(patient: &mut Patient, (host, port): &(String, u16), wait: Duration) {
    match tokio::net::lookup_host((host.as_str(), *port)).await {
        Ok(addresses) => {
            let mut addresses: Vec<String> = addresses.map(|address| address.ip().to_string()).collect();
            addresses.dedup();
            let is_address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
            let found = if is_address {
                format!("{host} is an address: no name to look up")
            } else {
                format!("{host} is {}", addresses.join(", "))
            };
            patient.ok("DNS", found);
        }
        Err(error) => {
            let advice = "is the host spelled right, and does this machine's resolver know it?";
            patient.add("DNS", Health::Problem, format!("{host}: {error}"), Some(advice));
            patient.not_checked(&["TCP"]);
            return;
        }
    }
    let advice = "is there a route, and does a firewall let it through?";
    match tokio::time::timeout(wait, tokio::net::TcpStream::connect((host.as_str(), *port))).await {
        Ok(Ok(_)) => patient.ok("TCP", format!("port {port} is open")),
        Ok(Err(error)) => patient.add("TCP", Health::Problem, format!("port {port}: {error}"), Some(advice)),
        Err(_) => patient.add("TCP", Health::Problem, format!("port {port}: nothing within {wait:?}"), Some(advice)),
    }
}

/// Adds the findings of one read of the first page.
fn reading(patient: &mut Patient, by_tls: bool, looked: Result<Looked, Outcome>) -> Exit {
    let Looked { date, page } = match looked {
        Ok(looked) => looked,
        Err(outcome) => {
            let advice = "reach it from here first: name, route, firewall, proxy, certificates (--ca-bundle)";
            patient.add("connection", Health::Problem, outcome.to_string(), Some(advice));
            patient.not_checked(&OF_READING);
            return Exit::Unreachable;
        }
    };
    if by_tls {
        patient.ok("TLS", "the certificate is trusted");
    }
    patient.ok("connection", "the service answers");
    clock(patient, date);
    let page = match page {
        Ok(page) => page,
        Err(outcome) => return refused(patient, &outcome),
    };
    patient.ok("permission to read", "the list of sources was read");
    let n_sources = page.count;
    let found = format!("{n_sources} in this account");
    if n_sources > SOURCES_PER_ACCOUNT {
        patient.add(
            "sources",
            Health::Warning,
            format!("{found}, more than the documented {SOURCES_PER_ACCOUNT}"),
            None,
        );
    } else {
        patient.ok("sources", found);
    }
    words(patient, page.servers.iter().map(|(_, seen)| seen));
    // source: CN api-sms/UpdateCopyState.html (sms:server:updateState, alias sms:server:migrationServer).
    patient.add(
        "permission to write",
        Health::Unknown,
        "cannot be told without writing: it takes sms:server:updateState (or sms:server:migrationServer)",
        None,
    );
    Exit::Done
}

fn refused(patient: &mut Patient, outcome: &Outcome) -> Exit {
    let (advice, exit) = match outcome {
        Outcome::Unauthenticated { .. } => (
            "other credentials, or the endpoint of the region that these are for; a sixth try with a wrong key locks it",
            Exit::Credentials,
        ),
        Outcome::Barred { .. } | Outcome::Rejected { status: 403, .. } => {
            // source: intl/tr-tr/api-sms/ListServers.html.
            (
                "grant sms:server:list and sms:server:get (or sms:server:queryServer), or look at the account",
                Exit::Credentials,
            )
        }
        Outcome::Throttled { .. } => ("wait, and go slower: --rate", Exit::Halted),
        Outcome::Accepted { .. }
        | Outcome::Rejected { .. }
        | Outcome::Unsent { .. }
        | Outcome::Disclaimed { .. }
        | Outcome::Lost { .. } => {
            ("is this the address of the service? it is named sms.REGION.myhuaweicloud.com", Exit::Unreachable)
        }
    };
    patient.add("permission to read", Health::Problem, outcome.to_string(), Some(advice));
    patient.not_checked(&["sources", "state words", "permission to write"]);
    exit
}

fn clock(patient: &mut Patient, date: Option<Timestamp>) {
    let Some(date) = date else {
        patient.add("clock", Health::Unknown, "the answer has no date to compare with", None);
        return;
    };
    let skew = Timestamp::now().duration_since(date);
    let found = format!("{:+} s against the service", skew.as_secs());
    let advice = "set this machine's clock (NTP): signatures are refused from 15 minutes on";
    match skew.unsigned_abs() {
        skew if skew >= SKEW_REFUSED => patient.add("clock", Health::Problem, found, Some(advice)),
        skew if skew >= SKEW_WORTH_A_WORD => patient.add("clock", Health::Warning, found, Some(advice)),
        _ => patient.ok("clock", found),
    }
}

/// Adds the state words of the service that no edition of its documentation has.
fn words<'a>(patient: &mut Patient, seen: impl Iterator<Item = &'a SeenState>) {
    let mut unknown: Vec<String> =
        seen.flat_map(unknown_words).map(|(field, word): (_, &Word)| format!("{field} `{word}`")).collect();
    unknown.sort();
    unknown.dedup();
    if unknown.is_empty() {
        patient.ok("state words", "all are known");
    } else {
        let advice = "they are kept and compared as they are; --allow-unknown lets a plan use them";
        patient.add("state words", Health::Warning, format!("unknown: {}", unknown.join(", ")), Some(advice));
    }
}

/// Adds the quota that earlier runs learned.
fn learned(context: &Context, settings: &Settings, profile: Option<&str>, patient: &mut Patient) {
    let Some(endpoint) = &settings.destination else { return };
    let account = settings.account.as_deref().or(profile).unwrap_or(UNNAMED);
    let quota = Journal::open_to_read(&context.settings.journal)
        .and_then(|journal| journal.learned_quota(&endpoint.to_string(), account));
    match quota {
        Ok(Some(LearnedQuota { per_second, stated: true, .. })) => {
            patient.ok("quota", format!("{per_second:.2} requests a second, as the service said"));
        }
        Ok(Some(LearnedQuota { per_second, stated: false, .. })) => {
            patient.ok("quota", format!("throttled before; {per_second:.2} requests a second were taken"));
        }
        Ok(None) | Err(_) => {
            patient.add("quota", Health::Unknown, "never met: no figures are published", None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_said_to_read_who_was_not_seen_to() {
        let (found, advice) = told_of_log(18 << 20, Some(&[]));
        assert!(found.starts_with("it has 18 MiB") && found.contains("nobody reads in it now"), "{found}");
        assert_eq!(advice, "nothing needs to be done: the next change cuts it");
        let (found, _) = told_of_log(18 << 20, None);
        assert!(found.contains("may be reading") && found.contains("does not say which"), "{found}");
        let (found, _) = told_of_log(18 << 20, Some(&["process 7 (`sqlite3`)".to_owned()]));
        assert!(found.starts_with("process 7 (`sqlite3`) has been reading"), "{found}");
    }
}
