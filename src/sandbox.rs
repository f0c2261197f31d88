//! Sandbox: a loopback server that speaks the SMS API as documented, with its state machine, quotas, error bodies and faults.
//!
//! The whole product can be tried against it without an account, and every way in which a request can end can be brought about.
//! Left out is the work that the service does inside: `changestate` edits a record here, as the documentation has it, and moves no
//! server.
//!
//! A request goes through `wire` (connections, resets), `room` (gate, fault, rules, ledger), `rules` (the documentation of a
//! change), `world` (the servers) and back. `/_sandbox/…` is for whoever runs it: the ledger of requests (`GET
//! /_sandbox/ledger`), the true states (`GET /_sandbox/sources`), the messages to topics of the notification service (`GET
//! /_sandbox/messages`), a move of a server (`POST /_sandbox/move/{id}`), and a call that voids every token issued so far (`POST
//! /_sandbox/expire`).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

mod answer;
mod backstage;
mod dice;
pub(crate) mod direct;
mod door;
pub mod estate;
mod ledger;
mod listing;
mod quota;
mod room;
mod rules;
pub mod scenario;
pub mod signature;
mod text;
mod topics;
mod wire;
mod world;

use backstage::{LineKind, LineStream};
use door::AccessControl;
use estate::Seeded;
use room::Room;
use scenario::Scenario;
use signature::KeyPair;
use world::World;

/// Settings of a sandbox.
#[derive(Debug)]
pub struct Config {
    pub estate: Vec<Seeded>,
    pub scenario: Scenario,
    pub seed: u64,
    /// Port to listen on; 0 for any that is free.
    pub port: u16,
    /// Ready token, and the password with which `POST /v3/auth/tokens` issues a fresh one.
    pub token: Option<SecretString>,
    /// Key pair whose signatures are accepted. Without token and keys, every request is let in.
    pub keys: Option<KeyPair>,
    /// Project of token and keys: a request that names another is refused.
    pub project: Option<String>,
}

/// A sandbox that serves until it is stopped or dropped.
pub struct Sandbox {
    address: SocketAddr,
    room: Arc<Room>,
    serving: JoinHandle<()>,
}

/// Opens a sandbox on the loopback address.
pub async fn start(config: Config) -> io::Result<Sandbox> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).await?;
    let address = listener.local_addr()?;
    let room = room(config);
    let serving = tokio::spawn(wire::serve(listener, Arc::clone(&room)));
    Ok(Sandbox { address, room, serving })
}

/// Makes a sandbox that answers only requests from inside this process.
pub(crate) fn direct(config: Config) -> direct::Direct {
    direct::Direct(room(config))
}

fn room(config: Config) -> Arc<Room> {
    let Config { estate, scenario, seed, port: _, token, keys, project } = config;
    let started_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    let world = World::new(estate, &scenario, seed, started_ms);
    let lives_us = scenario.token_lives_us;
    let door = AccessControl {
        token,
        keys,
        project,
        lives_us,
        seed,
        lock: Mutex::default(),
        user: Mutex::default(),
        void_us: 0.into(),
    };
    Arc::new(Room {
        started: Instant::now(),
        scenario,
        seed,
        door,
        world: Mutex::new(world),
        messages: Mutex::default(),
    })
}

impl Sandbox {
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns every request so far, one line of JSON each, like `GET /_sandbox/ledger`.
    #[must_use]
    pub fn ledger(&self) -> String {
        LineStream::new(Arc::clone(&self.room), LineKind::Requests).all()
    }

    /// Returns the true state of every source, one line of JSON each, like `GET /_sandbox/sources`.
    #[must_use]
    pub fn sources(&self) -> String {
        LineStream::new(Arc::clone(&self.room), LineKind::Sources).all()
    }

    /// Closes every connection and frees the port.
    pub async fn stop(mut self) {
        self.serving.abort();
        _ = (&mut self.serving).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[cfg(test)]
mod tests;
