//! Locks of accounts: one run at a time uses an account, whatever journals there are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::account::Account;
use crate::files;
use crate::lock::{Lock, LockError};
use crate::log::server::LedAccount;
use crate::settings::directories::state_directory;
use crate::verb::context::Context;
use crate::verb::error::CommandError;

/// Takes one lock for each account at each endpoint, in the order of their keys. Accounts that share a key share a lock.
pub(in crate::launch) fn lock_all(context: &Context, accounts: &[Account]) -> Result<Vec<Lock>, CommandError> {
    let locks = keyed(accounts).into_iter().map(|(key, account)| lock(context, account, &key));
    Ok(locks.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// Returns the accounts as all hosts know them, in the order of their keys.
pub(in crate::launch) fn led_accounts(accounts: &[Account]) -> Vec<LedAccount> {
    let led = |(key, account): (String, &Account)| LedAccount { key, name: account.account().to_owned() };
    keyed(accounts).into_iter().map(led).collect()
}

fn keyed(accounts: &[Account]) -> BTreeMap<String, &Account> {
    accounts.iter().rev().filter_map(|account| Some((account.lock_key()?, account))).collect()
}

/// Takes the lock in the first folder that works. Warns and returns `None` if none does: the run is then not protected.
fn lock(context: &Context, account: &Account, key: &str) -> Result<Option<Lock>, CommandError> {
    let name = format!("{key}.lock");
    let what = format!("account `{}` at {}", account.account(), account.destination);
    let unnoticed = "another run of this account would not be noticed";
    let mut folders = lock_folders().peekable();
    if folders.peek().is_none() {
        context.console.warn_all_the_same(&format!("no home directory: {unnoticed}"));
    }
    for folder in folders {
        let path = folder.path.join(&name);
        let made = if folder.is_shared { Ok(()) } else { files::folder::make_private_folders(&folder.path) };
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

/// A folder for the locks of accounts.
struct LockFolder {
    path: PathBuf,
    is_shared: bool,
    /// File mode of a lock in it.
    mode: u32,
}

/// Folder for locks that all users of the machine see; used if an administrator has made it.
/// source: hier(7), file-hierarchy(7): `/run/lock` is for lock files.
const OF_MACHINE: &str = "/run/lock/cutover";

/// Folders to try, in order: that of the machine, if only root can have made it, and then that of the user or the service.
fn lock_folders() -> impl Iterator<Item = LockFolder> {
    let of_machine = files::folder::is_shared_by_root(Path::new(OF_MACHINE)).then(|| {
        let path = PathBuf::from(OF_MACHINE);
        // Other users need to open the file to find it locked.
        LockFolder { mode: files::mode::private_mode(&path) | 0o044, path, is_shared: true }
    });
    let of_user = state_directory(&|name: &str| std::env::var_os(name));
    let of_user =
        of_user.map(|folder| LockFolder { path: folder.join("locks"), is_shared: false, mode: files::mode::PRIVATE });
    of_machine.into_iter().chain(of_user)
}
