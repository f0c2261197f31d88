//! What the sandbox tells those who run it: the ledger, the truth, and a way to move a server. Needs no token, is
//! not paced and leaves no entry.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use serde::Serialize;

use super::answer::{self, Answer};
use super::door::segments;
use super::room::Room;
use super::scenario::FaultKind;
use super::world::World;
use crate::model::TargetState;

/// Lines of JSON, made piece by piece: a long ledger is never in memory as a whole.
pub(super) struct Lines {
    room: Arc<Room>,
    what: Of,
    next: usize,
    until: usize,
}

#[derive(Clone, Copy)]
pub(super) enum Of {
    Requests,
    RequestsWithIds,
    Sources,
}

const LINES_A_PIECE: usize = 500;

/// The truth about one source.
#[derive(Serialize)]
struct Truth<'a> {
    id: &'a str,
    copystate: &'a str,
    migrationcycle: &'a str,
    fault: Option<&'static str>,
    changes: u32,
}

impl Lines {
    pub(super) fn new(room: Arc<Room>, what: Of) -> Self {
        let until = {
            let (world, _) = room.world_now();
            match what {
                Of::Requests | Of::RequestsWithIds => world.ledger.len(),
                Of::Sources => world.sources.len(),
            }
        };
        Self { room, what, next: 0, until }
    }

    fn next_piece(&mut self) -> Option<Vec<u8>> {
        if self.next == self.until {
            return None;
        }
        let end = self.until.min(self.next + LINES_A_PIECE);
        let mut piece = Vec::new();
        let (world, _) = self.room.world_now();
        for i in self.next..end {
            let id = |source| &*world.source(source).id;
            match self.what {
                Of::Requests => world.ledger.write_line(i, false, id, &mut piece),
                Of::RequestsWithIds => world.ledger.write_line(i, true, id, &mut piece),
                Of::Sources => write_truth(&self.room, &world, i, &mut piece),
            }
        }
        self.next = end;
        Some(piece)
    }

    /// All lines as one text.
    pub(super) fn all(mut self) -> String {
        let mut text = Vec::new();
        while let Some(piece) = self.next_piece() {
            text.extend(piece);
        }
        String::from_utf8(text).expect("JSON is UTF-8")
    }
}

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready(self.next_piece().map(|piece| Ok(Frame::data(piece.into()))))
    }
}

fn write_truth(room: &Room, world: &World, i: usize, out: &mut Vec<u8>) {
    let i = u32::try_from(i).expect("an estate has fewer than four billion servers");
    let source = world.source(i);
    let truth = Truth {
        id: &source.id,
        copystate: source.copystate.as_str(),
        migrationcycle: source.migrationcycle.as_str(),
        fault: world.drawn(i, &room.scenario.faults).map(FaultKind::name),
        changes: source.n_changes,
    };
    serde_json::to_writer(&mut *out, &truth).expect("plain data is JSON");
    out.push(b'\n');
}

/// What a path backstage leads to.
pub(super) enum Backstage {
    Lines(Of),
    Answer(Answer),
}

pub(super) fn visit(room: &Room, method: &str, path: &str, query: Option<&str>, body: &[u8]) -> Backstage {
    let segments = segments(path);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (method, segments.as_slice()) {
        ("GET", ["_sandbox", "ledger"]) if query == Some("ids=1") => Backstage::Lines(Of::RequestsWithIds),
        ("GET", ["_sandbox", "ledger"]) => Backstage::Lines(Of::Requests),
        ("GET", ["_sandbox", "sources"]) => Backstage::Lines(Of::Sources),
        ("POST", ["_sandbox", "expire"]) => {
            let now_us = room.world_now().1;
            room.door.expire(now_us);
            Backstage::Answer(answer::accepted())
        }
        ("POST", ["_sandbox", "move", id]) => Backstage::Answer(move_source(room, id, body)),
        _ => Backstage::Answer(answer::no_such_api("")),
    }
}

fn move_source(room: &Room, id: &str, body: &[u8]) -> Answer {
    let Ok(to) = serde_json::from_slice::<TargetState>(body) else {
        return answer::not_json();
    };
    let (mut world, now_us) = room.world_now();
    let Some(i) = world.find(id) else {
        return answer::no_such_source();
    };
    world.move_to(i, &to, now_us);
    answer::accepted()
}
