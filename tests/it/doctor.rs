//! `doctor`, `config show` and `sources`: looking around without a run.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::Value;

use crate::lab::home::Lab;
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::TOKEN;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Returns the doctor's result for one thing.
fn health(document: &Value, what: &str) -> String {
    let patients = document["patients"].as_array().unwrap();
    let mut checks = patients.iter().flat_map(|patient| patient["checks"].as_array().unwrap());
    let check = checks.rfind(|check| check["what"] == what).unwrap();
    check["health"].as_str().unwrap().to_owned()
}

#[test]
fn the_doctor_finds_nothing_wrong_with_a_service_that_lets_us_in_and_leaves_nothing_behind() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let served = lab.serve("plan.csv", "");
    let ended = lab.cutover(&["doctor", "--endpoint", &served.url, "--json"]).exits(0);
    let document = json(&ended.stdout);
    for what in
        ["DNS", "TCP", "connection", "credentials", "permission to read", "clock", "state words", "file locks", "disk"]
    {
        assert_eq!(health(&document, what), "ok", "{what}");
    }
    assert_eq!(health(&document, "permission to write"), "unknown");
    assert!(!ended.stdout.contains(TOKEN) && !ended.stderr.contains(TOKEN));
    assert!(!lab.path("cutover.db").exists());
    assert_eq!(served.ledger().len(), 1);
}

#[test]
fn the_doctor_names_what_is_wrong_and_exits_with_it() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let served = lab.serve("plan.csv", "[[source]]\nid = \"vm-00002\"\ncopystate = \"brand_new\"\n");
    let mut wrong = lab.command(&["doctor", "--endpoint", &served.url, "--json"]);
    wrong.env("CUTOVER_AUTH_TOKEN", "wrong-t0ken");
    let ended = Launch::start(wrong).end().exits(5);
    assert_eq!(health(&json(&ended.stdout), "permission to read"), "problem");
    assert!(!ended.stdout.contains("wrong-t0ken"));
    let ended = lab.cutover(&["doctor", "--endpoint", "http://127.0.0.1:1", "--json"]).exits(8);
    assert_eq!(health(&json(&ended.stdout), "connection"), "problem");
    assert_eq!(health(&json(&ended.stdout), "TCP"), "problem");
    lab.cutover(&["doctor"]).exits(2);
    let mut nobody = lab.command(&["doctor", "--endpoint", &served.url, "--json"]);
    nobody.env_remove("CUTOVER_AUTH_TOKEN").env("CUTOVER_METADATA_ENDPOINT", "off");
    let ended = Launch::start(nobody).end().exits(5);
    assert_eq!(health(&json(&ended.stdout), "credentials"), "problem");
    let ended = lab.cutover(&["doctor", "--endpoint", &served.url, "--json"]).exits(0);
    assert_eq!(health(&json(&ended.stdout), "state words"), "warning");
    assert!(ended.stdout.contains("copystate `brand_new`"), "{}", ended.stdout);
}

#[test]
fn the_doctor_sees_a_clock_that_is_off() {
    let _machine = shared();
    let lab = Lab::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        // The first connection only checks that the port is open.
        let mut stream = listener.incoming().map(Result::unwrap).find_map(|mut stream| {
            let n_read = stream.read(&mut [0; 4096]).unwrap();
            (n_read > 0).then_some(stream)
        });
        let stream = stream.as_mut().unwrap();
        let long_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(20);
        let date = long_ago.strftime("%a, %d %b %Y %H:%M:%S GMT");
        let body = r#"{"count":0,"source_servers":[]}"#;
        let head = format!("HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).unwrap();
    });
    let ended = lab.cutover(&["doctor", "--endpoint", &url, "--json"]);
    serving.join().unwrap();
    assert_eq!(health(&json(&ended.stdout), "clock"), "problem", "{}", ended.stdout);
}

