//! One account at one endpoint: the parts that its calls share, and how it stops.
//!
//! [`state`] is the lane and its parts, each of which keeps its own invariant; whoever stands outside asks it and sees none of
//! them. [`rows`] are those to come and those that are tried, [`sightings`] what reads for others showed of them, [`clearance`]
//! is the question that a change asks before it leaves, [`reading`] how reads are made, [`answers`] what an answer means for
//! all calls, [`authentication`] how credentials are waited for and renewed.

mod answers;
pub(crate) mod authentication;
pub(crate) mod clearance;
pub(crate) mod first_answers;
pub(crate) mod limits;
mod list;
mod maker;
pub(crate) mod mark;
pub(crate) mod news;
mod preflighted;
mod reachability;
pub(crate) mod reading;
mod rows;
mod sightings;
mod state;
mod stopped;
mod streak;
mod to_do;
pub(crate) mod under_way;

pub(crate) use state::{Lane, LaneParts, LaneSettings, RunParts};
