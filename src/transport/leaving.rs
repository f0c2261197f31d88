//! Bodies of requests that leave in time or not at all.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};

use crate::clock::since_boot;

/// Body that is given out until a time since the machine was started. The library asks for it once it has a connection, and before it writes
/// the first byte of the request: whoever was stopped while it connected, or waited for a connection, writes nothing when it wakes.
///
/// source: hyper, `proto/h1/dispatch.rs` (`poll_write` buffers the head, and polls the body before anything is flushed)
pub(super) struct InTime {
    body: Option<Bytes>,
    leaves_by: Duration,
}

/// Time is up, and no byte has left.
#[derive(Debug, thiserror::Error)]
#[error("the time in which it had to leave is over")]
pub(super) struct TooLate;

impl InTime {
    pub(super) fn new(body: Bytes, leaves_by: Duration) -> Self {
        Self { body: Some(body), leaves_by }
    }
}

impl Body for InTime {
    type Data = Bytes;
    type Error = TooLate;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, TooLate>>> {
        if since_boot() > self.leaves_by {
            return Poll::Ready(Some(Err(TooLate)));
        }
        Poll::Ready(self.body.take().map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, |body| body.len() as u64))
    }
}
