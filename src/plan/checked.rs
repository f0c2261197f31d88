//! Plan in which no error was found.

use super::duplicates::Suspects;
use super::problem::Problems;
use super::sealed::seal::Seal;
use crate::digest::PlanDigest;
use crate::waves::Terms;

/// Result of checking a plan without errors.
#[derive(Clone, Debug)]
pub struct Checked {
    pub digest: PlanDigest,
    pub n_rows: u32,
    pub warnings: Problems,
    /// Waves that rows name, in order of first appearance.
    pub waves: Vec<String>,
    /// Accounts that rows name, in order of first appearance.
    pub accounts: Vec<String>,
    /// True if some rows name no account.
    pub any_without_account: bool,
    /// Terms besides the rows.
    pub terms: Terms,
    /// Seal of a sealed plan.
    pub seal: Option<Seal>,
    pub(super) suspects: Suspects,
}
