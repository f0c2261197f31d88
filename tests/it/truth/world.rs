//! Endpoint of a truth test: servers with a true history, and a record of each change that came and each look that was given.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::mischief::{self, Answer, Deed, Effect, Glass, Meaning, Reading, Shape, State, Theme, When, Where, state};
use crate::dice::Dice;

/// Returns microseconds since 1970, by the clock with which the journal dates its events.
pub(crate) fn now_us() -> u64 {
    u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// Line of the plan for a source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) copystate: Option<&'static str>,
    pub(crate) cycle: Option<&'static str>,
    pub(crate) expects: Option<State>,
}

impl Wish {
    /// Tells whether the change depends on a look: on the half that it fills in, or on an expected state.
    pub(crate) fn depends(&self) -> bool {
        self.expects.is_some() || self.copystate.is_none() || self.cycle.is_none()
    }
}

/// Words that a look showed, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) copystate: Option<&'static str>,
    pub(crate) cycle: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Beginning,
    /// The n-th change, or a step of it.
    Ours(usize),
    Foreign,
}

/// A true state, with its start in microseconds and its cause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Was {
    pub(crate) from: u64,
    pub(crate) state: State,
    pub(crate) cause: Cause,
}

/// A change that came.
#[derive(Clone, Debug)]
pub(crate) struct Put {
    pub(crate) arrived: u64,
    /// Time at which the answer left; `None` if it was never complete.
    pub(crate) answered: Option<u64>,
    pub(crate) body: Shown,
    pub(crate) found: State,
    pub(crate) deed: Deed,
}

impl Put {
    /// Returns the conclusion that the answer allows; a doubt without a complete answer.
    pub(crate) fn meaning(&self) -> Meaning {
        if self.answered.is_some() { self.deed.answer.meaning() } else { Meaning::Doubt }
    }

    /// Tells whether it counts as sent: the quota did not refuse it.
    pub(crate) fn counts(&self) -> bool {
        self.meaning() != Meaning::Throttled
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    State(Shown),
    /// A 404 of the service itself.
    Absent,
    /// A refusal, or an answer that teaches nothing.
    Nothing,
}

/// An answered read about the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) arrived: u64,
    pub(crate) answered: u64,
    pub(crate) by_id: bool,
    pub(crate) shows: Shows,
}

pub(crate) struct Server {
    pub(crate) id: String,
    pub(crate) wish: Wish,
    pub(crate) truth: Vec<Was>,
    pub(crate) puts: Vec<Put>,
    pub(crate) looks: Vec<Look>,
    coming: Vec<Coming>,
    hand: Option<(When, Where)>,
    n_shown: usize,
    n_reads: u64,
    effect_at: u64,
}

struct Coming {
    at: u64,
    step: Step,
}

enum Step {
    /// One of our changes. `goes_on` is true for a later step of one that began before, which its own states do not hold up.
    Ours {
        put: usize,
        goes_on: bool,
        copystate: Option<&'static str>,
        cycle: Option<&'static str>,
    },
    Foreign(Where),
}

impl Server {
    pub(crate) fn state(&self) -> State {
        self.truth.last().unwrap().state
    }

    /// Returns the true state at a time.
    pub(crate) fn at(&self, us: u64) -> State {
        self.truth.iter().rev().find(|was| was.from <= us).unwrap_or(&self.truth[0]).state
    }

    /// Makes all changes that are due.
    fn pass(&mut self, now: u64) {
        self.coming.sort_by_key(|coming| coming.at);
        while self.coming.first().is_some_and(|coming| coming.at <= now) {
            let Coming { at, step } = self.coming.remove(0);
            let is = self.state();
            let (next, cause) = match step {
                // source: CN api-sms/UpdateCopyState.html (2026-01-27)
                Step::Ours { goes_on: false, .. } if swallows(is.copystate) => continue,
                Step::Ours { put, copystate, cycle, .. } => {
                    self.effect_at = at;
                    let to = state(copystate.unwrap_or(is.copystate), cycle.unwrap_or(is.cycle));
                    (to, Cause::Ours(put))
                }
                Step::Foreign(to) => (self.moved_by_others(to), Cause::Foreign),
            };
            if next != is {
                self.truth.push(Was { from: at, state: next, cause });
            }
        }
    }

