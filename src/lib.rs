pub mod exit;
pub mod model;
