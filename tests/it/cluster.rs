//! Runs with an engine: their log is on servers outside, which other machines can go on with.

mod alone;
mod secured;
#[expect(dead_code, reason = "the tests of the crate use more of it")]
#[path = "../../src/cluster/tests/server.rs"]
mod server;

use crate::left_out;

use server::Server;

/// Makes a server that is alone; `None` where it is not installed, in which case the test is left out.
fn server() -> Option<Server> {
    server::program().map(|program| Server::alone(&program))
}

fn url(server: &Server) -> String {
    format!("nats://127.0.0.1:{}", server.port)
}
