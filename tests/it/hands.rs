//! A service that shows and says the wrong thing at the wrong moment, as real ones do: nothing is settled by it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lab::{Ended, Lab, Launch, shared};

const OLD: (&str, &str) = ("syncing", "syncing");
const TARGET: (&str, &str) = ("cutovering", "cutovering");

/// One request for one source; pages are made of what `show` gives of each.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    Change,
    Show,
    List,
}

/// A server as it truly is, and what was asked of it.
#[derive(Clone)]
struct Server {
    is: (String, String),
    n_changes: u32,
    n_looks: u32,
    changed_at: Option<Instant>,
}

impl Server {
    fn is_now(&mut self, state: (&str, &str)) {
        self.is = (state.0.to_owned(), state.1.to_owned());
    }

    fn body(&self, id: &str) -> Value {
        json!({"id": id, "state": self.is.0, "migration_cycle": self.is.1})
    }

    fn changed_within(&self, limit: Duration) -> bool {
        self.changed_at.is_some_and(|at| at.elapsed() < limit)
    }
}

/// Status and body for one source. A change is counted before it is asked.
type Script = dyn Fn(&mut Server, &str, Asked) -> (u16, Value) + Send + Sync;

/// Answer of a service without any trouble.
fn well(server: &mut Server, id: &str, asked: Asked) -> (u16, Value) {
    if asked == Asked::Change {
        server.is_now(TARGET);
    }
    (200, if asked == Asked::Change { json!({}) } else { server.body(id) })
}

struct Service {
    url: String,
    servers: Arc<Mutex<BTreeMap<String, Server>>>,
}

impl Service {
    fn of(ids: &[&str], script: impl Fn(&mut Server, &str, Asked) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let server = Server { is: (OLD.0.into(), OLD.1.into()), n_changes: 0, n_looks: 0, changed_at: None };
        let servers = ids.iter().map(|id| ((*id).to_owned(), server.clone())).collect();
        let servers = Arc::new(Mutex::new(servers));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (of_all, script): (_, Arc<Script>) = (Arc::clone(&servers), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (servers, script) = (Arc::clone(&of_all), Arc::clone(&script));
                std::thread::spawn(move || serve(&stream, &servers, &*script));
            }
        });
        Self { url, servers }
    }

    fn server(&self, id: &str) -> Server {
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
        let (status, body) = answer(&path, is_change, &mut servers.lock().unwrap(), script);
        let body = body.to_string();
        let head =
            format!("HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        (&mut &*stream).write_all((head + &body).as_bytes()).ok()?;
    }
}

fn answer(path: &str, is_change: bool, servers: &mut BTreeMap<String, Server>, script: &Script) -> (u16, Value) {
    let id = path.trim_start_matches("/v3/sources").trim_start_matches('/').split('/').next().unwrap_or_default();
    if id.is_empty() {
        let shown = servers.iter_mut().map(|(id, server)| {
            server.n_looks += 1;
            script(server, id, Asked::List)
        });
        let shown: Vec<Value> = shown.filter(|(status, _)| *status == 200).map(|(_, body)| body).collect();
        return (200, json!({"count": servers.len(), "source_servers": shown}));
    }
    let Some(server) = servers.get_mut(id) else { return (404, json!({})) };
    if is_change {
        server.n_changes += 1;
        server.changed_at = Some(Instant::now());
        script(server, id, Asked::Change)
    } else {
        server.n_looks += 1;
        script(server, id, Asked::Show)
    }
}

/// A night at a service: the plan's rows all go to the target.
struct Night {
    lab: Lab,
    service: Service,
}

impl Night {
    fn of(ids: &[&str], script: impl Fn(&mut Server, &str, Asked) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let lab = Lab::new();
        let mut plan = "source_id,copystate,migrationcycle".to_owned();
        for id in ids {
            write!(plan, "\n{id},{},{}", TARGET.0, TARGET.1).unwrap();
        }
        lab.write("plan.csv", &plan);
        Self { lab, service: Service::of(ids, script) }
    }

    fn launch(&self, args: &[&str]) -> Ended {
        let at = ["--endpoint", &self.service.url, "--yes", "--rate", "off", "--no-progress"];
        let quick = ["--verify-timeout", "3s"];
        Launch::of(self.lab.command(&[args, &at, &quick].concat())).end()
    }

