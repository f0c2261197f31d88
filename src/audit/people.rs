//! People who had a hand in a run, as its journal names them: who launched it, who sealed its plan, who approved it. The audit
//! proves that the journal says so; only a signature proves that it was they.

use std::io;

use jiff::Timestamp;
use serde::Serialize;

use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::plan::paper::Paper;
use crate::plan::sealed::seal::{Approval, Seal};
use crate::report::summary::{LaunchOf, launch_of};
use crate::whoami::Who;
use crate::wording::amounts::count;
use crate::wording::plain::plain;
use crate::wording::printout::Printout;
use crate::wording::times::time;

/// Most launches shown as text; the JSON has all.
const MOST_SHOWN: usize = 20;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct People {
    /// Launches in the order in which they began.
    pub launches: Vec<LaunchOf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Signatory>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Signatory>,
}

/// Name that somebody typed, and the system's account of that person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signatory {
    #[serde(rename = "as")]
    pub name: String,
    pub user: Option<String>,
    pub host: String,
    #[serde(skip_serializing_if = "Who::is_empty")]
    pub who: Who,
    pub at: Timestamp,
    /// Fingerprint of the key that signed; `None` if nothing but the name was given.
    pub key: Option<String>,
}

impl People {
    /// Reads the people of a run in which no fault was found.
    pub(super) fn from_journal(journal: &Journal, run: &RunRecord) -> Result<Self, JournalError> {
        let began = journal.launches_back(run.key)?.into_iter().rev();
        let launches = began.filter_map(|event| launch_of(time(event.at), event.kind)).collect();
        let Some(seal) = Paper::of_settings(&run.settings).unwrap_or_default().seal else {
            return Ok(Self { launches, ..Self::default() });
        };
        let approvals = seal.approvals.iter().map(|approval| Signatory::of_approval(&seal, approval)).collect();
        Ok(Self { launches, sealed: Some(Signatory::of_seal(&seal)), approvals })
    }

    pub(super) fn write_text(&self, out: &mut Printout<'_>) -> io::Result<()> {
        let n_before = self.launches.len().saturating_sub(MOST_SHOWN);
        if n_before > 0 {
            writeln!(out, "  launch  {} before these (--json has all)", count(n_before as u64, "launch"))?;
        }
        for LaunchOf { launch, verb, at, user, host, who, .. } in &self.launches[n_before..] {
            let by = person(user.as_deref(), host, who);
            writeln!(out, "  launch  {launch}: {} at {at}, by {by}", plain(verb))?;
        }
        for (what, signatories) in [("sealed  ", self.sealed.as_slice()), ("approved", &self.approvals)] {
            for Signatory { name, user, host, who, at, key } in signatories {
                let by = person(user.as_deref(), host, who);
                let signed = key.as_ref().map_or("not signed".to_owned(), |key| format!("signed by {key}"));
                writeln!(out, "  {what}  as {} at {}, by {by}, {signed}", plain(name), time(*at))?;
            }
        }
        Ok(())
    }
}

impl Signatory {
    fn of_seal(seal: &Seal) -> Self {
        let Seal { sealed_by, user, who, host, at, .. } = seal.clone();
        Self { name: sealed_by, user, host, who, at, key: None }
    }

    fn of_approval(seal: &Seal, approval: &Approval) -> Self {
        let key = seal.signer_of(approval).and_then(Result::ok).map(|signer| signer.fingerprint);
        let Approval { name, user, host, at, who, .. } = approval.clone();
        Self { name, user, host, who, at, key }
    }
}

fn person(user: Option<&str>, host: &str, who: &Who) -> String {
    let uid = who.uid.map_or(String::new(), |uid| format!(", uid {uid}"));
    plain(&format!("{}{uid}", who.told(user, host)))
}
