//! Hooks of a launch with everything that they are told and not told.

use std::path::Path;

use super::inputs::Launch;
use crate::child::environment::Withheld;
use crate::clock::Clock;
use crate::hooks::{AboutRun, Hooks};
use crate::transport::secrets::Secrets;
use crate::transport::secrets::guarded::Guarded;

/// Variables that name a proxy. source: curl(1), ENVIRONMENT
const PROXIES: [&str; 6] = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// Variables with a proxy whose address holds a user's name or password.
fn proxies_with_passwords() -> impl Iterator<Item = String> {
    let has_user = |name: &&str| std::env::var_os(name).is_some_and(|value| value.to_string_lossy().contains('@'));
    PROXIES.into_iter().filter(has_user).map(str::to_owned)
}

impl Launch {
    /// Returns the hooks that run; none in a rehearsal.
    pub(super) fn running_hooks(&self, journal: &Path) -> Hooks {
        let commands = match self.clock {
            Clock::OfMachine => self.hooks.clone(),
            Clock::Rehearsed { .. } => Vec::new(),
        };
        let run = &self.run;
        let named = self.settings.credentials.secret_variables.iter().cloned();
        let withheld = Withheld::new(named.chain(proxies_with_passwords()).collect());
        let of_environment: Vec<Guarded> =
            withheld.secrets().iter().map(|secret| Guarded::from(secret.as_str())).collect();
        let credentials: Vec<_> = self.accounts.iter().map(|account| account.credentials.clone()).collect();
        let secrets = move || {
            let of_accounts = credentials.iter().flat_map(|credentials| credentials.secrets());
            Secrets::new(of_accounts.chain(of_environment.iter().cloned()).collect())
        };
        Hooks {
            commands,
            about: AboutRun {
                run: run.id.clone(),
                launch: run.launches + 1,
                verb: self.request.verb,
                plan_name: self.paper.terms.name.clone(),
                plan_path: run.plan_path.clone(),
                plan_digest: run.plan_digest.clone(),
                n_rows: run.n_rows,
                journal: std::path::absolute(journal).unwrap_or_else(|_| journal.to_owned()),
            },
            withheld,
            secrets: Box::new(secrets),
        }
    }
}
