//! Accounts of a launch: for each target that a plan or a run names, its endpoint, limits and credentials.
//!
//! All problems of an account are found here, before a run is made.

use std::collections::HashMap;
#[cfg(feature = "cluster")]
use std::collections::HashSet;

use account::Account;
use settings::{settings_of, settings_of_lane, unnamed};

#[cfg(feature = "cluster")]
use crate::hands::Via;
use crate::journal::read::lanes::LaneRecord;
use crate::journal::read::runs::RunRecord;
use crate::launch::venue::Venue;
use crate::plan::checked::Checked;
#[cfg(feature = "cluster")]
use crate::settings::Settings;
use crate::settings::parse::Destination;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::reach::Reach;
use crate::waves::Terms;
#[cfg(feature = "cluster")]
use crate::wording::plain::plain;

pub(crate) mod account;
pub(crate) mod credentials;
pub(super) mod locks;
pub(super) mod said_by_journal;
pub(crate) mod settings;

/// Accounts that a plan names, in order of first appearance. Refuses two targets that are the same account.
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
        let settings = settings_of(context, checked.terms.profile_of(name))?;
        Account::new(context, name, name == unnamed, settings, several)
    };
    distinct(names.into_iter().map(account).collect::<Result<_, _>>()?)
}

/// Accounts with which a run was begun, at the same endpoints; in the sandbox also with the same scenario and seed.
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
        Account::new(context, &lane.name, lane.name == unnamed, settings, lanes.len() > 1)
    };
    distinct(lanes.iter().map(account).collect::<Result<_, _>>()?)
}

/// Account of rows that name no target, for verbs that read the inventory without a plan.
pub(crate) fn unnamed_one(context: &Context) -> Result<Account, CommandError> {
    let name = unnamed(&context.settings);
    Account::new(context, name, true, settings_of(context, name)?, false)
}

/// Accounts that a worker serves: those of these names, or all whose credentials are here.
#[cfg(feature = "cluster")]
pub(crate) fn served(context: &Context, names: &[String]) -> Result<Vec<Account>, CommandError> {
    let profiles = context.layers.profiles();
    let all: Vec<&str> = match profiles.as_slice() {
        [] => vec![unnamed(&context.settings)],
        profiles => profiles.to_vec(),
    };
    let must_be_here = !names.is_empty();
    let mut names = if must_be_here { names.iter().map(String::as_str).collect() } else { all };
    let mut known = HashSet::new();
    names.retain(|name| known.insert(*name));
    let mut accounts = Vec::new();
    for name in &names {
        let settings = Settings { via: Some(Via::Here), ..settings_of(context, name)? };
        // What lies about on this machine is nobody's in particular, where there are several.
        if !must_be_here && names.len() > 1 && !settings.credentials.names_its_own() {
            let name = plain(name);
            context
                .console
                .say(&format!("`{name}` names no credentials, and is not served: `--target {name}` serves it"));
            continue;
        }
        match Account::new(context, name, false, settings, names.len() > 1) {
            Ok(account) => accounts.push(account),
            Err(CommandError::NoCredentials { .. } | CommandError::NoEndpoint { .. }) if !must_be_here => (),
            Err(CommandError::Credentials(error)) if !must_be_here && names.len() > 1 => {
                context.console.warn(&format!("`{}` is not served: {error}", plain(name)));
            }
            Err(error) => return Err(error),
        }
    }
    if accounts.is_empty() {
        return Err(CommandError::NothingToServe);
    }
    distinct(accounts)
}

/// Reach of a launch in these accounts.
pub(super) fn reach(accounts: &[Account]) -> Reach {
    let is_inside = |account: &Account| match account.venue {
        Venue::Sandbox(_) => true,
        Venue::Service(_) | Venue::Workers(_) => false,
    };
    if accounts.iter().all(is_inside) { Reach::ThisProcess } else { Reach::Outside }
}

/// Refuses two accounts of a run that are the same: each would use the whole quota.
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

/// Checks that the settings have a profile for each account of a plan. Passes if they define no profile at all, because they are
/// then not the settings that the plan will be run with, and in the sandbox.
pub(crate) fn are_known(context: &Context, checked: &Checked) -> Result<(), CommandError> {
    let anywhere = context.layers.profiles().is_empty() || context.settings.destination == Some(Destination::Sandbox);
    for name in checked.accounts.iter().filter(|_| !anywhere) {
        settings_of(context, checked.terms.profile_of(name))?;
    }
    Ok(())
}
