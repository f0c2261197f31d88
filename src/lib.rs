pub mod event;
pub mod exit;
pub mod model;