    fn moved_by_others(&self, to: Where) -> State {
        let is = self.state();
        match to {
            Where::Elsewhere(state) => state,
            Where::Back => self.truth[0].state,
            Where::OnTarget => state(self.wish.copystate.unwrap_or(is.copystate), self.wish.cycle.unwrap_or(is.cycle)),
            Where::OtherHalf(other) if self.wish.copystate.is_none() => state(other.copystate, is.cycle),
            Where::OtherHalf(other) => state(is.copystate, other.cycle),
        }
    }
}

pub(crate) fn swallows(copystate: &str) -> bool {
    ["unavailable", "stopping", "stopped", "deleting", "finished", "clearing", "clearfailed"].contains(&copystate)
}

pub(crate) struct World {
    seed: u64,
    theme: Theme,
    estate: Mutex<Estate>,
}

pub(crate) struct Estate {
    pub(crate) servers: Vec<Server>,
    by_id: HashMap<String, usize>,
    n_pages: u64,
    is_calm: bool,
}

/// An answer, and its way over the wire.
struct Reply {
    takes_ms: u64,
    way: Way,
    /// Source and number of the change that it answers, if any; and below, the looks that it gives.
    put: Option<(usize, usize)>,
    looks: Vec<(usize, Look)>,
}

enum Way {
    Whole(Vec<u8>),
    CutOff(Vec<u8>),
    Hang,
    Reset,
}

const KIND_PUT: u64 = 1;
const KIND_READ: u64 = 2;
const KIND_PAGE: u64 = 3;
const KIND_HAND: u64 = 4;
const KIND_PLAN: u64 = 5;

const STARTS: &[State] = &[state("syncing", "syncing"), state("cloning", "syncing"), state("replicate", "replicating")];
const TARGETS: &[State] =
    &[state("cutovering", "cutovering"), state("stopped", "syncing"), state("error", "cutovering")];

impl World {
    pub(crate) fn new(seed: u64, n_servers: usize) -> Self {
        let theme = Theme::from_seed(seed);
        let now = now_us();
        let servers: Vec<Server> = (0..n_servers).map(|n| source(seed, theme, n, now)).collect();
        let by_id = servers.iter().enumerate().map(|(n, server)| (server.id.clone(), n)).collect();
        let estate = Estate { servers, by_id, n_pages: 0, is_calm: false };
        Self { seed, theme, estate: Mutex::new(estate) }
    }

    pub(crate) fn estate(&self) -> MutexGuard<'_, Estate> {
        self.estate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all faults: from now on every answer is plain, and nobody else moves anything.
    pub(crate) fn calm(&self) {
        let mut estate = self.estate();
        estate.is_calm = true;
        let now = now_us();
        for server in &mut estate.servers {
            server.pass(now);
            server.coming.retain(|coming| matches!(coming.step, Step::Ours { .. }));
            server.hand = None;
        }
    }

    /// Moves everything that was not sent yet, like somebody else.
    pub(crate) fn move_what_is_unsent(&self) {
        let mut estate = self.estate();
        let now = now_us();
        for (n, server) in estate.servers.iter_mut().enumerate().filter(|(_, server)| server.puts.is_empty()) {
            let to = mischief::elsewhere(&mut Dice::from_decision(&[self.seed, n as u64, KIND_HAND, 1]));
            server.coming.push(Coming { at: now, step: Step::Foreign(Where::Elsewhere(to)) });
            server.pass(now);
        }
    }

    pub(crate) fn n_puts(&self) -> usize {
        self.estate().servers.iter().map(|server| server.puts.len()).sum()
    }

