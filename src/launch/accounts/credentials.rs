//! Credentials of the accounts, fetched before anything is made.

use std::sync::Arc;

use tokio::runtime::Runtime;

use super::account::Account;
use crate::credentials::error::CredentialsError;
use crate::verb::error::CommandError;

/// Gets what has to be fetched before anything is made. One account that cannot have it leaves the others going, and is
/// told again by its lane, which does not ask again for what was denied.
pub(crate) fn fetch_credentials(runtime: &Runtime, accounts: &[Account]) -> Result<(), CommandError> {
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
