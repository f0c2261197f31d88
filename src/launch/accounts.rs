//! The accounts that a verb talks to: for each target that a plan names, where it is, how fast, and as whom.
//!
//! Whatever is wrong with one of them is found before a run is made.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

use super::venue::{self, Venue};
use crate::console::Console;
use crate::credentials::chain;
use crate::credentials::error::CredentialsError;
use crate::credentials::identity::Credentials;
use crate::event::LanePlace;
use crate::exit::Exit;
use crate::files;
use crate::gate::{Gate, Past};
use crate::inventory::Inventory;
use crate::journal;
use crate::journal::new_run::NewLane;
use crate::journal::read::lanes::LaneRecord;
use crate::journal::read::runs::RunRecord;
use crate::lock::{Lock, LockError};
use crate::model::Row;
use crate::plan::checked::Checked;
use crate::remote::http::Http;
use crate::report::next::flags;
use crate::report::next::given::GivenByHand;
use crate::settings::Settings;
use crate::settings::directories::user_directory;
use crate::settings::error::SettingsError;
use crate::settings::parse::Destination;
use crate::transport::Transport;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::waves::Terms;
use crate::wording::plain::plain;

/// Rows that name no target belong to it, unless `--profile` names another.
pub(crate) const UNNAMED: &str = "default";

/// One account at one endpoint.
pub(crate) struct Account {
    /// Name by which rows refer to it.
    pub(crate) name: String,
    /// Rows that name no target belong to it.
    takes_unnamed: bool,
    pub(crate) settings: Settings,
    destination: Destination,
    pub(crate) venue: Venue,
    pub(crate) credentials: Arc<Credentials>,
    /// No credentials were set, and the machine is asked for its agency's.
    is_last_resort: bool,
}

/// The accounts that a plan names, in order of first appearance.
pub(crate) fn of_plan(context: &Context, checked: &Checked) -> Result<Vec<Account>, CommandError> {
    let unnamed = unnamed(&context.settings);
    let mut names: Vec<&str> = checked.accounts.iter().map(String::as_str).collect();
    if checked.any_without_account && !names.contains(&unnamed) {
        names.push(unnamed);
    }
    let several = names.len() > 1;
    if several && context.settings.account_by_flag {
        return Err(CommandError::OneAccountForSeveral { n_accounts: names.len() });
    }
    let account = |name: &str| {
        let settings = settings_of(context, profile_of(&checked.terms, name))?;
        Account::new(context.console, name, name == unnamed, settings, several)
    };
    distinct(names.into_iter().map(account).collect::<Result<_, _>>()?)
}

/// Checks that the settings have a profile for each account of a plan. Passes if they define no profile at all, because they are
/// then not the settings that the plan will be run with, and in the sandbox.
pub(crate) fn are_known(context: &Context, checked: &Checked) -> Result<(), CommandError> {
    let anywhere = context.layers.profiles().is_empty() || context.settings.destination == Some(Destination::Sandbox);
    for name in checked.accounts.iter().filter(|_| !anywhere) {
        settings_of(context, profile_of(&checked.terms, name))?;
    }
    Ok(())
}

/// A plan file may name the profile of a target; else it bears the target's name.
fn profile_of<'a>(terms: &'a Terms, target: &'a str) -> &'a str {
    terms.targets.get(target).map_or(target, String::as_str)
}

/// The accounts with which a run was begun, at the endpoints where it was; in the sandbox also in the night that it was
/// begun in.
pub(crate) fn of_run(
    context: &Context,
    run: &RunRecord,
    lanes: &[LaneRecord],
    terms: &Terms,
) -> Result<Vec<Account>, CommandError> {
    let unnamed = unnamed(&context.settings);
    let account = |lane: &LaneRecord| {
        let mut settings = settings_of_lane(context, lane, lanes, terms)?;
        settings.begun_as(run, lane)?;
        Account::new(context.console, &lane.name, lane.name == unnamed, settings, lanes.len() > 1)
    };
    distinct(lanes.iter().map(account).collect::<Result<_, _>>()?)
}

fn settings_of_lane(
    context: &Context,
    lane: &LaneRecord,
    lanes: &[LaneRecord],
    terms: &Terms,
) -> Result<Settings, CommandError> {
    settings_of(context, profile_of(terms, &lane.name)).or_else(|unknown| match lanes {
        // Its name was the account's, when no profile was needed to name one.
        [_] => Ok(context.settings.clone()),
        _ => Err(unknown),
    })
}