    pub(crate) fn plan(&self) -> String {
        let mut text = String::from("source_id,copystate,migrationcycle,expect_copystate,expect_migrationcycle\n");
        for Server { id, wish, .. } in &self.estate().servers {
            let (copystate, cycle) = (wish.copystate.unwrap_or(""), wish.cycle.unwrap_or(""));
            let expects = wish.expects.unwrap_or(state("", ""));
            writeln!(text, "{id},{copystate},{cycle},{},{}", expects.copystate, expects.cycle).unwrap();
        }
        text
    }

    fn answer(&self, head: &str, body: &[u8]) -> Reply {
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let now = now_us();
        let mut estate = self.estate();
        let rest = path.strip_prefix("/v3/sources").unwrap_or("");
        if method == "GET" && (rest.is_empty() || rest.starts_with('?')) {
            return self.page(&mut estate, now);
        }
        let id = rest.trim_start_matches('/').split('/').next().unwrap_or("");
        let Some(n) = estate.by_id.get(id).copied() else { return not_found() };
        if method == "PUT" { self.put(&mut estate, n, body, now) } else { self.show(&mut estate, n, now) }
    }

    fn put(&self, estate: &mut Estate, n: usize, body: &[u8], now: u64) -> Reply {
        let calm = estate.is_calm;
        let server = &mut estate.servers[n];
        let nth = server.puts.len();
        if let Some((When::Sent { nth: at }, to)) = server.hand
            && at == nth
        {
            server.hand = None;
            server.coming.push(Coming { at: now, step: Step::Foreign(to) });
        }
        server.pass(now);
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let field = |name: &str| sent[name].as_str().map(word);
        let body = Shown { copystate: field("copystate"), cycle: field("migrationcycle") };
        let found = server.state();
        let mut dice = Dice::from_decision(&[self.seed, n as u64, KIND_PUT, nth as u64]);
        let deed = if calm {
            Deed { effect: Effect::In { ms: 0 }, answer: Answer::DONE, takes_ms: 1 }
        } else {
            mischief::deed(self.theme, &mut dice, nth, found != server.truth[0].state)
        };
        server.puts.push(Put { arrived: now, answered: None, body, found, deed });
        let Shown { copystate, cycle } = body;
        let mut comes = |ms: u64, goes_on, copystate, cycle| {
            let step = Step::Ours { put: nth, goes_on, copystate, cycle };
            server.coming.push(Coming { at: now + ms * 1000, step });
        };
        match deed.effect {
            Effect::In { ms } => comes(ms, false, copystate, cycle),
            Effect::ByWayOf { middle, ms } if !swallows(found.copystate) => {
                comes(0, true, Some(middle.copystate), Some(middle.cycle));
                comes(ms, true, copystate, cycle);
            }
            Effect::ByHalves { ms } if !swallows(found.copystate) => {
                comes(0, true, copystate, None);
                comes(ms, true, copystate, cycle);
            }
            Effect::None | Effect::ByWayOf { .. } | Effect::ByHalves { .. } => (),
        }
        if let Some((When::AfterSent { nth: at, ms }, to)) = server.hand
            && at == nth
        {
            server.hand = None;
            server.coming.push(Coming { at: now + ms * 1000, step: Step::Foreign(to) });
        }
        server.pass(now);
        let way = match deed.answer {
            Answer::Says { status, code, shape } => Way::Whole(message(status, &error(status, code, shape), shape)),
            Answer::Hang => Way::Hang,
            Answer::Reset => Way::Reset,
            Answer::CutOff => Way::CutOff(message(200, "{\"error_code\": \"\", \"more\": 1}", Shape::Service)),
        };
        Reply { takes_ms: deed.takes_ms, way, put: Some((n, nth)), looks: Vec::new() }
    }

