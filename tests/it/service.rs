//! Service made up by a test: its answer is a function of the request and of the requests before it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lab::home::Lab;
use crate::lab::launch::{Ended, Launch};

pub(crate) const OLD: (&str, &str) = ("syncing", "syncing");
pub(crate) const TARGET: (&str, &str) = ("cutovering", "cutovering");

/// Request for one source; pages are made of the answers of `show` for each source.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Asked {
    Change,
    Show,
    List,
}

/// True state of a server, and the requests for it.
#[derive(Clone)]
pub(crate) struct Server {
    is: (String, String),
    pub(crate) n_changes: u32,
    pub(crate) n_looks: u32,
    /// Looks since the last change.
    pub(crate) n_looks_since: u32,
    pub(crate) changed_at: Option<Instant>,
}

impl Server {
    pub(crate) fn is_now(&mut self, state: (&str, &str)) {
        self.is = (state.0.to_owned(), state.1.to_owned());
    }

    pub(crate) fn body(&self, id: &str) -> Value {
        json!({"id": id, "state": self.is.0, "migration_cycle": self.is.1})
    }

    fn is_looked_at(&mut self) {
        self.n_looks += 1;
        self.n_looks_since += 1;
    }

    pub(crate) fn changed_within(&self, limit: Duration) -> bool {
        self.changed_at.is_some_and(|at| at.elapsed() < limit)
    }
}

/// Answer for one source.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) retry_after_s: Option<u64>,
    /// Time until it arrives. Other requests are answered meanwhile.
    pub(crate) takes: Duration,
}

impl From<(u16, Value)> for Reply {
    fn from((status, body): (u16, Value)) -> Self {
        Self { status, body, retry_after_s: None, takes: Duration::ZERO }
    }
}

impl Reply {
    /// Makes a 429 that asks to wait this long, and says nothing else.
    pub(crate) fn throttled(retry_after_s: u64) -> Self {
        Self { retry_after_s: Some(retry_after_s), ..(429, json!({})).into() }
    }
}

/// Answers for one source each. A change is counted before the script is asked. A page has the sources with an answer of 200,
/// and is refused as a whole by any answer other than 200 and 404.
type Script = dyn Fn(&mut Server, &str, Asked) -> Reply + Send + Sync;

/// Answers like a service without faults.
pub(crate) fn well(server: &mut Server, id: &str, asked: Asked) -> (u16, Value) {
    if asked == Asked::Change {
        server.is_now(TARGET);
    }
    (200, if asked == Asked::Change { json!({}) } else { server.body(id) })
}

pub(crate) struct Service {
    pub(crate) url: String,
    servers: Arc<Mutex<BTreeMap<String, Server>>>,
}

impl Service {
    pub(crate) fn start<R: Into<Reply>>(
        ids: &[&str],
        script: impl Fn(&mut Server, &str, Asked) -> R + Send + Sync + 'static,
    ) -> Self {
        let server =
            Server { is: (OLD.0.into(), OLD.1.into()), n_changes: 0, n_looks: 0, n_looks_since: 0, changed_at: None };
        let servers = ids.iter().map(|id| ((*id).to_owned(), server.clone())).collect();
        let servers = Arc::new(Mutex::new(servers));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (of_all, script): (_, Arc<Script>) = (
            Arc::clone(&servers),
            Arc::new(move |server: &mut Server, id: &str, asked| script(server, id, asked).into()),
        );
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (servers, script) = (Arc::clone(&of_all), Arc::clone(&script));
                std::thread::spawn(move || serve(&stream, &servers, &*script));
            }
        });
        Self { url, servers }
    }

    pub(crate) fn server(&self, id: &str) -> Server {
        self.servers.lock().unwrap()[id].clone()
    }
}

