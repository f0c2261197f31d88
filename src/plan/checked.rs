//! A plan in which no error was found.

use super::digest::PlanDigest;
use super::duplicates::Suspects;
use super::problem::Problems;
use super::sealed::Seal;
use crate::waves::Terms;

/// What a plan without errors comes to.
#[derive(Clone, Debug)]
pub struct Checked {
    pub digest: PlanDigest,
    pub n_rows: u32,
    pub warnings: Problems,
    /// The waves that rows name, in order of first appearance.
    pub waves: Vec<String>,
    /// The accounts that rows name, in order of first appearance.
    pub accounts: Vec<String>,
    /// Some rows name none.
    pub any_without_account: bool,
    /// What it says besides its rows.
    pub terms: Terms,
    /// As it was sealed, if it was.
    pub seal: Option<Seal>,
    pub(super) suspects: Suspects,
}