    fn show(&self, estate: &mut Estate, n: usize, now: u64) -> Reply {
        let calm = estate.is_calm;
        let server = &mut estate.servers[n];
        server.pass(now);
        let mut dice = Dice::from_decision(&[self.seed, n as u64, KIND_READ, server.n_reads]);
        server.n_reads += 1;
        let takes_ms = dice.between(0, 10);
        let look = |shows| vec![(n, Look { arrived: now, answered: 0, by_id: true, shows })];
        if !calm && self.theme.vanishes() && server.effect_at > 0 && now < server.effect_at + 500_000 {
            let way = Way::Whole(message(404, &error(404, Some("SMS.2252"), Shape::Service), Shape::Service));
            return Reply { takes_ms, way, put: None, looks: look(Shows::Absent) };
        }
        let reading = if calm { Reading::Served } else { mischief::reading(self.theme, &mut dice) };
        let mut shows = Shows::Nothing;
        let way = odd(reading).unwrap_or_else(|| {
            let glass = if calm { Glass::Clear } else { mischief::glass(self.theme, &mut dice) };
            let (text, seen) = through(server, glass, now);
            shows = seen;
            Way::Whole(message(200, &text, Shape::Service))
        });
        Reply { takes_ms, way, put: None, looks: look(shows) }
    }

    fn page(&self, estate: &mut Estate, now: u64) -> Reply {
        let calm = estate.is_calm;
        let mut dice = Dice::from_decision(&[self.seed, KIND_PAGE, estate.n_pages]);
        estate.n_pages += 1;
        let takes_ms = dice.between(0, 20);
        let reading = if calm { Reading::Served } else { mischief::reading(self.theme, &mut dice) };
        let mut looks = Vec::new();
        let way = odd(reading).unwrap_or_else(|| {
            let mut text = format!("{{\"count\":{},\"source_servers\":[", estate.servers.len());
            let left_out = if calm { 0 } else { mischief::leaves_out(self.theme) };
            let mut any = false;
            for (n, server) in estate.servers.iter_mut().enumerate() {
                server.pass(now);
                if dice.percent(left_out) {
                    continue;
                }
                let glass = if calm { Glass::Clear } else { mischief::glass(self.theme, &mut dice) };
                let (one, shows) = through(server, glass, now);
                text.push_str(if any { "," } else { "" });
                text.push_str(&one);
                any = true;
                looks.push((n, Look { arrived: now, answered: 0, by_id: false, shows }));
            }
            text.push_str("]}");
            Way::Whole(message(200, &text, Shape::Service))
        });
        Reply { takes_ms, way, put: None, looks }
    }

    /// Records an answer as it leaves.
    fn leaves(&self, put: Option<(usize, usize)>, looks: Vec<(usize, Look)>) {
        let mut estate = self.estate();
        let now = now_us();
        if let Some((n, nth)) = put {
            estate.servers[n].puts[nth].answered = Some(now);
        }
        for (n, look) in looks {
            let server = &mut estate.servers[n];
            server.looks.push(Look { answered: now, ..look });
            if matches!(look.shows, Shows::State(_)) {
                if let Some((When::Shown { nth, ms }, to)) = server.hand
                    && nth == server.n_shown
                {
                    server.hand = None;
                    server.coming.push(Coming { at: now + ms * 1000, step: Step::Foreign(to) });
                }
                server.n_shown += 1;
            }
        }
    }
}

