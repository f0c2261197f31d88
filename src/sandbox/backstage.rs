//! Control of the sandbox by whoever runs it: the ledger, the true states, and a way to move a server. These requests need no
//! token, are not paced, and leave no entry in the ledger.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use serde::Serialize;

use super::answer::{self, HttpAnswer};
use super::door::segments;
use super::room::Room;
use super::scenario::FaultKind;
use super::topics;
use super::world::World;
use crate::model::state::TargetState;

/// Stream of JSON lines, made piece by piece: a long ledger is never in memory as a whole.
pub(super) struct LineStream {
    room: Arc<Room>,
    what: LineKind,
    next: usize,
    until: usize,
}

#[derive(Clone, Copy)]
pub(super) enum LineKind {
    Requests,
    RequestsWithIds,
    Sources,
}

const LINES_A_PIECE: usize = 500;

/// True state of one source.
#[derive(Serialize)]
struct Truth<'a> {
    id: &'a str,
    copystate: &'a str,
    migrationcycle: &'a str,
    fault: Option<&'static str>,
    changes: u32,
}

impl LineStream {
    pub(super) fn new(room: Arc<Room>, what: LineKind) -> Self {
        let until = {
            let (world, _) = room.world_now();
            match what {
                LineKind::Requests | LineKind::RequestsWithIds => world.ledger.len(),
                LineKind::Sources => world.sources.len(),
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
                LineKind::Requests => world.ledger.write_line(i, false, id, &mut piece),
                LineKind::RequestsWithIds => world.ledger.write_line(i, true, id, &mut piece),
                LineKind::Sources => write_truth(&self.room, &world, i, &mut piece),
            }
        }
        self.next = end;
        Some(piece)
    }

    /// Returns all lines as one text.
    pub(super) fn all(mut self) -> String {
        let mut text = Vec::new();
        while let Some(piece) = self.next_piece() {
            text.extend(piece);
        }
        String::from_utf8(text).expect("JSON is UTF-8")
    }
}

impl Body for LineStream {
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

/// Answer to a control request.
pub(super) enum Backstage {
    Lines(LineKind),
    Answer(HttpAnswer),
}

pub(super) fn visit(room: &Room, method: &str, path: &str, query: Option<&str>, body: &[u8]) -> Backstage {
    let segments = segments(path);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (method, segments.as_slice()) {
        ("GET", ["_sandbox", "ledger"]) if query == Some("ids=1") => Backstage::Lines(LineKind::RequestsWithIds),
        ("GET", ["_sandbox", "ledger"]) => Backstage::Lines(LineKind::Requests),
        ("GET", ["_sandbox", "sources"]) => Backstage::Lines(LineKind::Sources),
        ("GET", ["_sandbox", "messages"]) => {
            let messages = room.messages.lock().expect("nothing panics while it holds the messages");
            Backstage::Answer(HttpAnswer::raw_json(topics::lines(&messages)))
        }
        ("POST", ["_sandbox", "expire"]) => {
            let now_us = room.world_now().1;
            room.door.expire(now_us);
            Backstage::Answer(answer::accepted())
        }
        ("POST", ["_sandbox", "move", id]) => Backstage::Answer(move_source(room, id, body)),
        _ => Backstage::Answer(answer::no_such_api("")),
    }
}

fn move_source(room: &Room, id: &str, body: &[u8]) -> HttpAnswer {
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