/// Parts of a run's way that stand in its journal and nowhere else: neither in a flag, nor in the environment or a file.
/// Whoever wrote the journal would have our credentials there.
pub(crate) struct Unsaid {
    /// The way, such as to an endpoint, as an account.
    pub(crate) way: String,
    /// Flags that say it, each with a blank before it. None: of several accounts each has its profile to say it.
    pub(crate) flags: Option<String>,
}

/// Destinations that nobody says but the journal. `profile`: the one of rows that name no target, if only the run has it. The
/// sandbox is this process, and nobody's endpoint.
pub(crate) fn unsaid(
    context: &Context,
    lanes: &[LaneRecord],
    terms: &Terms,
    profile: Option<&str>,
) -> Result<Option<Unsaid>, CommandError> {
    let (mut endpoints, mut accounts) = (BTreeSet::new(), BTreeSet::new());
    let mut is_away = false;
    for lane in lanes.iter().filter(|lane| begun_at(lane) != Some(Destination::Sandbox)) {
        is_away = true;
        let settings = settings_of_lane(context, lane, lanes, terms)?;
        if settings.destination != begun_at(lane) {
            endpoints.insert(lane.endpoint.as_str());
        }
        if settings.account.as_deref().unwrap_or(&lane.name) != lane.account {
            accounts.insert(lane.account.as_str());
        }
    }
    let profile = profile.filter(|_| is_away);
    if endpoints.is_empty() && accounts.is_empty() && profile.is_none() {
        return Ok(None);
    }
    let can_be_flags = lanes.len() == 1 || (endpoints.len() <= 1 && accounts.is_empty());
    let (mut way, mut flags) = (Vec::new(), GivenByHand::new());
    let parts = [("endpoint", "to", endpoints), ("account", "as account", accounts)];
    for (key, joint, said) in parts.into_iter().chain([("profile", "in profile", profile.into_iter().collect())]) {
        way.extend(said.iter().map(|said| format!("{joint} `{}`", plain(said))));
        flags.extend(said.into_iter().map(|said| (key.to_owned(), said.to_owned())));
    }
    Ok(Some(Unsaid { way: way.join(", "), flags: can_be_flags.then(|| flags::flags(&flags)) }))
}

/// Destination of a lane when its run was begun.
fn begun_at(lane: &LaneRecord) -> Option<Destination> {
    if lane.endpoint == "sandbox" {
        Some(Destination::Sandbox)
    } else {
        lane.endpoint.parse().ok().map(Destination::Service)
    }
}

fn unnamed(settings: &Settings) -> &str {
    settings.profile.as_deref().unwrap_or(UNNAMED)
}

/// Settings of a profile. If it is not defined, those outside of any profile serve for rows that name no target, and in the sandbox,
/// which stands for every account; any other name is an error.
fn settings_of(context: &Context, name: &str) -> Result<Settings, CommandError> {
    let needless = name == UNNAMED || context.settings.destination == Some(Destination::Sandbox);
    match Settings::read(&context.layers, Some(name)) {
        Err(SettingsError::UnknownProfile { .. }) if needless => Ok(context.settings.clone()),
        read => Ok(read?),
    }
}

impl Settings {
    /// A run is gone on with where it was begun.
    fn begun_as(&mut self, run: &RunRecord, lane: &LaneRecord) -> Result<(), CommandError> {
        let begun = begun_at(lane);
        if let Some(flag) = self.destination_by_flag.filter(|_| self.destination != begun) {
            let named = self.destination.as_ref().map(ToString::to_string).unwrap_or_default();
            return Err(CommandError::OtherEndpoint { begun: lane.endpoint.clone(), named, flag });
        }
        self.destination = begun;
        self.account = Some(lane.account.clone()).filter(|account| *account != lane.name);
        if let Some(scenario) = run.settings.get("scenario").and_then(serde_json::Value::as_str) {
            scenario.clone_into(&mut self.scenario);
        }
        if let Some(seed) = run.settings.get("seed").and_then(serde_json::Value::as_str) {
            self.seed = seed.parse().unwrap_or(self.seed);
        }
        Ok(())
    }
}

/// Two accounts of one run that are the same would each believe to have the quota alone.
fn distinct(accounts: Vec<Account>) -> Result<Vec<Account>, CommandError> {
    let mut known: HashMap<String, &str> = HashMap::new();
    for account in &accounts {
        let Some(key) = account.key_in_plan() else { continue };
        if let Some(first) = known.insert(key, &account.name) {
            return Err(CommandError::SameAccount { one: first.to_owned(), other: account.name.clone() });
        }
    }
    Ok(accounts)
}