/// Returns the n-th source of a seed: its state, and what the plan wants.
fn source(seed: u64, theme: Theme, n: usize, now: u64) -> Server {
    let mut dice = Dice::from_decision(&[seed, n as u64, KIND_PLAN]);
    let (start, target) = (dice.one_of(STARTS), dice.one_of(TARGETS));
    let whole = Wish { copystate: Some(target.copystate), cycle: Some(target.cycle), expects: None };
    let (start, wish) = if dice.percent(theme.halves()) {
        match dice.between(0, 2) {
            0 => (state("syncing", "syncing"), Wish { copystate: Some("stopped"), cycle: None, expects: None }),
            1 => (state("error", "syncing"), Wish { copystate: None, cycle: Some("cutovering"), expects: None }),
            _ => (start, Wish { expects: Some(start), ..whole }),
        }
    } else {
        // Some are on target already.
        (if dice.percent(5) { target } else { start }, whole)
    };
    let hand = mischief::hand(theme, &mut Dice::from_decision(&[seed, n as u64, KIND_HAND]));
    Server {
        id: format!("vm-{n:05}"),
        wish,
        truth: vec![Was { from: now, state: start, cause: Cause::Beginning }],
        puts: Vec::new(),
        looks: Vec::new(),
        coming: Vec::new(),
        hand,
        n_shown: 0,
        n_reads: 0,
        effect_at: 0,
    }
}

/// Returns a static text with this word; known words are found in any case.
fn word(text: &str) -> &'static str {
    const WORDS: &[&str] = &[
        "syncing",
        "cloning",
        "replicate",
        "replicating",
        "cutovering",
        "stopped",
        "error",
        "premiged",
        "setting",
        "waiting",
        "premigready",
        "clearing",
        "cutovered",
        "stopping",
        "skipping",
    ];
    WORDS.iter().find(|word| word.eq_ignore_ascii_case(text)).copied().unwrap_or_else(|| text.to_owned().leak())
}

/// Returns a source as a read shows it.
fn through(server: &Server, glass: Glass, now: u64) -> (String, Shows) {
    let is = match glass {
        Glass::Stale { ms } => server.at(now.saturating_sub(ms * 1000)),
        Glass::Clear | Glass::Empty { .. } | Glass::Capitals | Glass::WithoutId | Glass::OfAnother => server.state(),
    };
    let mut shown = Shown { copystate: Some(is.copystate), cycle: Some(is.cycle) };
    let mut fields = [
        ("id", Some(format!("\"{}\"", server.id))),
        ("state", Some(format!("\"{}\"", is.copystate))),
        ("migration_cycle", Some(format!("\"{}\"", is.cycle))),
        ("name", Some(format!("\"web-{}\"", server.id))),
        ("connected", Some("true".to_owned())),
    ];
    let mut is_about_it = true;
    match glass {
        Glass::Clear | Glass::Stale { .. } => (),
        Glass::Capitals => {
            fields[1].1 = fields[1].1.take().map(|text| text.to_uppercase());
            fields[2].1 = fields[2].1.take().map(|text| text.to_uppercase());
        }
        Glass::WithoutId => {
            fields[0].1 = None;
            is_about_it = false;
        }
        Glass::OfAnother => {
            fields[0].1 = Some("\"vm-99999\"".to_owned());
            is_about_it = false;
        }
        Glass::Empty { copystate, cycle, as_json } => {
            let nothing = || as_json.map(str::to_owned);
            if copystate {
                fields[1].1 = nothing();
                shown.copystate = None;
            }
            if cycle {
                fields[2].1 = nothing();
                shown.cycle = None;
            }
        }
    }
    let fields: Vec<String> =
        fields.into_iter().filter_map(|(name, json)| Some(format!("\"{name}\":{}", json?))).collect();
    (format!("{{{}}}", fields.join(",")), if is_about_it { Shows::State(shown) } else { Shows::Nothing })
}

/// Returns the fault of a read that shows nothing; `None` for any other read.
fn odd(reading: Reading) -> Option<Way> {
    match reading {
        Reading::Served => None,
        Reading::Says { status, shape } => Some(Way::Whole(message(status, &error(status, None, shape), shape))),
        Reading::Blank => Some(Way::Whole(message(200, "{}", Shape::Service))),
        Reading::Hang => Some(Way::Hang),
        Reading::Reset => Some(Way::Reset),
    }
}

fn not_found() -> Reply {
    let way = Way::Whole(message(404, "{}", Shape::Service));
    Reply { takes_ms: 0, way, put: None, looks: Vec::new() }
}

