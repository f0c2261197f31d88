//! Route and destination of requests, by the settings: any fault in them is reported before anything is sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::lab::home::Lab;
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::plan;

#[test]
fn what_is_wrong_with_the_way_is_told_before_anything_is_sent() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    lab.write("empty.pem", "");
    let service = ["--endpoint", "https://127.0.0.1:1"];
    let cases: [(&[&str], i32, &str); 9] = [
        (&["--region", "ap-southeast-33"], 2, "did you mean `ap-southeast-3`?"),
        (&["--endpoint", "https://sms.example.com/v3"], 2, "has a path"),
        (&["--endpoint", "https://me:pw@sms.example.com"], 2, "user name or password"),
        (&["--endpoint", "http://sms.example.com"], 2, "for loopback only"),
        (&[service[0], service[1], "--ca-bundle", "nowhere.pem"], 2, "the CA bundle `nowhere.pem` cannot be read"),
        (&[service[0], service[1], "--ca-bundle", "empty.pem"], 2, "has no certificate"),
        (&[service[0], service[1], "--connect-timeout", "soon"], 2, "is not a duration"),
        (&[service[0], service[1], "--attempts", "1"], 8, "could not be reached: connection refused"),
        (&["--endpoint", "https://no-such-host.invalid", "--attempts", "1"], 8, "could not be reached: DNS: "),
    ];
    for (args, exit, says) in cases {
        lab.cutover(&[&["plan", "plan.csv"], args].concat()).exits(exit).says(says);
    }
}

#[test]
fn the_endpoint_wins_over_the_region_and_the_vendors_variable_names_one_too() {
    let _machine = shared();
    let lab = Lab::new();
    let shown = |args: &[&str]| {
        let mut command = lab.command(&[&["config", "show"], args].concat());
        command.env("HW_REGION_NAME", "ru-moscow-1");
        Launch::start(command).end().exits(0).stdout
    };
    assert!(shown(&[]).contains("in the environment (HW_REGION_NAME)"), "{}", shown(&[]));
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let served = lab.serve("plan.csv", "");
    lab.cutover(&["plan", "plan.csv", "--region", "cn-north-4", "--endpoint", &served.url]).exits(0);
}

#[test]
fn rows_that_were_not_sent_say_so() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let mut gone = lab.command(&["run", "plan.csv", "--endpoint", "http://127.0.0.1:1", "--yes", "--preflight", "off"]);
    gone.env("CUTOVER_ATTEMPTS", "1").env("CUTOVER_VERIFY_TIMEOUT", "1s");
    Launch::start(gone).end();
    let story = lab.cutover(&["explain", "vm-00001"]).exits(0).stdout;
    assert!(story.contains("not sent: connection refused"), "{story}");
}

/// One source behind a load balancer that keeps connections open and cuts each when it is used again.
struct Cutting {
    is_there: bool,
    /// Method of each request, with true if it was cut.
    requests: Vec<(String, bool)>,
}

impl Cutting {
    fn serve() -> (String, Arc<Mutex<Self>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(Self { is_there: false, requests: Vec::new() }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, state) = (stream.unwrap(), Arc::clone(&shared));
                std::thread::spawn(move || Self::take(&stream, &state));
            }
        });
        (endpoint, state)
    }

    fn take(mut stream: &TcpStream, state: &Mutex<Self>) -> Option<()> {
        let method = read_request(stream)?;
        let answer = state.lock().unwrap().answer(&method);
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", answer.len());
        stream.write_all((head + &answer).as_bytes()).ok()?;
        let method = read_request(stream)?;
        state.lock().unwrap().requests.push((method, true));
        // Closed with the request perhaps unread in part: the client sees the end of the connection and no answer.
        None
    }

    fn answer(&mut self, method: &str) -> String {
        self.requests.push((method.to_owned(), false));
        self.is_there |= method == "PUT";
        let (state, cycle) = if self.is_there { ("stopped", "syncing") } else { ("syncing", "syncing") };
        match method {
            "PUT" => "{}".to_owned(),
            _ => format!(r#"{{"id":"vm-00001","state":"{state}","migration_cycle":"{cycle}"}}"#),
        }
    }
}

/// Returns the method of one request, once its head and body are there. `None` if the client went away.
fn read_request(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok().filter(|n| *n > 0)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = text.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    first.split(' ').next().map(str::to_owned)
}

#[test]
fn after_a_cut_connection_the_next_request_of_the_row_takes_a_new_one() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let (endpoint, server) = Cutting::serve();
    let args = ["run", "plan.csv", "--yes", "--no-progress", "--endpoint", &endpoint, "--rate", "off"];
    lab.cutover(&args).exits(0);
    assert_eq!(lab.journal().ends_in("vm-00001", "applied").attempts, 2);
    let requests = &server.lock().unwrap().requests;
    let puts: Vec<bool> = requests.iter().filter(|(method, _)| method == "PUT").map(|(_, cut)| *cut).collect();
    assert_eq!(puts, [true, false], "{requests:?}");
}