impl Account {
    fn new(
        console: Console,
        name: &str,
        takes_unnamed: bool,
        settings: Settings,
        one_of_several: bool,
    ) -> Result<Self, CommandError> {
        let Some(destination) = settings.destination.clone() else {
            return Err(CommandError::NoEndpoint { target: one_of_several.then(|| name.to_owned()) });
        };
        let mut is_last_resort = false;
        let (venue, credentials) = match &destination {
            Destination::Service(endpoint) => {
                let spec = chain::spec::Spec { one_of_several, ..settings.credentials.clone() };
                let found = chain::find(&spec, &settings.transport, &|name| std::env::var_os(name))?;
                let found = found.ok_or_else(|| CommandError::NoCredentials {
                    target: one_of_several.then(|| name.to_owned()),
                    endpoint: destination.to_string(),
                })?;
                for warning in &found.warnings {
                    console.warn(warning);
                }
                is_last_resort = found.is_last_resort;
                let transport = Transport::new(endpoint.clone(), &settings.transport)?;
                (Venue::Service(transport), found.credentials)
            }
            Destination::Sandbox => {
                let scenario = venue::scenario(&settings.scenario)?;
                // It lets in whoever started it.
                let token =
                    Credentials::token(&SecretString::from("in-process-sandbox"), "the sandbox in this process");
                (Venue::Sandbox(Box::new(scenario)), token?)
            }
        };
        Ok(Self {
            name: name.to_owned(),
            takes_unnamed,
            settings,
            destination,
            venue,
            credentials: Arc::new(credentials),
            is_last_resort,
        })
    }

    /// Account whose quota its requests use.
    fn account(&self) -> &str {
        self.settings.account.as_deref().unwrap_or(&self.name)
    }

    pub(crate) fn lane(&self) -> NewLane {
        NewLane {
            name: self.name.clone(),
            endpoint: self.destination.to_string(),
            account: self.account().to_owned(),
            takes_unnamed: self.takes_unnamed,
        }
    }

    pub(crate) fn place(&self) -> LanePlace {
        self.lane().place()
    }

    pub(crate) fn takes(&self, row: &Row) -> bool {
        row.account.as_deref().map_or(self.takes_unnamed, |target| target == self.name)
    }

    /// Key of the lock that lets one run at a time use the account, across all journals. A bare token does not name its account: two are
    /// told apart by `--account` only, and otherwise share a key. The sandbox has no key, because it is this process's own.
    fn lock_key(&self) -> Option<String> {
        let Destination::Service(endpoint) = &self.destination else { return None };
        let identity = self.credentials.identity().or(self.settings.account.as_deref()).unwrap_or_default();
        Some(format!("{}\n{identity}", endpoint.place()))
    }

    /// Key that tells the account from the others of its plan, where bare tokens are told apart by their targets.
    fn key_in_plan(&self) -> Option<String> {
        let is_told_apart = self.credentials.identity().is_some() || self.settings.account.is_some();
        let name = if is_told_apart { "" } else { &self.name };
        Some(format!("{}\n{name}", self.lock_key()?))
    }

    fn lock(&self, context: &Context, key: &str) -> Result<Option<Lock>, CommandError> {
        let name = format!("{}.lock", journal::chain::hex(&Sha256::digest(key)[..16]));
        let what = format!("account `{}` at {}", self.account(), self.destination);
        let unnoticed = "another run of this account would not be noticed";
        let mut folders = lock_folders().peekable();
        if folders.peek().is_none() {
            context.console.warn_all_the_same(&format!("no home directory: {unnoticed}"));
        }
        for folder in folders {
            let path = folder.path.join(&name);
            let made = if folder.is_shared { Ok(()) } else { files::make_private_folders(&folder.path) };
            let taken = made
                .map_err(|source| LockError::Io { path: path.clone(), source })
                .and_then(|()| Lock::take(&path, folder.mode, &what, &context.settings.journal));
            match taken {
                Ok(lock) => return Ok(Some(lock)),
                Err(refused @ (LockError::Held { .. } | LockError::NotOurs { .. })) => return Err(refused.into()),
                Err(unusable @ (LockError::Unworkable(_) | LockError::Io { .. })) => {
                    let of_others = if folder.is_shared { " if another user began it" } else { "" };
                    context.console.warn_all_the_same(&format!("{unusable}: {unnoticed}{of_others}"));
                }
            }
        }
        Ok(None)
    }
}

