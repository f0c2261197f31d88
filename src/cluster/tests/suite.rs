//! The rules of every log, kept by this one.

use async_nats::jetstream;

use super::server::{Server, program};
use super::site::Site;
use crate::log::memory::LogLine;
use crate::log::suite::{Subject, SuiteWriter, keeps_the_rules};

struct OfStream {
    site: Site,
    jetstream: jetstream::Context,
    _server: Server,
}

impl Subject for OfStream {
    fn new() -> Option<Self> {
        let server = Server::alone(&program()?);
        let site = Site::new(1);
        let jetstream = site.connect(&[server.port]);
        Some(Self { site, jetstream, _server: server })
    }

    fn writer(&self) -> SuiteWriter {
        self.site.writer(&self.jetstream)
    }

    fn lines(&self) -> Vec<LogLine> {
        self.site.lines(&self.jetstream)
    }
}

keeps_the_rules!(stream: super::OfStream);
