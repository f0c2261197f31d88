//! Runs with an engine: their log is on servers outside, which other machines can go on with. A host is a folder with a journal, and the
//! service that all of them reach has a ledger of what came.
//!
//! `CUTOVER_LONG=20` plays as many rounds of whatever comes at random; without it, there are few.

mod alone;
mod asked;
mod away;
mod collect;
mod hosts;
mod kills;
mod leads;
mod nodes;
#[expect(dead_code, reason = "the tests of the crate use more of it")]
#[path = "../../src/cluster/tests/proxy.rs"]
mod proxy;
mod restores;
mod secured;
#[path = "../../src/cluster/tests/server.rs"]
mod server;
mod slots;
mod stalls;
mod stops;
mod wire;

use crate::left_out;

use server::Server;

/// Makes a server that is alone; `None` where it is not installed, in which case the test is left out.
fn server() -> Option<Server> {
    server::program().map(|program| Server::alone(&program))
}

fn url(server: &Server) -> String {
    format!("nats://127.0.0.1:{}", server.port)
}

/// Returns the number of rounds of a test: that of the environment, or this.
fn n_rounds(unless_named: u64) -> u64 {
    match std::env::var("CUTOVER_LONG") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("`{text}` is no number of rounds")),
        Err(_) => unless_named,
    }
}