    #[track_caller]
    fn ends(&self, id: &str, verdict: &str, n_changes: u32) -> String {
        let row = self.lab.journal().ends_in(id, verdict);
        assert_eq!(self.service.server(id).n_changes, n_changes, "changes of {id}");
        row.reason
    }
}

/// The shapes in which a read shows nothing of a field.
fn hollow(id: &str, n: u32) -> Value {
    match n % 6 {
        0 => json!({"id": id, "state": null, "migration_cycle": null}),
        1 => json!({"id": id, "state": "", "migration_cycle": " "}),
        2 => json!({"id": id}),
        3 => json!({"id": id, "state": ["syncing"], "migration_cycle": 7}),
        4 => json!({"state": OLD.0, "migration_cycle": OLD.1}),
        _ => json!({"id": id, "state": "a\u{7}b", "migration_cycle": "syncing"}),
    }
}

#[test]
fn a_look_that_shows_nothing_permits_nothing_and_settles_nothing() {
    let _machine = shared();
    let ids = ["vm-0", "vm-1", "vm-2", "vm-3", "vm-4", "vm-5"];
    // The answer is lost, the effect is there, and reads show nothing from then on.
    let night = Night::of(&ids, |server, id, asked| match asked {
        Asked::Change => {
            server.is_now(TARGET);
            (504, json!({}))
        }
        Asked::Show | Asked::List if server.n_changes > 0 => (200, hollow(id, id.as_bytes()[3].into())),
        Asked::Show | Asked::List => (200, server.body(id)),
    });
    night.launch(&["run", "plan.csv", "--attempts", "2"]).exits(1);
    for id in ids {
        night.ends(id, "in_doubt", 1);
    }
    // Accepted, and no look ever shows anything.
    let night = Night::of(&ids, |server, id, asked| match asked {
        Asked::Show | Asked::List if server.n_changes > 0 => (200, hollow(id, id.as_bytes()[3].into())),
        _ => well(server, id, asked),
    });
    night.launch(&["run", "plan.csv", "--attempts", "1"]).exits(1);
    for id in ids {
        let reason = night.ends(id, "unverified", 1);
        assert!(reason.contains("no look succeeded"), "{reason}");
    }
}

#[test]
fn what_a_page_shows_without_its_states_is_asked_for_by_id_and_not_sent_unseen() {
    let _machine = shared();
    let ids = ["vm-0", "vm-1", "vm-2", "vm-3", "vm-4", "vm-5"];
    let only_pages = |server: &mut Server, id: &str, asked| match asked {
        Asked::List => (200, hollow(id, id.as_bytes()[3].into())),
        _ => well(server, id, asked),
    };
    let night = Night::of(&ids, only_pages);
    night.launch(&["run", "plan.csv"]).exits(0);
    assert_eq!(night.lab.journal().tally()["applied"], 6);
    let never = |server: &mut Server, id: &str, asked| match asked {
        Asked::List | Asked::Show if id != "vm-0" => (200, hollow(id, id.as_bytes()[3].into())),
        _ => well(server, id, asked),
    };
    let night = Night::of(&ids, never);
    night.launch(&["run", "plan.csv", "--attempts", "1"]).exits(4).says("the look failed: ");
    night.ends("vm-0", "applied", 1);
    for id in &ids[1..] {
        night.ends(id, "pending", 0);
    }
}

#[test]
fn where_no_row_can_be_looked_at_nothing_is_sent_although_the_list_can_be_read() {
    let _machine = shared();
    let ids = ["vm-0", "vm-1", "vm-2"];
    for (status, code, exit) in [(404, "APIGW.0101", 8), (503, "APIGW.0201", 8), (403, "SMS.2248", 5)] {
        // The list shows none of them.
        let night = Night::of(&ids, move |_, _, _| (status, json!({"error_code": code, "error_msg": "no"})));
        night.launch(&["run", "plan.csv", "--attempts", "1"]).exits(exit).says(code).says("nothing was sent");
        for id in ids {
            night.ends(id, "pending", 0);
        }
    }
}

