//! Authentication of requests: a ready token, a fresh one from the sandbox's own IAM call, or a signature.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::answer::{self, HttpAnswer};
use super::signature::{self, KeyPair};
use super::{dice, text};

pub(super) struct AccessControl {
    pub(super) token: Option<SecretString>,
    pub(super) keys: Option<KeyPair>,
    pub(super) project: Option<String>,
    /// Lifetime of a token since it was issued, in microseconds; the ready one was issued at the start.
    pub(super) lives_us: Option<u64>,
    pub(super) seed: u64,
    pub(super) lock: Mutex<KeyLock>,
    pub(super) user: Mutex<UserLock>,
    /// Time before which issued tokens are void, in microseconds.
    pub(super) void_us: AtomicU64,
}

/// Number of wrong passwords in a row. The limit and the length of the lock are the account's choice; here five lock for good.
/// source: IAM login protection.
#[derive(Default)]
pub(super) struct UserLock {
    n_wrong: u32,
}

const MOST_WRONG_PASSWORDS: u32 = 5;

/// Result of a name and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Login {
    Right,
    Wrong,
    Locked,
}

/// Number of wrong signatures in a row, and the end of the lock in microseconds.
#[derive(Default)]
pub(super) struct KeyLock {
    n_wrong: u32,
    until_us: u64,
}

impl AccessControl {
    /// Returns the refusal of a request, or `None` if it is let in. Without a token and keys every request is.
    pub(super) fn refusal(&self, head: &Parts, body: &[u8], now_us: u64, request_id: &str) -> Option<HttpAnswer> {
        if let Some(given) = head.headers.get("x-auth-token") {
            let Some(issued_us) = self.issued_us(given.to_str().unwrap_or_default()) else {
                return Some(answer::not_authenticated("decrypt token fail", request_id));
            };
            let expired = self.lives_us.is_some_and(|lives_us| issued_us.saturating_add(lives_us) <= now_us);
            let void = issued_us < self.void_us.load(Ordering::Relaxed);
            let refusal = (expired || void).then(|| answer::token_expired(request_id));
            return refusal.or_else(|| self.other_project(head, request_id));
        }
        if self.token.is_none() && self.keys.is_none() {
            return None;
        }
        let Some(authorization) = head.headers.get(AUTHORIZATION) else {
            return Some(answer::not_authenticated("neither token nor signature", request_id));
        };
        let checked = match &self.keys {
            Some(keys) => self.check(keys, head, authorization.to_str().unwrap_or_default(), body, now_us),
            None => Err("Get secretKey failed, ak not exist"),
        };
        match checked {
            Err(reason) => Some(answer::not_authenticated(reason, request_id)),
            Ok(()) => self.other_project(head, request_id),
        }
    }

    /// Refuses a request that names another project than the key's. The service's answer is not known; this is its code for a
    /// project that cannot be used.
    fn other_project(&self, head: &Parts, request_id: &str) -> Option<HttpAnswer> {
        let (project, given) = (self.project.as_deref()?, head.headers.get("x-project-id")?);
        (given.as_bytes() != project.as_bytes()).then(|| answer::project_unavailable(request_id))
    }

    /// Voids every token issued so far.
    pub(super) fn expire(&self, now_us: u64) {
        self.void_us.store(now_us, Ordering::Relaxed);
    }

    /// Checks a signature. Too many wrong ones in a row lock the key pair for everybody, right signatures included.
    ///
    /// source: CN devg-apisign FAQ on 0301: more than five in a row, five minutes.
    fn check(
        &self,
        keys: &KeyPair,
        head: &Parts,
        authorization: &str,
        body: &[u8],
        now_us: u64,
    ) -> Result<(), &'static str> {
        let mut lock = self.lock.lock().expect("nothing panics while it holds the lock");
        if now_us < lock.until_us {
            return Err("AK access failed to reach the limit");
        }
        let checked = signature::check(keys, head, authorization, body, Timestamp::now());
        lock.n_wrong = if checked == Err(signature::WRONG) { lock.n_wrong + 1 } else { 0 };
        if lock.n_wrong > 5 {
            *lock = KeyLock { n_wrong: 0, until_us: now_us + 300_000_000 };
        }
        checked
    }

    fn issued_us(&self, given: &str) -> Option<u64> {
        let issued = given.strip_prefix("sandbox-").and_then(|rest| {
            let at_us = u64::from_str_radix(rest.get(..16)?, 16).ok()?;
            (self.token_at(at_us) == given).then_some(at_us)
        });
        let ready = || match &self.token {
            Some(token) => token.expose_secret() == given,
            None => self.keys.is_none(),
        };
        issued.or_else(|| ready().then_some(0))
    }

    /// Makes a token that carries its time of issue, so that none needs to be stored.
    pub(super) fn token_at(&self, now_us: u64) -> String {
        format!("sandbox-{now_us:016x}-{}", dice::hex_id(self.seed, "token", now_us))
    }

    pub(super) fn log_in(&self, body: &[u8]) -> Login {
        let mut user = self.user.lock().expect("nothing panics while it holds the lock");
        if user.n_wrong >= MOST_WRONG_PASSWORDS {
            return Login::Locked;
        }
        let right = self.knows_password(body);
        user.n_wrong = if right { 0 } else { user.n_wrong + 1 };
        if right { Login::Right } else { Login::Wrong }
    }

    /// Tells whether the password is right: that of the sandbox's one user is its ready token.
    fn knows_password(&self, body: &[u8]) -> bool {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let password = body.pointer("/auth/identity/password/user/password").and_then(serde_json::Value::as_str);
        match (&self.token, password) {
            (Some(token), Some(password)) => token.expose_secret() == password,
            (None, Some(_)) => true,
            (_, None) => false,
        }
    }
}

/// Returns the segments of a path, decoded.
pub(super) fn segments(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(text::decoded).collect()
}
