//! Hooks of a launch with everything that they are told and not told.

use std::path::Path;

use super::accounts::reach;
use super::inputs::Launch;
use crate::clock::Clock;
use crate::hooks::{AboutRun, Hooks};
use crate::transport::proxy;
use crate::transport::secrets::Secrets;
use crate::transport::secrets::guarded::Guarded;
use crate::verb::reach::Reach;

impl Launch {
    /// Returns the hooks that run; none in a rehearsal.
    pub(super) fn running_hooks(&self, journal: &Path) -> Hooks {
        let commands = match self.clock {
            Clock::OfMachine => self.hooks.clone(),
            Clock::Rehearsed { .. } => Vec::new(),
        };
        let run = &self.run;
        let withheld = self.settings.credentials.withheld.clone();
        // Those that never change while the launch goes on.
        let mut fixed: Vec<Guarded> = withheld.secrets().iter().map(|secret| Guarded::from(secret.as_str())).collect();
        fixed.extend(proxy::passwords(&|name| std::env::var_os(name)));
        fixed.extend(self.notices.secrets().iter().cloned());
        let credentials: Vec<_> = self.accounts.iter().filter_map(|account| account.credentials.clone()).collect();
        let secrets = move || {
            let of_accounts = credentials.iter().flat_map(|credentials| credentials.secrets());
            Secrets::new(of_accounts.chain(fixed.iter().cloned()).collect())
        };
        Hooks {
            commands,
            about: AboutRun {
                run: run.id.clone(),
                launch: run.launches + 1,
                verb: self.request.verb,
                is_trial: reach(&self.accounts) == Reach::ThisProcess,
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