#[test]
fn a_look_that_failed_this_time_is_not_made_good_by_an_earlier_launch() {
    let _machine = shared();
    let ids = ["vm-1", "vm-2", "vm-3"];
    let now_hollow = Arc::new(Mutex::new(false));
    let is_hollow = Arc::clone(&now_hollow);
    let night = Night::of(&ids, move |server, id, asked| match asked {
        Asked::Change if !*is_hollow.lock().unwrap() => (401, json!({"error_code": "APIGW.0301"})),
        Asked::Show | Asked::List if *is_hollow.lock().unwrap() => (200, hollow(id, 2)),
        _ => well(server, id, asked),
    });
    night.launch(&["run", "plan.csv"]).exits(5);
    *now_hollow.lock().unwrap() = true;
    let n_before: Vec<u32> = ids.iter().map(|id| night.service.server(id).n_changes).collect();
    night.launch(&["resume", "--attempts", "1"]);
    let n_after: Vec<u32> = ids.iter().map(|id| night.service.server(id).n_changes).collect();
    assert_eq!(n_after, n_before, "nothing is sent that this launch has not seen");
}

#[test]
fn what_is_refused_after_a_doubt_is_looked_at_first() {
    let _machine = shared();
    let ids = ["moved", "as-before", "elsewhere"];
    let night = Night::of(&ids, |server, id, asked| match asked {
        Asked::Change if server.n_changes == 1 => (504, json!({})),
        Asked::Change => {
            // What the first change did has come true meanwhile, or somebody else was quicker.
            match id {
                "moved" => server.is_now(TARGET),
                "elsewhere" => server.is_now(("error", "syncing")),
                _ => (),
            }
            (409, json!({"error_code": "SMS.1104", "error_msg": "not in this state"}))
        }
        Asked::Show | Asked::List => (200, server.body(id)),
    });
    night.launch(&["run", "plan.csv"]).exits(1);
    night.ends("moved", "applied", 2);
    night.ends("elsewhere", "overtaken", 2);
    assert!(night.ends("as-before", "refused", 2).contains("SMS.1104"));
    let before = "SELECT group_concat(DISTINCT before_copystate) FROM v_row";
    assert_eq!(night.lab.journal().value(before), OLD.0);

    night.launch(&["retry", "--only", "refused"]).exits(1);
    assert_eq!(night.lab.journal().value(before), OLD.0);
    let back = night.lab.cutover(&["rollback", "-o", "back.csv"]).exits(0);
    for id in ids {
        let plan = std::fs::read_to_string(night.lab.path("back.csv")).unwrap();
        assert!(plan.contains(id), "{id} is not in\n{plan}\n{}", back.stderr);
    }
}

#[test]
fn one_strange_look_after_a_change_is_no_verdict() {
    let _machine = shared();
    // Lost for half a second; behind, where others were at work between our look and our change; and truly moved.
    let ids = ["gone", "behind", "gone-in-doubt", "moved", "gone-for-good"];
    let night = Night::of(&ids, |server, id, asked| {
        let at_first = server.changed_within(Duration::from_millis(if id == "gone-in-doubt" { 1_500 } else { 500 }));
        match (id, asked) {
            ("gone-in-doubt", Asked::Change) => {
                server.is_now(TARGET);
                (502, json!({}))
            }
            ("gone" | "gone-in-doubt", Asked::Show | Asked::List) if at_first => (404, json!({})),
            ("gone-for-good", Asked::Show | Asked::List) if server.n_changes > 0 => (404, json!({})),
            ("behind", Asked::Show | Asked::List) if at_first => {
                (200, json!({"id": id, "state": "replicate", "migration_cycle": "replicating"}))
            }
            ("moved", Asked::Change) => {
                server.is_now(("error", "syncing"));
                (200, json!({}))
            }
            _ => well(server, id, asked),
        }
    });
    night.launch(&["run", "plan.csv"]).exits(1);
    for id in ["gone", "behind", "gone-in-doubt"] {
        night.ends(id, "applied", 1);
    }
    for id in ["moved", "gone-for-good"] {
        night.ends(id, "overtaken", 1);
        assert!(night.service.server(id).n_looks > 2, "two looks agree");
    }
}