fn serve(stream: &TcpStream, servers: &Mutex<BTreeMap<String, Server>>, script: &Script) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let (method, path) = line.split_once(' ')?;
        let path = path.split([' ', '?']).next()?.to_owned();
        let is_change = method == "PUT";
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            if header.trim().is_empty() {
                break;
            }
            if let Some(of_body) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = of_body.trim().parse().ok()?;
            }
        }
        reader.read_exact(&mut vec![0; length]).ok()?;
        let Reply { status, body, retry_after_s, takes } =
            answer(&path, is_change, &mut servers.lock().unwrap(), script);
        std::thread::sleep(takes);
        let body = body.to_string();
        let wait = retry_after_s.map_or_else(String::new, |wait| format!("retry-after: {wait}\r\n"));
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{wait}content-length: {length}\r\n\r\n");
        (&mut &*stream).write_all((head + &body).as_bytes()).ok()?;
    }
}

fn answer(path: &str, is_change: bool, servers: &mut BTreeMap<String, Server>, script: &Script) -> Reply {
    let id = path.trim_start_matches("/v3/sources").trim_start_matches('/').split('/').next().unwrap_or_default();
    if id.is_empty() {
        let shown = servers.iter_mut().map(|(id, server)| {
            server.is_looked_at();
            script(server, id, Asked::List)
        });
        let (shown, left_out): (Vec<Reply>, Vec<Reply>) = shown.partition(|reply| reply.status == 200);
        if let Some(refusal) = left_out.into_iter().find(|reply| reply.status != 404) {
            return refusal;
        }
        let shown: Vec<Value> = shown.into_iter().map(|reply| reply.body).collect();
        return (200, json!({"count": servers.len(), "source_servers": shown})).into();
    }
    let Some(server) = servers.get_mut(id) else { return (404, json!({})).into() };
    if is_change {
        server.n_changes += 1;
        server.n_looks_since = 0;
        server.changed_at = Some(Instant::now());
        script(server, id, Asked::Change)
    } else {
        server.is_looked_at();
        script(server, id, Asked::Show)
    }
}

/// A run at such a service: all rows of the plan go to the target.
pub(crate) struct Night {
    pub(crate) lab: Lab,
    pub(crate) service: Service,
}

impl Night {
    pub(crate) fn serving<R: Into<Reply>>(
        ids: &[&str],
        script: impl Fn(&mut Server, &str, Asked) -> R + Send + Sync + 'static,
    ) -> Self {
        let night = Self { lab: Lab::new(), service: Service::start(ids, script) };
        night.plan("plan.csv", ids);
        night
    }

    pub(crate) fn plan(&self, name: &str, ids: &[&str]) {
        let mut plan = "source_id,copystate,migrationcycle".to_owned();
        for id in ids {
            write!(plan, "\n{id},{},{}", TARGET.0, TARGET.1).unwrap();
        }
        self.lab.write(name, &plan);
    }

    pub(crate) fn launch(&self, args: &[&str]) -> Ended {
        self.launch_at("off", args)
    }

    pub(crate) fn launch_at(&self, rate: &str, args: &[&str]) -> Ended {
        let at = ["--endpoint", &self.service.url, "--yes", "--rate", rate, "--no-progress"];
        let quick = ["--verify-timeout", "3s"];
        Launch::start(self.lab.command(&[args, &at, &quick].concat())).end()
    }

    #[track_caller]
    pub(crate) fn ends(&self, id: &str, verdict: &str, n_changes: u32) -> String {
        let row = self.lab.journal().ends_in(id, verdict);
        assert_eq!(self.service.server(id).n_changes, n_changes, "changes of {id}");
        row.reason
    }

    /// Returns the time between the last changes of these rows, from the first to the last, by the service's clock.
    pub(crate) fn took(&self, ids: &[&str]) -> Duration {
        let changed = |id: &&str| self.service.server(id).changed_at.expect("it was changed");
        let first = ids.iter().map(changed).min().unwrap();
        ids.iter().map(changed).max().unwrap() - first
    }
}
