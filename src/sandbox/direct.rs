//! Sandbox without a network: answers inside the process, so that a rehearsal can control the clock.

use std::future::pending;
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::{Request, Response, StatusCode};

use super::answer::WireReply;
use super::room::{Handled, Room};
use crate::transport::{BoxFuture, Inside};

/// Transport whose requests do not leave the process.
pub(crate) struct Direct(pub(super) Arc<Room>);

impl Inside for Direct {
    fn answer(&self, request: Request<Vec<u8>>) -> BoxFuture<'_, Option<Response<Vec<u8>>>> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let Handled { reply, request_id, latency } = self.0.handle(&head, &Bytes::from(body));
            tokio::time::sleep(latency).await;
            let answer = match reply {
                WireReply::Answer(answer) => answer,
                WireReply::Reset => return None,
                WireReply::Silence => pending().await,
            };
            let mut response = Response::new(answer.body);
            *response.status_mut() =
                StatusCode::from_u16(answer.status).expect("scenarios have statuses from 200 to 599");
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
            let more = answer.header.iter().map(|(name, value)| (*name, value.as_str()));
            for (name, value) in more.chain([("x-request-id", request_id.as_str())]) {
                headers.insert(name, HeaderValue::from_str(value).expect("headers of the sandbox are plain ASCII"));
            }
            Some(response)
        })
    }
}
