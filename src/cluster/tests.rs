//! Tests of the room against real servers, which are killed, stopped and cut off.

mod claims;
mod faults;
#[path = "../../tests/it/left_out.rs"]
mod left_out;
mod nodes;
mod plan;
mod proxy;
mod restore;
mod server;
mod site;
mod suite;
