//! Bare HTTP server in another process: it takes any PUT for a change and any GET for a look, and answers at once.
//!
//! The stub checks nothing and keeps one byte for each source. Optionally it answers late, stands behind a [`gateway`] that refuses
//! some requests, or refuses the last sources until it is told to stop.

mod gateway;

use std::convert::Infallible;
use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};

use self::gateway::{Gateway, Refusal};
pub(crate) use self::gateway::{Quota, Throttling};
use crate::measure;

/// First argument that makes a process of this program the stub.
pub(crate) const WORD: &str = "stub";

/// Settings of a stub.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Manner {
    /// Number of sources in its list.
    pub(crate) n_sources: usize,
    pub(crate) latency_ms: u64,
    pub(crate) throttling: Option<Throttling>,
    /// Seed of random refusals.
    pub(crate) seed: u64,
    /// First source whose changes are refused as if for wrong credentials, and late, after all others are done.
    pub(crate) refuses_from: Option<usize>,
}

/// Observations of a stub.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Seen {
    /// Changes that were taken.
    pub(crate) n_changes: u64,
    /// Sources with a change.
    pub(crate) n_moved: u64,
    pub(crate) n_reads: u64,
    /// Arrival of each request, in microseconds from the start of the stub, and `true` for one that was taken. Only kept
    /// where some are refused.
    pub(crate) came: Vec<(u64, bool)>,
    /// Start of the stub by the wall clock; the times below count from it.
    pub(crate) began_unix_us: u64,
    pub(crate) first_us: u64,
    pub(crate) last_us: u64,
    pub(crate) first_change_us: u64,
    pub(crate) last_change_us: u64,
    /// Answer to the last look before the first change.
    pub(crate) looked_us: u64,
}

struct Stub {
    manner: Manner,
    began: Instant,
    began_unix_us: u64,
    moved: Vec<AtomicBool>,
    refuses: AtomicBool,
    n_changes: AtomicU64,
    n_reads: AtomicU64,
    any: Span,
    changes: Span,
    looked_us: AtomicU64,
    gateway: Option<Gateway>,
}

/// First and last time of something.
struct Span {
    first_us: AtomicU64,
    last_us: AtomicU64,
}

/// Process of a stub, seen from outside.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Running {
    pub(crate) fn start(manner: &Manner) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([WORD, &serde_json::to_string(manner)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = String::new();
        BufReader::new(child.stdout.take().ok_or("a stub has an output")?).read_line(&mut said)?;
        Ok(Self { child, address: said.trim().parse()? })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the observations since the last call.
    pub(crate) fn seen(&self) -> Result<Seen, Box<dyn Error>> {
        Ok(serde_json::from_slice(&measure::get(self.address, SEEN)?)?)
    }

    /// Makes the stub refuse nothing from now on.
    pub(crate) fn heal(&self) -> Result<(), Box<dyn Error>> {
        measure::get(self.address, HEAL).map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

const SEEN: &str = "/seen";
const HEAL: &str = "/heal";
/// Time that a refusal takes.
const REFUSAL: Duration = Duration::from_millis(500);

/// Serves until the parent process is gone.
pub(crate) fn serve(manner: &str) -> Result<(), Box<dyn Error>> {
    let manner: Manner = serde_json::from_str(manner)?;
    std::thread::spawn(|| {
        // Standard input ends when the process at its other end does.
        _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::abort();
    });
    let moved = (0..manner.n_sources).map(|_| AtomicBool::new(false)).collect();
    let gateway = manner.throttling.clone().map(|throttling| Gateway::new(throttling, manner.seed));
    let stub: &'static Stub = Box::leak(Box::new(Stub {
        manner,
        began: Instant::now(),
        began_unix_us: measure::unix_us(),
        moved,
        refuses: AtomicBool::new(true),
        n_changes: AtomicU64::new(0),
        n_reads: AtomicU64::new(0),
        any: Span::new(),
        changes: Span::new(),
        looked_us: AtomicU64::new(0),
        gateway,
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let service = hyper::service::service_fn(|request| stub.answer(request));
            let serving = hyper::server::conn::http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(serving);
        }
    })
}

type Answer = Response<Full<Bytes>>;

impl Span {
    fn new() -> Self {
        Self { first_us: AtomicU64::new(u64::MAX), last_us: AtomicU64::new(0) }
    }

    fn add(&self, us: u64) {
        self.first_us.fetch_min(us, Ordering::Relaxed);
        self.last_us.fetch_max(us, Ordering::Relaxed);
    }

    fn taken(&self) -> (u64, u64) {
        (self.first_us.swap(u64::MAX, Ordering::Relaxed), self.last_us.swap(0, Ordering::Relaxed))
    }
}

