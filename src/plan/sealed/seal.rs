//! Seal of a plan and the approvals of it: which of them count, and whether they are as they were given.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::names::look_alike;
use crate::event::run::LanePlace;
use crate::journal::chain::hex;
use crate::ssh::allowed::Allowed;
use crate::ssh::signature::{Purpose, SignatureError, Signer, verify};
use crate::whoami::Who;

/// Approval of the plan as it was sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    #[serde(rename = "as")]
    pub name: String,
    pub user: Option<String>,
    pub host: String,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Who::is_empty")]
    pub who: Who,
    /// Hash over the approval and what it approves: the approval before it, or the seal.
    pub check: String,
    /// SSH signature over [`Seal::signed_text`]; `None` where only a name was typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// Part of a sealed plan that is kept by the run that was begun from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    pub digest: String,
    pub plan_digest: String,
    pub states_digest: String,
    pub sealed_by: String,
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Who::is_empty")]
    pub who: Who,
    pub host: String,
    pub at: Timestamp,
    /// Accounts in which the states were seen.
    pub lanes: Vec<LanePlace>,
    pub approvals: Vec<Approval>,
}

/// Result of counting approvals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApprovalCount {
    pub n: usize,
    /// Names whose approvals do not count, with the reason.
    pub passed_over: Vec<(String, String)>,
}

impl Seal {
    /// Tells whether the name is that of the person who sealed the plan.
    #[must_use]
    pub fn is_sealer(&self, name: &str) -> bool {
        look_alike(&self.sealed_by, name)
    }

    /// Counts the people who approved, each once, however often and under whatever name. When more than one approval is
    /// required, the person who sealed the plan cannot be one of them. With `approvers`, only their signatures count, each key
    /// once.
    #[must_use]
    pub fn counted(&self, required: u32, approvers: Option<&Allowed>, now: Timestamp) -> ApprovalCount {
        let mut counted = ApprovalCount::default();
        let (mut people, mut keys): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
        for approval in &self.approvals {
            match self.counts(approval, required, approvers, now, &people, &keys) {
                Ok(key) => {
                    people.push(&approval.name);
                    keys.extend(key);
                    counted.n += 1;
                }
                Err(why) => counted.passed_over.push((approval.name.clone(), why)),
            }
        }
        counted
    }

    /// Returns the key of an approval that counts in addition to those before it, or the reason for which it does not.
    fn counts(
        &self,
        approval: &Approval,
        required: u32,
        approvers: Option<&Allowed>,
        now: Timestamp,
        people: &[&str],
        keys: &[String],
    ) -> Result<Option<String>, String> {
        let signer = self.signer_of(approval).transpose().map_err(|error| error.to_string())?;
        match (approvers, &signer) {
            (Some(_), None) => return Err("it is not signed".to_owned()),
            (Some(approvers), Some(signer)) => {
                let allowed = approvers.allows(&approval.name, signer, Purpose::Approval, &[approval.at, now]);
                allowed.map_err(|error| error.to_string())?;
            }
            (None, Some(_) | None) => (),
        }
        if required > 1 && self.is_sealer(&approval.name) {
            return Err("who sealed the plan gives none of several approvals".to_owned());
        }
        // Two names with two keys that the operator lists are two people.
        let is_same = |one: &str, other: &str| if approvers.is_some() { one == other } else { look_alike(one, other) };
        if let Some(other) = people.iter().find(|other| is_same(other, &approval.name)) {
            return Err(format!("it is by the same person as that of {other}"));
        }
        match signer {
            Some(signer) if keys.contains(&signer.fingerprint) => {
                Err(format!("its key {} counts already", signer.fingerprint))
            }
            signer => Ok(signer.map(|signer| signer.fingerprint)),
        }
    }

    /// Returns the name of an approval that this name could be mistaken for.
    #[must_use]
    pub fn approved_like(&self, name: &str) -> Option<&str> {
        self.approvals.iter().map(|approval| approval.name.as_str()).find(|known| look_alike(known, name))
    }

    /// Makes an approval that follows the existing ones.
    #[must_use]
    pub fn approval(&self, name: &str, user: Option<String>, who: Who, host: String, at: Timestamp) -> Approval {
        let mut approval =
            Approval { name: name.to_owned(), user, host, at, who, check: String::new(), signature: None };
        approval.check = self.check_of(&approval, self.approvals.len());
        approval
    }

    fn check_of(&self, approval: &Approval, n: usize) -> String {
        let before = n.checked_sub(1).map_or(&self.digest, |last| &self.approvals[last].check);
        let Approval { name, user, host, at, who, check: _, signature: _ } = approval;
        // Earlier versions recorded no `who`: their approvals keep their hash.
        let text = if who.is_empty() {
            serde_json::to_string(&(before, name, user, host, at))
        } else {
            serde_json::to_string(&(before, name, user, host, at, who))
        };
        sha256(text.expect("texts are JSON").as_bytes())
    }

