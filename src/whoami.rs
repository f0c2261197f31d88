//! Identity of whoever started this process: as the system records it, and as it is only claimed. A variable such as `$USER` proves
//! nothing, since anybody who starts a process can set it.

use std::fmt;
use std::fs;
use std::io::{stderr, stdin, stdout};

use nix::unistd::{Uid, User};
use serde::{Deserialize, Serialize};

/// Facts about a person beside the user name of the process. None of it is proven beyond this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// User id of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// User who logged in, as the system keeps it across `su` and `sudo`; `None` where it keeps none, as in most containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<String>,
    /// User in a variable of `sudo` or `doas`, which anybody can set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed: Option<String>,
}

impl Who {
    /// Returns the facts about whoever started this process.
    #[must_use]
    pub fn me() -> Self {
        let claimed = ["SUDO_USER", "DOAS_USER"].into_iter().find_map(|name| std::env::var(name).ok());
        Self {
            uid: Some(rustix::process::getuid().as_raw()),
            login: login(),
            terminal: terminal(),
            claimed: claimed.filter(|name| !name.is_empty()),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Formats them for people with the user name of the process and its host; facts that add nothing are left out.
    #[must_use]
    pub fn told<'a>(&'a self, user: Option<&'a str>, host: &'a str) -> Told<'a> {
        Told { who: self, user, host }
    }
}

/// Person as shown to people: `root@bridge (logged in as ada)`.
pub struct Told<'a> {
    who: &'a Who,
    user: Option<&'a str>,
    host: &'a str,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, user, host } = self;
        write!(f, "{}@{host}", user.unwrap_or("?"))?;
        let login = who.login.as_deref().filter(|login| Some(*login) != *user);
        if let Some(login) = login {
            write!(f, " (logged in as {login})")?;
        }
        match who.claimed.as_deref().filter(|claimed| Some(*claimed) != *user && Some(*claimed) != login) {
            Some(claimed) => write!(f, " (said to be {claimed})"),
            None => Ok(()),
        }
    }
}

/// Returns the name of the process's user id, from wherever the system keeps names; else the number.
pub(crate) fn user() -> String {
    name_of(rustix::process::getuid().as_raw())
}

/// Returns the name of a user, or else the number.
pub(crate) fn name_of(uid: u32) -> String {
    let known = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    known.map(|user| user.name).filter(|name| !name.is_empty()).unwrap_or_else(|| uid.to_string())
}

/// source: proc(5), `/proc/pid/loginuid`
fn login() -> Option<String> {
    let uid = fs::read_to_string("/proc/self/loginuid").ok()?.trim().parse().ok()?;
    // -1: nobody logged in.
    (uid != u32::MAX).then(|| name_of(uid))
}

#[expect(clippy::disallowed_methods, reason = "they are asked for their name, and nothing is written")]
fn terminal() -> Option<String> {
    let name = rustix::termios::ttyname(stdin(), Vec::new())
        .or_else(|_| rustix::termios::ttyname(stderr(), Vec::new()))
        .or_else(|_| rustix::termios::ttyname(stdout(), Vec::new()));
    name.ok()?.into_string().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_has_the_name_that_the_system_gives_it_or_none() {
        assert_eq!(name_of(0), "root");
        assert_eq!(name_of(4_000_000_001), "4000000001");
    }

    #[test]
    fn what_says_nothing_more_than_the_user_is_not_told() {
        let who = |login: &str, claimed: &str| {
            let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            Who { login: some(login), claimed: some(claimed), ..Who::default() }.told(Some("ada"), "h").to_string()
        };
        assert_eq!(who("", ""), "ada@h");
        assert_eq!(who("ada", "ada"), "ada@h");
        assert_eq!(who("bob", "bob"), "ada@h (logged in as bob)");
        assert_eq!(who("", "bob"), "ada@h (said to be bob)");
        assert_eq!(who("cy", "bob"), "ada@h (logged in as cy) (said to be bob)");
    }
}