impl Stub {
    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Infallible> {
        match request.uri().path() {
            SEEN => return Ok(answer(StatusCode::OK, self.told())),
            HEAL => {
                self.refuses.store(false, Ordering::Relaxed);
                return Ok(answer(StatusCode::OK, ""));
            }
            _ => (),
        }
        let now_us = self.now_us();
        self.any.add(now_us);
        if let Some(refusal) = self.gateway.as_ref().and_then(|gateway| gateway.refuses(now_us)) {
            return Ok(throttled(refusal));
        }
        if self.manner.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.manner.latency_ms)).await;
        }
        if request.method() == Method::PUT {
            return Ok(self.change(number(request.uri().path()), now_us).await);
        }
        self.n_reads.fetch_add(1, Ordering::Relaxed);
        let seen = match number(request.uri().path()).filter(|n| *n < self.moved.len()) {
            Some(n) => {
                let mut text = String::new();
                self.one(n, &mut text);
                text
            }
            None => self.page(request.uri().query().unwrap_or_default()),
        };
        if self.n_changes.load(Ordering::Relaxed) == 0 {
            self.looked_us.fetch_max(self.now_us(), Ordering::Relaxed);
        }
        Ok(answer(StatusCode::OK, seen))
    }

    async fn change(&self, source: Option<usize>, came_us: u64) -> Answer {
        if source >= self.manner.refuses_from
            && self.manner.refuses_from.is_some()
            && self.refuses.load(Ordering::Relaxed)
        {
            tokio::time::sleep(REFUSAL).await;
            return refused();
        }
        self.changes.add(came_us);
        self.n_changes.fetch_add(1, Ordering::Relaxed);
        if let Some(moved) = source.and_then(|n| self.moved.get(n)) {
            moved.store(true, Ordering::Relaxed);
        }
        answer(StatusCode::OK, "{ }")
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Returns a page of its sources.
    fn page(&self, query: &str) -> String {
        let of =
            |name: &str| query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
        let (offset, limit): (usize, usize) = (of("offset").unwrap_or(0), of("limit").unwrap_or(200));
        let count = self.moved.len();
        let mut text = String::with_capacity(limit * 600);
        _ = write!(text, "{{\"count\":{count},\"source_servers\":[");
        for n in offset..count.min(offset.saturating_add(limit)) {
            text.push_str(if n > offset { "," } else { "" });
            self.one(n, &mut text);
        }
        text.push_str("]}");
        text
    }

    /// Appends one source, in the form of pages and single reads.
    fn one(&self, n: usize, text: &mut String) {
        let state = if self.moved[n].load(Ordering::Relaxed) { "stopped" } else { "syncing" };
        _ = write!(
            text,
            "{{\"id\":\"{}\",\"ip\":\"192.0.2.1\",\"name\":\"web-{n}\",\"hostname\":\"web-{n}\",\
             \"enterprise_project_id\":\"0\",\"add_date\":1763900000000,\"os_type\":\"LINUX\",\"os_version\":\"DEBIAN_12\",\
             \"oem_system\":false,\"state\":\"{state}\",\"connected\":true,\"firmware\":\"BIOS\",\"init_target_server\":{{\"disks\":[]}},\
             \"current_task\":{{\"id\":\"t-{n}\",\"state\":\"RUNNING\",\"speed_limit\":0}},\"checks\":[],\"state_action_time\":1763900000000,\
             \"replicatesize\":107374182400,\"totalsize\":107374182400,\"agent_version\":\"25.1.0\",\"has_tc\":true,\
             \"migration_cycle\":\"syncing\"}}",
            source(n)
        );
    }

    fn told(&self) -> String {
        let ((first_us, last_us), (first_change_us, last_change_us)) = (self.any.taken(), self.changes.taken());
        let seen = Seen {
            n_changes: self.n_changes.swap(0, Ordering::Relaxed),
            n_moved: self.moved.iter().map(|moved| u64::from(moved.load(Ordering::Relaxed))).sum(),
            n_reads: self.n_reads.swap(0, Ordering::Relaxed),
            came: self.gateway.as_ref().map(Gateway::came).unwrap_or_default(),
            began_unix_us: self.began_unix_us,
            first_us,
            last_us,
            first_change_us,
            last_change_us,
            looked_us: self.looked_us.swap(0, Ordering::Relaxed),
        };
        self.moved.iter().for_each(|moved| moved.store(false, Ordering::Relaxed));
        serde_json::to_string(&seen).unwrap_or_default()
    }
}

/// Returns the id of the n-th source.
pub(crate) fn source(n: usize) -> String {
    format!("{n:08x}-5e1f-4c0d-9a3b-{n:012x}")
}

fn number(path: &str) -> Option<usize> {
    let id = path.strip_prefix("/v3/sources/")?;
    usize::from_str_radix(id.get(..8)?, 16).ok()
}

fn answer(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn throttled(refusal: Refusal) -> Answer {
    let figure = refusal.figure.map(|figure| format!(",limit:{figure},time:1 second")).unwrap_or_default();
    let body = format!(
        "{{\"error_msg\":\"The throttling threshold has been reached: policy user over ratelimit{figure}\",\
         \"error_code\":\"APIGW.0308\",\"request_id\":\"5e1f\"}}"
    );
    let mut answer = answer(StatusCode::TOO_MANY_REQUESTS, body);
    if let Some(seconds) = refusal.retry_after_s {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

fn refused() -> Answer {
    let body = "{\"error_msg\":\"Incorrect IAM authentication information\",\"error_code\":\"APIGW.0301\",\"request_id\":\"5e1f\"}";
    answer(StatusCode::UNAUTHORIZED, body)
}
