pub mod event;
pub mod exit;
pub mod journal;
pub mod ledger;
pub mod model;