/// A folder for the locks of accounts.
struct LockFolder {
    path: PathBuf,
    is_shared: bool,
    /// Rights of a lock in it.
    mode: u32,
}

/// Folder for locks that all users of the machine see; used if an administrator has made it.
/// source: hier(7), file-hierarchy(7): `/run/lock` is for lock files.
const OF_MACHINE: &str = "/run/lock/cutover";

/// The machine's own, where there is one that nobody else could have made, and then the user's.
fn lock_folders() -> impl Iterator<Item = LockFolder> {
    let of_machine = files::is_shared_by_root(Path::new(OF_MACHINE)).then(|| {
        let path = PathBuf::from(OF_MACHINE);
        // Whoever may open it may wait for it.
        LockFolder { mode: files::private_mode(&path) | 0o044, path, is_shared: true }
    });
    let of_user = user_directory(&|name: &str| std::env::var_os(name), "XDG_STATE_HOME", ".local/state");
    let of_user =
        of_user.map(|folder| LockFolder { path: folder.join("locks"), is_shared: false, mode: files::PRIVATE });
    of_machine.into_iter().chain(of_user)
}

/// The account of rows that name no target, for verbs that look around without a plan.
pub(crate) fn unnamed_one(context: &Context) -> Result<Account, CommandError> {
    let name = unnamed(&context.settings);
    Account::new(context.console, name, true, settings_of(context, name)?, false)
}

/// Looks around in the account of rows that name no target. The sandbox has an estate of its own making there.
pub(crate) fn visit(
    context: &Context,
    look: impl AsyncFnOnce(&Inventory) -> Result<Exit, CommandError>,
) -> Result<Exit, CommandError> {
    let account = unnamed_one(context)?;
    let runtime = runtime()?;
    let_in(&runtime, std::slice::from_ref(&account))?;
    let ended = runtime.block_on(async {
        let (transport, sandbox) = match &account.venue {
            Venue::Service(transport) => (transport.clone(), None),
            Venue::Sandbox(scenario) => {
                let sandbox = venue::made_up(scenario, account.settings.seed).await?;
                let endpoint = sandbox.url().parse().expect("a loopback address is an endpoint");
                (Transport::new(endpoint, &account.settings.transport)?, Some(sandbox))
            }
        };
        let http = Http::new(transport, Arc::clone(&account.credentials));
        let (gate, patience) =
            (Gate::new(&account.settings.gate, Past::default(), None), account.settings.lane.patience);
        let ended = look(&Inventory { http, gate, patience }).await;
        drop(sandbox);
        ended
    });
    runtime.shutdown_background();
    ended
}

pub(crate) fn runtime() -> Result<Runtime, CommandError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandError::Start)
}

/// One run per account and endpoint, whatever journals they use. What cannot be told apart is locked once for all of it.
pub(crate) fn lock_all(context: &Context, accounts: &[Account]) -> Result<Vec<Lock>, CommandError> {
    let keys: BTreeMap<String, &Account> =
        accounts.iter().rev().filter_map(|account| Some((account.lock_key()?, account))).collect();
    let locks = keys.iter().map(|(key, account)| account.lock(context, key));
    Ok(locks.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// Gets what has to be fetched before anything is made. One account that cannot have it leaves the others going, and is
/// told again by its lane, which does not ask again for what was denied.
pub(crate) fn let_in(runtime: &Runtime, accounts: &[Account]) -> Result<(), CommandError> {
    let mut fetching = tokio::task::JoinSet::new();
    for account in accounts {
        let credentials = Arc::clone(&account.credentials);
        let nothing_set = account.is_last_resort.then(|| (account.name.clone(), account.destination.to_string()));
        fetching.spawn_on(async move { (credentials.ready().await, nothing_set) }, runtime.handle());
    }
    let fetched = runtime.block_on(fetching.join_all());
    // A machine without an agency is one on which nothing is set.
    if let Some((_, Some((name, endpoint)))) =
        fetched.iter().find(|(fetched, nothing_set)| fetched.is_err() && nothing_set.is_some())
    {
        let target = (accounts.len() > 1).then(|| name.clone());
        return Err(CommandError::NoCredentials { target, endpoint: endpoint.clone() });
    }
    if fetched.iter().any(|(fetched, _)| fetched.is_ok()) {
        return Ok(());
    }
    // The worst wins, as among exit codes: what was denied before what could not be reached.
    let errors = fetched.into_iter().filter_map(|(fetched, _)| fetched.err());
    match errors.min_by_key(|error| matches!(error, CredentialsError::Unreachable { .. })) {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}