/// Returns the body of an error.
fn error(status: u16, code: Option<&str>, shape: Shape) -> String {
    // With the figure, so that the test does not become one of the pace.
    let is_throttled = status == 429 || code.is_some_and(|code| code.ends_with(".0308"));
    let text = if is_throttled {
        "The throttling threshold has been reached: policy user over ratelimit,limit:60,time:1 second"
    } else {
        "something is said"
    };
    let Some(code) = code else {
        return match shape {
            Shape::Html => {
                "<!DOCTYPE html><html><head><title>Log in</title></head><body>Log in</body></html>".to_owned()
            }
            Shape::Nothing => String::new(),
            _ if status < 300 => "{ }".to_owned(),
            _ => format!("{{\"error_msg\":\"{text}\"}}"),
        };
    };
    match shape {
        Shape::Service => format!("{{\"error_code\":\"{code}\",\"error_msg\":\"{text}\",\"request_id\":\"5e1f\"}}"),
        Shape::Nested => format!("{{\"error\":{{\"code\":\"{code}\",\"message\":\"{text}\"}}}}"),
        Shape::Camel => format!("{{\"errorCode\":\"{code}\",\"errorMsg\":\"{text}\"}}"),
        Shape::Detailed => format!(
            "{{\"error_code\":\"{code}\",\"error_msg\":\"{text}\",\"encoded_authorization_message\":\"eyJ\",\
             \"details\":[{{\"error_code\":\"{code}\",\"error_msg\":\"more of it\"}}]}}"
        ),
        Shape::Text => format!("{code}: {text}"),
        Shape::Html => format!("<html><head><title>{status}</title></head><body>{code} {text}</body></html>"),
        Shape::Nothing => String::new(),
    }
}

fn message(status: u16, body: &str, shape: Shape) -> Vec<u8> {
    let kind = match shape {
        Shape::Html => "text/html; charset=utf-8",
        Shape::Text => "text/plain",
        Shape::Service | Shape::Nested | Shape::Camel | Shape::Detailed | Shape::Nothing => "application/json",
    };
    let more = match status {
        429 => "retry-after: 1\r\n",
        300..400 => "location: https://login.example.com/?back=1\r\n",
        _ => "",
    };
    format!("HTTP/1.1 {status} Said\r\ncontent-type: {kind}\r\n{more}content-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// Serves on a port of its own for as long as the runtime lives, and returns its address.
pub(crate) fn serve(world: &Arc<World>, runtime: &tokio::runtime::Handle) -> String {
    let world = Arc::clone(world);
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                _ = stream.set_nodelay(true);
                tokio::spawn(converse(Arc::clone(&world), stream));
            }
        });
        url
    })
}

async fn converse(world: Arc<World>, mut stream: tokio::net::TcpStream) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut came: Vec<u8> = Vec::new();
    loop {
        let (head, body) = loop {
            if let Some(request) = request(&mut came) {
                break request;
            }
            match stream.read_buf(&mut came).await {
                Ok(0) | Err(_) => return,
                Ok(_) => (),
            }
        };
        let Reply { takes_ms, way, put, looks } = world.answer(&head, &body);
        tokio::time::sleep(Duration::from_millis(takes_ms)).await;
        match way {
            Way::Whole(bytes) => {
                world.leaves(put, looks);
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Way::CutOff(bytes) => {
                _ = stream.write_all(&bytes[..bytes.len() - 7]).await;
                return;
            }
            Way::Hang => {
                // Kept open until the client gives up.
                _ = tokio::time::timeout(Duration::from_secs(20), stream.read_u8()).await;
                return;
            }
            Way::Reset => {
                _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                return;
            }
        }
    }
}

/// Returns head and body of the next request, once it is complete.
fn request(came: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let end = came.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&came[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let whole = end + length.unwrap_or(0_usize);
    (came.len() >= whole).then(|| {
        let body = came[end..whole].to_vec();
        came.drain(..whole);
        (head, body)
    })
}
