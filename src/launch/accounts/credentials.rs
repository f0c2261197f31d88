//! Credentials of the accounts, fetched before anything is made.

use std::sync::Arc;

use tokio::runtime::Runtime;

use super::account::Account;
use crate::credentials::error::CredentialsError;
use crate::verb::error::CommandError;

/// Fetches the credentials of all accounts at once. Fails only if no account has them, or if one has none set and the machine has no
/// agency: the lane of any other account tells later that it has none, without another request for what was denied.
pub(crate) fn fetch_credentials(runtime: &Runtime, accounts: &[Account]) -> Result<(), CommandError> {
    let mut fetching = tokio::task::JoinSet::new();
    let here = accounts.iter().filter_map(|account| Some((account, Arc::clone(account.credentials.as_ref()?))));
    for (account, credentials) in here {
        let nothing_set = account.is_last_resort.then(|| (account.name.clone(), account.destination.to_string()));
        fetching.spawn_on(async move { (credentials.ready().await, nothing_set) }, runtime.handle());
    }
    let fetched = runtime.block_on(fetching.join_all());
    // The agency was the last resort, so that its failure means that no credentials are set.
    if let Some((_, Some((name, endpoint)))) =
        fetched.iter().find(|(fetched, nothing_set)| fetched.is_err() && nothing_set.is_some())
    {
        let target = (accounts.len() > 1).then(|| name.clone());
        return Err(CommandError::NoCredentials { target, endpoint: endpoint.clone() });
    }
    // Those of workers are asked for when the lane begins.
    let any_elsewhere = accounts.iter().any(|account| account.credentials.is_none());
    if any_elsewhere || fetched.iter().any(|(fetched, _)| fetched.is_ok()) {
        return Ok(());
    }
    // The worst is told, as among exit codes: a denial rather than an unreachable service.
    let errors = fetched.into_iter().filter_map(|(fetched, _)| fetched.err());
    match errors.min_by_key(|error| matches!(error, CredentialsError::Unreachable { .. })) {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}