    /// Returns the text that an approver signs: the seal, the plan, the name, and all that is recorded of the approval.
    #[must_use]
    pub fn signed_text(&self, approval: &Approval) -> String {
        let (Self { digest, plan_digest, .. }, Approval { name, at, check, .. }) = (self, approval);
        format!("cutover.approval.v1\nsealed {digest}\nplan {plan_digest}\nas {name}\nat {at}\ncheck {check}\n")
    }

    /// Describes the first part of a seal or its approvals that is not as it was made for the plan of this digest.
    #[must_use]
    pub fn problem(&self, plan_digest: &str) -> Option<String> {
        if self.plan_digest != plan_digest {
            return Some(format!("it seals another plan, {}", self.plan_digest));
        }
        self.approvals.iter().enumerate().find_map(|(n, approval)| self.problem_of(approval, n))
    }

    /// Describes the problem of one approval, which has `n` others before it.
    pub(super) fn problem_of(&self, approval: &Approval, n: usize) -> Option<String> {
        if approval.check != self.check_of(approval, n) {
            return Some(format!("the approval of {:?} is not the one that was given", approval.name));
        }
        let error = self.signer_of(approval)?.err()?;
        Some(format!("the signature of {:?} does not hold: {error}", approval.name))
    }

    /// Verifies the signature of an approval and returns its signer; `None` if it has no signature.
    #[must_use]
    pub fn signer_of(&self, approval: &Approval) -> Option<Result<Signer, SignatureError>> {
        let signature = approval.signature.as_deref()?;
        Some(verify(&self.signed_text(approval), Purpose::Approval, signature))
    }
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::signature::tests::{public_key, signed};

    fn seal(sealed_by: &str) -> Seal {
        Seal {
            digest: "sha256:d".into(),
            plan_digest: "sha256:p".into(),
            states_digest: "sha256:s".into(),
            sealed_by: sealed_by.into(),
            user: None,
            who: Who::default(),
            host: "h".into(),
            at: Timestamp::UNIX_EPOCH,
            lanes: Vec::new(),
            approvals: Vec::new(),
        }
    }

    /// Makes a seal with approvals by these names, each signed with the key of a seed or unsigned.
    fn approved(by: &[(&str, Option<u8>)]) -> Seal {
        let mut seal = seal("ada");
        for (name, key) in by {
            let mut approval = seal.approval(name, None, Who::default(), "h".into(), Timestamp::UNIX_EPOCH);
            approval.signature = key.map(|seed| signed(&seal.signed_text(&approval), Purpose::Approval, seed));
            seal.approvals.push(approval);
        }
        seal
    }

    fn n(seal: &Seal, approvers: Option<&str>) -> usize {
        let keys = |text: &str| {
            let text = text.replace("KEY1", &public_key(1)).replace("KEY2", &public_key(2));
            Allowed::read(&text).unwrap()
        };
        seal.counted(2, approvers.map(keys).as_ref(), Timestamp::now()).n
    }

    #[test]
    fn each_person_counts_once_and_the_sealer_not() {
        assert_eq!(n(&approved(&[("bob", None), ("cy", None)]), None), 2);
        assert_eq!(n(&approved(&[("bob", None), ("B\u{43e}b", None), ("ADA", None)]), None), 1);
        // One key is one person, whatever the names.
        assert_eq!(n(&approved(&[("bob", Some(1)), ("cy", Some(1)), ("dora", Some(2))]), None), 2);
    }

    #[test]
    fn only_signatures_count_where_somebody_says_whose() {
        let two = "bob KEY1\ncy KEY2";
        assert_eq!(n(&approved(&[("bob", Some(1)), ("cy", Some(2))]), Some(two)), 2);
        assert_eq!(n(&approved(&[("bob", None), ("cy", Some(2))]), Some(two)), 1);
        assert_eq!(n(&approved(&[("bob", Some(2)), ("cy", Some(1))]), Some(two)), 0);
        assert_eq!(n(&approved(&[("bob", Some(1)), ("cy", Some(1))]), Some("* KEY1")), 1);
        assert_eq!(n(&approved(&[("bob", Some(1)), ("bob", Some(2))]), Some("bob KEY1\nbob KEY2")), 1);
        assert_eq!(n(&approved(&[("ada", Some(1)), ("cy", Some(2))]), Some("* KEY1\n* KEY2")), 1);
        assert_eq!(n(&approved(&[("bob", Some(1))]), Some("bob valid-before=\"20200101Z\" KEY1")), 0);
        assert_eq!(n(&approved(&[("bob", Some(1))]), Some("bob namespaces=\"git\" KEY1")), 0);
    }

    #[test]
    fn a_signature_is_of_one_approval_of_one_seal() {
        let mut seal = approved(&[("bob", Some(1)), ("cy", Some(2))]);
        let of_the_first = seal.approvals[0].signature.clone();
        seal.approvals[1].signature = of_the_first;
        assert!(seal.signer_of(&seal.approvals[1]).unwrap().is_err());
        let mut other = approved(&[("bob", Some(1))]);
        other.digest = "sha256:other".into();
        assert!(other.signer_of(&other.approvals[0]).unwrap().is_err());
    }
}