#[test]
fn config_show_tells_each_setting_its_origin_and_no_secret() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("cutover.toml", "burst = 3\n[profiles.a]\nconcurrency = 4\ntoken_env = \"MINE\"\n");
    let mut command = lab.command(&["config", "show", "--json", "--profile", "a", "--rate", "7"]);
    command.env("CUTOVER_ATTEMPTS", "9").env("MINE", "s3cret");
    let ended = Launch::start(command).end().exits(0);
    let document = json(&ended.stdout);
    let of = |name: &str| {
        let all = document["settings"].as_array().unwrap();
        let one = all.iter().find(|setting| setting["name"] == name).unwrap();
        format!("{} {}", one["value"].as_str().unwrap(), one["origin"].as_str().unwrap())
    };
    assert_eq!(of("rate"), "7 given as a flag");
    assert_eq!(of("attempts"), "9 in the environment (CUTOVER_ATTEMPTS)");
    assert_eq!(of("concurrency"), "4 in the profile `a` of `cutover.toml`");
    assert_eq!(of("burst"), "3 in `cutover.toml`");
    assert_eq!(of("timeout"), "30s by default");
    assert_eq!(document["credentials"]["origin"], "MINE in the environment of the profile `a`");
    assert!(!ended.stdout.contains("s3cret"));
    lab.cutover(&["config", "show", "--profile", "b"]).exits(2).says("there is no profile `b`");
}

#[test]
fn sources_are_listed_over_pages_filtered_shown_and_made_a_plan_of() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(450, "stopped,syncing"));
    let served = lab
        .serve("plan.csv", "[[source]]\nid = \"vm-00420\"\ncopystate = \"init\"\nmigrationcycle = \"replicating\"\n");
    let at = ["--endpoint", served.url.as_str(), "--rate", "off"];
    let sources = |args: &[&str]| lab.cutover(&[&["sources"], args, &at].concat());
    let listed = sources(&["list", "--format", "csv"]).exits(0).stdout;
    let ids: Vec<&str> = listed.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!((ids.len(), ids[0], ids[449]), (450, "vm-00001", "vm-00450"));
    assert_eq!(served.ledger().len(), 3);
    for state in ["init", "INITIALIZE"] {
        let found = json(&sources(&["list", "--state", state, "--json"]).exits(0).stdout);
        assert_eq!(found["sources"].as_array().unwrap().len(), 1, "{state}");
        assert_eq!(found["sources"][0]["id"], "vm-00420");
    }
    let lost = json(&sources(&["list", "--connected", "false", "--json"]).exits(0).stdout);
    assert!(lost["sources"].as_array().unwrap().iter().all(|source| source["connected"] == false));
    assert!(sources(&["show", "vm-00420"]).exits(0).stdout.contains("initialize"));
    sources(&["show", "nobody"]).exits(1).says("knows no source `nobody`");
    sources(&["show", "a/b"]).exits(2).says("has a `/`");
    // Named by part of an id that fits several sources, or by a name.
    let shown = sources(&["show", "VM-0042", "--json"]).exits(2).says("`VM-0042` could be any of vm-00420");
    assert!(shown.stderr.contains("vm-00429") && shown.stderr.contains("type more of its id"), "{}", shown.stderr);
    let listed = json(&sources(&["list", "--json"]).exits(0).stdout);
    let name = listed["sources"][6]["name"].as_str().unwrap();
    for text in ["VM-00007", name] {
        let shown = sources(&["show", text, "--json"]).exits(0);
        assert_eq!(json(&shown.stdout)["source"]["id"], "vm-00007", "{text}");
    }
    sources(&["show", name]).exits(0).says(&format!("`{name}` is vm-00007 ({name})"));
    sources(&["plan", "--name", "45", "--to-state", "stopped", "--to-cycle", "syncing", "-o", "p.csv"]).exits(0);
    sources(&["plan", "--to-state", "error", "-o", "p.csv"]).exits(2).says("`p.csv` is there already");
    lab.cutover(&["check", "p.csv"]).exits(0);
    lab.launch(&served, &["run", "p.csv", "--rate", "off"]).exits(0);
    let rows = lab.journal().rows();
    assert!(!rows.is_empty() && rows.iter().all(|row| row.verdict == "applied"));
    let mut wrong = lab.command(&["sources", "list", "--endpoint", &served.url]);
    wrong.env("CUTOVER_AUTH_TOKEN", "wrong");
    Launch::start(wrong).end().exits(5).says("does not let us read");
}
