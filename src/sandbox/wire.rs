//! Connections, each accepted by hand, so that one can be reset without a byte of answer.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::answer::{HttpAnswer, WireReply};
use super::backstage::{self, Backstage, LineStream};
use super::room::{Handled, Room};

type Payload = Either<Full<Bytes>, LineStream>;

/// Most bytes of a body that are read, far above the longest valid one; a longer body is refused as too large.
const MOST_READ: usize = 1 << 20;

/// Serves until it is aborted, which also ends the connections.
pub(super) async fn serve(listener: TcpListener, room: Arc<Room>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => _ = connections.spawn(talk(stream, Arc::clone(&room))),
                // Out of file descriptors, until a connection ends.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => (),
        }
    }
}

/// Error that ends the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
struct Reset;

async fn talk(stream: TcpStream, room: Arc<Room>) {
    _ = stream.set_nodelay(true);
    let service = service_fn(|request| respond(Arc::clone(&room), request));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if (&mut connection).await.is_err() {
        // A socket that is dropped with unsent data discarded sends RST instead of FIN.
        let stream = connection.into_parts().io.into_inner();
        _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    }
}

async fn respond(room: Arc<Room>, request: Request<Incoming>) -> Result<Response<Payload>, Reset> {
    let (head, body) = request.into_parts();
    let body = whole(body).await?;
    if head.uri.path().starts_with("/_sandbox/") {
        return Ok(backstage_response(room, &head, &body));
    }
    let Handled { reply, request_id, latency } = room.handle(&head, &body);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    match reply {
        WireReply::Answer(answer) => Ok(response(answer, Some(&request_id))),
        WireReply::Reset => Err(Reset),
        WireReply::Silence => pending().await,
    }
}

/// Reads the whole body. A too long one is replaced by a body that is refused for its length; a broken one ends the connection.
async fn whole(body: Incoming) -> Result<Bytes, Reset> {
    match Limited::new(body, MOST_READ).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Ok(Bytes::from(vec![b' '; MOST_READ])),
        Err(_) => Err(Reset),
    }
}

fn backstage_response(room: Arc<Room>, head: &Parts, body: &[u8]) -> Response<Payload> {
    match backstage::visit(&room, head.method.as_str(), head.uri.path(), head.uri.query(), body) {
        Backstage::Answer(answer) => response(answer, None),
        Backstage::Lines(what) => {
            let mut response = Response::new(Either::Right(LineStream::new(room, what)));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
            response
        }
    }
}

fn response(answer: HttpAnswer, request_id: Option<&str>) -> Response<Payload> {
    let mut response = Response::new(Either::Left(Full::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).expect("scenarios have statuses from 200 to 599");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    let more = answer.header.as_ref().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in more.into_iter().chain(request_id.map(|id| ("x-request-id", id))) {
        headers.insert(name, HeaderValue::from_str(value).expect("headers of the sandbox are plain ASCII"));
    }
    response
}
