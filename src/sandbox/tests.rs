//! Tests of the sandbox over real loopback connections.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::{Client, Method};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::model::state::SeenState;
use crate::model::words::{self, Word};

/// A sandbox and a client that knows its token.
struct SandboxLab {
    sandbox: Sandbox,
    client: Client,
    token: &'static str,
}

struct Heard {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Heard {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    fn code(&self) -> (u16, String) {
        (self.status, self.json()["error_code"].as_str().unwrap_or_default().to_owned())
    }
}

fn seeded(id: &str, copystate: &str, cycle: &str) -> Seeded {
    let state = SeenState { copystate: Some(Word::new(copystate)), migrationcycle: Some(Word::new(cycle)) };
    Seeded { source_id: id.into(), name: format!("host-{id}"), state }
}

fn client() -> Client {
    // reqwest needs a provider even where no TLS is spoken.
    _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

impl SandboxLab {
    async fn with(estate: Vec<Seeded>, scenario: &str) -> Self {
        Self::with_seed(estate, scenario, 7).await
    }

    async fn with_seed(estate: Vec<Seeded>, scenario: &str, seed: u64) -> Self {
        let scenario = Scenario::parse(scenario).unwrap();
        let token = Some(SecretString::from("secret-token"));
        let sandbox =
            start(Config { estate, scenario, seed, port: 0, token, keys: None, project: None }).await.unwrap();
        Self { sandbox, client: client(), token: "secret-token" }
    }

    /// Starts a sandbox with one server, `vm-1`, in continuous sync.
    async fn syncing(scenario: &str) -> Self {
        Self::with(vec![seeded("vm-1", "syncing", "syncing")], scenario).await
    }

    async fn try_send(&self, method: Method, path: &str, body: &str) -> Result<Heard, reqwest::Error> {
        let request = self.client.request(method, format!("{}{path}", self.sandbox.url()));
        let answer = request.header("X-Auth-Token", self.token).body(body.to_owned()).send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Heard { status, headers, text: String::from_utf8_lossy(&answer.bytes().await?).into_owned() })
    }

    async fn send(&self, method: Method, path: &str, body: &str) -> Heard {
        self.try_send(method, path, body).await.unwrap()
    }

    async fn get(&self, path: &str) -> Heard {
        self.send(Method::GET, path, "").await
    }

    async fn put(&self, id: &str, copystate: &str, cycle: &str) -> Heard {
        self.send(Method::PUT, &change_path(id), &pair(copystate, cycle)).await
    }

    async fn seen(&self, id: &str) -> String {
        let body = self.get(&format!("/v3/sources/{id}")).await.json();
        format!("{}/{}", body["state"].as_str().unwrap(), body["migration_cycle"].as_str().unwrap())
    }

    fn truth(&self, id: &str) -> String {
        let lines = lines(&self.sandbox.sources());
        let truth = lines.iter().find(|truth| truth["id"] == id).unwrap();
        format!("{}/{}", truth["copystate"].as_str().unwrap(), truth["migrationcycle"].as_str().unwrap())
    }

    fn ledger(&self) -> Vec<Value> {
        lines(&self.sandbox.ledger())
    }

    /// Sends a request over a bare connection, and returns everything until its end.
    async fn raw(&self, request: &str) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.sandbox.address()).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map(|_| answer)
    }

    fn raw_put(copystate: &str, cycle: &str) -> String {
        let body = pair(copystate, cycle);
        format!(
            "PUT /v3/sources/vm-1/changestate HTTP/1.1\r\nHost: sandbox\r\nX-Auth-Token: secret-token\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// Asks until the condition holds, for up to ten seconds in case the machine is busy.
async fn soon(mut is_so: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asking).await.expect("it never came true");
}

fn change_path(id: &str) -> String {
    format!("/v3/sources/{}/changestate", text::encoded(id))
}

fn pair(copystate: &str, cycle: &str) -> String {
    json!({"copystate": copystate, "migrationcycle": cycle}).to_string()
}

fn lines(ndjson: &str) -> Vec<Value> {
    ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn fault(rest: &str) -> String {
    format!("[[fault]]\nsources = [\"vm-1\"]\n{rest}")
}

#[tokio::test]
async fn a_change_is_recorded_and_both_spellings_are_one_state() {
    let lab = SandboxLab::with(vec![seeded("vm-1", "waiting", "setting")], "").await;
    let before = lab.get("/v3/sources/vm-1").await.json();
    let heard = lab.put("vm-1", "INIT", "Replicating").await;
    assert_eq!((heard.status, heard.text.as_str()), (200, "{ }"));
    assert_eq!(lab.seen("vm-1").await, "initialize/replicating");
    assert_eq!(lab.truth("vm-1"), "init/replicating");
    let after = lab.get("/v3/sources/vm-1").await.json();
    assert!(after["state_action_time"].as_u64() > before["state_action_time"].as_u64());
    assert_eq!(lab.put("vm-1", "initialize", "replicating").await.status, 200);
    let effects: Vec<_> = lab.ledger().iter().filter(|e| e["method"] == "PUT").map(|e| e["effect"].clone()).collect();
    assert_eq!(effects, [true, false]);
}

#[tokio::test]
async fn what_reads_never_show_reads_as_what_was_there() {
    let lab = SandboxLab::with(vec![seeded("vm-1", "waiting", "setting")], "").await;
    lab.put("vm-1", "premiging", "setting").await;
    assert_eq!(lab.seen("vm-1").await, "premigready/setting");
    lab.put("vm-1", "premiged", "tested").await;
    assert_eq!(lab.seen("vm-1").await, "premiged/setting");
    assert_eq!(lab.truth("vm-1"), "premiged/tested");
}

#[tokio::test]
async fn seven_states_answer_200_and_change_nothing() {
    let states = ["unavailable", "stopping", "stopped", "deleting", "finished", "clearing", "clearfailed"];
    let estate = words::COPYSTATES.iter().map(|state| seeded(state, state, "syncing")).collect();
    let lab = SandboxLab::with(estate, "").await;
    for state in words::COPYSTATES {
        let (copystate, cycle) = if state == "syncing" { ("cloning", "syncing") } else { ("syncing", "syncing") };
        assert_eq!(lab.put(state, copystate, cycle).await.status, 200);
        let stays = lab.truth(state) == format!("{state}/syncing");
        assert_eq!(stays, states.contains(&state), "{state}");
    }
    let nonsense = lab.send(Method::PUT, &change_path("stopped"), r#"{"copystate": "banana"}"#).await;
    assert_eq!((nonsense.status, nonsense.text.as_str()), (200, "{ }"));
}

#[tokio::test]
async fn every_refusal_has_its_documented_body() {
    let lab = SandboxLab::syncing(&fault("kind = \"forbidden\"\non = \"change\"\ntimes = 1")).await;
    let forbidden = lab.put("vm-1", "stopped", "syncing").await;
    assert_eq!(forbidden.code(), (403, "SMS.9004".into()));
    for field in ["error_msg", "encoded_authorization_message", "error_param", "details"] {
        assert!(!forbidden.json()[field].is_null(), "{field}");
    }
    assert_eq!(lab.put("vm-1", "waiting", "cutovered").await.code(), (400, "SMS.9001".into()));
    assert_eq!(lab.put("vm-1", "banana", "syncing").await.code(), (400, "SMS.9001".into()));
    assert_eq!(lab.send(Method::PUT, &change_path("vm-1"), "{").await.code(), (400, "SMS.6010".into()));
    assert_eq!(lab.send(Method::PUT, &change_path("vm-1"), &"x".repeat(10_241)).await.code(), (401, "SMS.2004".into()));
    assert_eq!(lab.send(Method::PUT, &change_path("vm-1"), &" ".repeat(3 << 20)).await.code().0, 401);
    assert_eq!(lab.put("vm-2", "stopped", "syncing").await.code(), (404, "SMS.2216".into()));
    assert_eq!(lab.get("/v3/sources/vm-2").await.code(), (404, "SMS.2216".into()));
    assert_eq!(lab.get("/v3/source").await.code(), (404, "APIGW.0101".into()));
    let wrong = lab.send(Method::POST, &change_path("vm-1"), "{}").await;
    assert_eq!(wrong.code(), (405, "APIGW.0501".into()));
    assert_eq!(wrong.json()["request_id"], wrong.headers["x-request-id"].to_str().unwrap());
    assert_eq!(lab.truth("vm-1"), "syncing/syncing");
}

#[tokio::test]
async fn every_answer_has_a_date_and_a_request_id_of_its_own() {
    let (lab, again) = (SandboxLab::syncing("").await, SandboxLab::syncing("").await);
    let mut ids = HashSet::new();
    for _ in 0..20 {
        let heard = lab.get("/v3/sources").await;
        assert!(heard.headers.contains_key("date"));
        let id = heard.headers["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(id.len(), 32);
        assert_eq!(again.get("/v3/errors").await.headers["x-request-id"].to_str().unwrap(), id);
        assert!(ids.insert(id));
    }
}

#[tokio::test]
async fn without_a_good_token_nothing_is_answered() {
    let mut lab = SandboxLab::syncing("").await;
    lab.token = "other";
    let wrong = lab.put("vm-1", "stopped", "syncing").await;
    assert_eq!(wrong.code(), (401, "APIGW.0301".into()));
    assert!(wrong.json()["error_msg"].as_str().unwrap().contains("decrypt token fail"));
    let missing = lab.raw("GET /v3/sources HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(String::from_utf8(missing).unwrap().contains("APIGW.0301"));
    assert_eq!(lab.truth("vm-1"), "syncing/syncing");
}

#[tokio::test]
async fn a_token_expires_and_a_fresh_one_is_to_be_had_for_the_password() {
    let mut lab = SandboxLab::syncing("token_expires_after_ms = 1").await;
    // The start was at least one connection ago; the loop asks until the millisecond is over.
    soon(async || lab.get("/v3/sources").await.status != 200).await;
    assert_eq!(lab.get("/v3/sources").await.code(), (401, "APIGW.0307".into()));

    lab = SandboxLab::syncing("token_expires_after_ms = 60000").await;
    let login = |password: &str| json!({"auth": {"identity": {"password": {"user": {"password": password}}}}});
    let refused = lab.send(Method::POST, "/v3/auth/tokens", &login("wrong").to_string()).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (401, &json!(401)));
    let issued = lab.send(Method::POST, "/v3/auth/tokens?nocatalog=true", &login("secret-token").to_string()).await;
    assert_eq!(issued.status, 201);
    assert!(issued.json()["token"]["expires_at"].as_str().unwrap().ends_with('Z'));
    lab.token = issued.headers["x-subject-token"].to_str().unwrap().to_owned().leak();
    assert_eq!(lab.get("/v3/sources").await.status, 200);
}

#[tokio::test]
async fn pages_have_limits_and_filters() {
    let mut estate: Vec<Seeded> = (0..450).map(|i| seeded(&format!("vm-{i}"), "syncing", "syncing")).collect();
    estate[3] = seeded("vm-3", "init", "replicating");
    let lab = SandboxLab::with(estate, "").await;
    let page = async |query: &str| {
        let body = lab.get(&format!("/v3/sources?{query}")).await.json();
        let n_listed = body["source_servers"].as_array().unwrap().len();
        (body["count"].as_u64().unwrap(), n_listed)
    };
    assert_eq!(page("").await, (450, 200));
    assert_eq!(page("limit=0").await, (450, 200));
    assert_eq!(page("limit=200&offset=400&unheard_of=1").await, (450, 50));
    assert_eq!(page("offset=65535").await, (450, 0));
    assert_eq!(page("state=initialize").await, (1, 1));
    assert_eq!(page("state=INIT&migration_cycle=replicating").await, (1, 1));
    assert_eq!(page("migration_cycle=setting").await, (0, 0));
    assert_eq!(page("name=host-vm-44").await, (11, 11));
    assert_eq!(page("id=vm-3").await, (1, 1));
    assert_eq!(page("id=vm-3&state=syncing").await, (0, 0));
    assert_eq!(page("ip=10.0.1.2").await, (1, 1));
    assert_eq!(page("connected=true").await.0 + page("connected=false").await.0, 450);
    for bad in ["limit=201", "limit=-1", "offset=65536", "limit=x", "connected=maybe"] {
        assert_eq!(lab.get(&format!("/v3/sources?{bad}")).await.code(), (400, "SMS.9001".into()), "{bad}");
    }
    let (one, listed) = (lab.get("/v3/sources/vm-3").await.json(), lab.get("/v3/sources?id=vm-3").await.json());
    let listed = &listed["source_servers"][0];
    assert_eq!(listed["memory"].as_u64().unwrap(), one["memory"].as_u64().unwrap() << 20);
    assert_eq!((&one["hostname"], &one["migration_cycle"]), (&json!("host-vm-3"), &json!("replicating")));
    let ids = lab.get("/_sandbox/ledger?ids=1").await;
    assert_eq!(lines(&ids.text)[0]["ids"].as_array().unwrap().len(), 200);
}

#[tokio::test]
async fn the_overview_counts_and_the_errors_name_who_is_in_trouble() {
    let estate = vec![
        seeded("a", "waiting", "checking"),
        seeded("b", "init", "replicating"),
        seeded("c", "error", "syncing"),
        seeded("d", "premiged", "setting"),
    ];
    let lab = SandboxLab::with(estate, "").await;
    let overview = lab.get("/v3/sources/overview").await.json();
    assert_eq!(overview.as_object().unwrap().len(), 14);
    let counted = ["unconfigured", "waiting", "initialize", "error"].map(|name| overview[name].as_u64().unwrap());
    assert_eq!(counted, [1, 0, 1, 1]);
    let errors = lab.get("/v3/errors?limit=50&offset=0").await.json();
    assert_eq!((&errors["count"], &errors["migration_errors"][0]["source_id"]), (&json!(1), &json!("c")));
    let inner: Value = serde_json::from_str(errors["migration_errors"][0]["error_json"].as_str().unwrap()).unwrap();
    assert!(inner.is_array());
    assert_eq!(lab.get("/v3/errors?limit=101").await.status, 400);
}

#[tokio::test]
async fn a_quota_lets_exactly_its_figure_through_in_any_second() {
    let lab = SandboxLab::syncing("[quota]\nper_second = 5\nretry_after = true").await;
    let mut n_admitted = 0;
    while n_admitted < 12 {
        let heard = lab.get("/v3/sources").await;
        if heard.status == 200 {
            n_admitted += 1;
            continue;
        }
        assert_eq!(heard.code(), (429, "APIGW.0308".into()));
        let text = heard.json()["error_msg"].as_str().unwrap().to_owned();
        assert!(text.ends_with("policy user over ratelimit,limit:5,time:1 second"), "{text}");
        assert_eq!(heard.headers["retry-after"], "1");
    }
    let ledger = lab.ledger();
    let times =
        |status: u16| ledger.iter().filter(move |e| e["status"] == status).map(|e| e["at_us"].as_u64().unwrap());
    let admitted: Vec<u64> = times(200).collect();
    assert!(admitted.windows(6).all(|six| six[5] - six[0] >= 1_000_000), "{admitted:?}");
    for refused in times(429) {
        let n_before = admitted.iter().filter(|at| **at <= refused && refused < **at + 1_000_000).count();
        assert_eq!(n_before, 5, "refused at {refused} with room left");
    }
}

#[tokio::test]
async fn a_hidden_quota_says_nothing_and_may_spare_reads() {
    let lab = SandboxLab::syncing("[quota]\nper_minute = 1\nstated = false\napplies_to = \"changes\"").await;
    assert_eq!(lab.put("vm-1", "cloning", "syncing").await.status, 200);
    let refused = lab.put("vm-1", "error", "syncing").await;
    assert_eq!(refused.code(), (429, "APIGW.0308".into()));
    assert!(!refused.text.contains("limit:"));
    assert!(!refused.headers.contains_key("retry-after"));
    assert_eq!(lab.seen("vm-1").await, "cloning/syncing");
}

#[tokio::test]
async fn a_reset_before_has_no_effect_and_a_reset_after_has() {
    for (kind, truth) in [("reset_before", "syncing/syncing"), ("reset_after", "cloning/syncing")] {
        let lab = SandboxLab::syncing(&fault(&format!("kind = \"{kind}\""))).await;
        let error = lab.raw(&SandboxLab::raw_put("cloning", "syncing")).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(lab.truth("vm-1"), truth);
        let entry = &lab.ledger()[0];
        assert_eq!((&entry["status"], &entry["fault"]), (&Value::Null, &json!(kind)));
        assert_eq!(entry["effect"], kind == "reset_after");
        // The fault strikes once.
        assert_eq!(lab.put("vm-1", "error", "syncing").await.status, 200);
    }
}

#[tokio::test]
async fn the_ledger_has_the_entry_before_an_answer_leaves() {
    for (kind, effect) in [("hang_before", false), ("hang_after", true)] {
        let lab = SandboxLab::syncing(&fault(&format!("kind = \"{kind}\""))).await;
        let mut stream = TcpStream::connect(lab.sandbox.address()).await.unwrap();
        stream.write_all(SandboxLab::raw_put("cloning", "syncing").as_bytes()).await.unwrap();
        soon(async || !lab.ledger().is_empty()).await;
        let entry = &lab.ledger()[0];
        assert_eq!((&entry["status"], &entry["effect"]), (&Value::Null, &json!(effect)));
        assert_eq!(entry["body"], json!({"copystate": "cloning", "migrationcycle": "syncing"}));
        assert_eq!(entry["source_id"], "vm-1");
        let silence = tokio::time::timeout(Duration::from_millis(50), stream.read_u8()).await;
        assert!(silence.is_err(), "{kind} answered");
    }
    let slow = SandboxLab::syncing("latency_ms = [60000, 60000]").await;
    let mut stream = TcpStream::connect(slow.sandbox.address()).await.unwrap();
    stream.write_all(SandboxLab::raw_put("cloning", "syncing").as_bytes()).await.unwrap();
    soon(async || !slow.ledger().is_empty()).await;
    assert_eq!(slow.ledger()[0]["effect"], true);
}

#[tokio::test]
async fn a_200_may_be_silent_late_or_garbage() {
    let silent = SandboxLab::syncing(&fault("kind = \"silent\"\ntimes = 0")).await;
    for _ in 0..3 {
        assert_eq!(silent.put("vm-1", "cloning", "syncing").await.status, 200);
    }
    assert_eq!(silent.seen("vm-1").await, "syncing/syncing");

    let late = SandboxLab::syncing(&fault("kind = \"slow_effect\"\nafter_ms = 400")).await;
    assert_eq!(late.put("vm-1", "cloning", "syncing").await.status, 200);
    assert_eq!(late.ledger()[0]["effect"], false);
    soon(async || late.seen("vm-1").await == "cloning/syncing").await;
    let ledger = late.ledger();
    assert_eq!(ledger[0]["effect"], true);
    let (sent, seen) = (ledger[0]["at_us"].as_u64().unwrap(), ledger.last().unwrap()["at_us"].as_u64().unwrap());
    assert!(seen - sent >= 400_000);

    let garbage = SandboxLab::syncing(&fault("kind = \"garbage\"\neffect = true")).await;
    let heard = garbage.put("vm-1", "cloning", "syncing").await;
    assert_eq!(heard.status, 200);
    assert!(serde_json::from_str::<Value>(&heard.text).is_err());
    assert_eq!(garbage.truth("vm-1"), "cloning/syncing");
}

#[tokio::test]
async fn failures_come_in_every_shape() {
    let heard = async |body: &str, status: u16| {
        let more = format!("kind = \"status\"\nstatus = {status}\nbody = \"{body}\"");
        SandboxLab::syncing(&fault(&more)).await.put("vm-1", "cloning", "syncing").await
    };
    assert_eq!(heard("json", 500).await.code(), (500, "APIGW.0601".into()));
    assert!(heard("html", 502).await.text.starts_with("<html>"));
    assert_eq!(heard("empty", 503).await.text, "");
    assert!(heard("huge", 504).await.text.len() > 1 << 20);
    assert!(serde_json::from_str::<Value>(&heard("text", 500).await.text).is_err());
    assert_eq!(heard("iam", 403).await.json()["error"]["code"], 403);
    assert_eq!(heard("nested", 400).await.json()["error"]["error_code"], "SMS.9001");
    assert_eq!(heard("alt_code", 400).await.json()["errorCode"], "SMS.9001");
    let redirect = SandboxLab::syncing(&fault("kind = \"redirect\"")).await.put("vm-1", "cloning", "syncing").await;
    assert_eq!((redirect.status, redirect.headers["location"].to_str().unwrap()), (302, "/v3/redirected"));
    let hidden = SandboxLab::syncing(&fault("kind = \"status\"\nstatus = 504\neffect = true")).await;
    assert_eq!(hidden.put("vm-1", "cloning", "syncing").await.status, 504);
    assert_eq!(hidden.truth("vm-1"), "cloning/syncing");
}

#[tokio::test]
async fn reads_have_faults_of_their_own() {
    let by_id = SandboxLab::syncing(&fault("kind = \"status\"\nstatus = 500\non = \"read\"\ntimes = 2")).await;
    let path = "/v3/sources/vm-1";
    assert_eq!(by_id.put("vm-1", "cloning", "syncing").await.status, 200);
    assert_eq!(
        [by_id.get(path).await.status, by_id.get(path).await.status, by_id.get(path).await.status],
        [500, 500, 200]
    );
    assert_eq!(by_id.get("/v3/sources").await.status, 200, "a named fault does not strike pages");

    let pages = "[[fault]]\nshare = 0.5\nkind = \"status\"\nstatus = 503\non = \"read\"";
    let (one, two) = (SandboxLab::syncing(pages).await, SandboxLab::syncing(pages).await);
    let mut statuses = HashSet::new();
    for _ in 0..30 {
        let status = one.get("/v3/sources").await.status;
        assert_eq!(two.get("/v3/sources?limit=1").await.status, status);
        statuses.insert(status);
    }
    assert_eq!(statuses, HashSet::from([200, 503]));
}

#[tokio::test]
async fn a_stale_read_shows_what_was() {
    let lab = SandboxLab::syncing("stale_reads_ms = 500").await;
    lab.put("vm-1", "cloning", "syncing").await;
    assert_eq!(lab.truth("vm-1"), "cloning/syncing");
    assert_eq!(lab.seen("vm-1").await, "syncing/syncing");
    assert_eq!(lab.get("/v3/sources?state=cloning").await.json()["count"], 0);
    soon(async || lab.seen("vm-1").await == "cloning/syncing").await;
    let ledger = lab.ledger();
    let (sent, seen) = (ledger[0]["at_us"].as_u64().unwrap(), ledger.last().unwrap()["at_us"].as_u64().unwrap());
    assert!(seen - sent >= 500_000);
}

#[tokio::test]
async fn somebody_else_moves_a_server() {
    let after = "[[moved]]\nsource = \"vm-1\"\nafter = \"change\"\nto = { copystate = \"error\" }";
    let lab = SandboxLab::syncing(after).await;
    assert_eq!(lab.seen("vm-1").await, "syncing/syncing");
    lab.put("vm-1", "cloning", "syncing").await;
    assert_eq!(lab.seen("vm-1").await, "error/syncing");

    let at_once =
        "[[moved]]\nsource = \"vm-1\"\nat_ms = 0\nto = { copystate = \"error\", migrationcycle = \"replicating\" }";
    assert_eq!(SandboxLab::syncing(at_once).await.seen("vm-1").await, "error/replicating");

    let by_hand = SandboxLab::syncing("").await;
    assert_eq!(by_hand.send(Method::POST, "/_sandbox/move/vm-1", r#"{"copystate": "stopped"}"#).await.status, 200);
    assert_eq!(by_hand.seen("vm-1").await, "stopped/syncing");
    assert_eq!(by_hand.send(Method::POST, "/_sandbox/move/vm-9", "{}").await.status, 404);
    assert_eq!(by_hand.ledger().len(), 1, "what happens backstage leaves no entry");
}

#[tokio::test]
async fn an_agent_carries_a_server_on_unless_it_was_moved() {
    let agent = "[[agent]]\nfrom = \"cutovering\"\nto = { copystate = \"finished\", migrationcycle = \"cutovered\" }\n";
    let lab = SandboxLab::syncing(&format!("{agent}after_ms = 0")).await;
    lab.put("vm-1", "cutovering", "cutovering").await;
    assert_eq!(lab.seen("vm-1").await, "finished/cutovered");
    let lab = SandboxLab::syncing(&format!("{agent}after_ms = 300")).await;
    lab.put("vm-1", "cutovering", "cutovering").await;
    lab.put("vm-1", "error", "cutovering").await;
    while lab.ledger().last().unwrap()["at_us"].as_u64().unwrap() < 600_000 {
        assert_eq!(lab.seen("vm-1").await, "error/cutovering");
    }
}

#[tokio::test]
async fn a_scenario_overrides_the_estate() {
    let lab = SandboxLab::with(
        vec![seeded("vm-1", "syncing", "syncing"), seeded("vm-2", "syncing", "syncing")],
        "[[source]]\nid = \"vm-1\"\ncopystate = \"stopped\"\n[[source]]\nid = \"vm-2\"\nmissing = true\n\
         [[source]]\nid = \"vm-3\"\ncopystate = \"brand_new\"",
    )
    .await;
    assert_eq!(lab.seen("vm-1").await, "stopped/syncing");
    assert_eq!(lab.get("/v3/sources/vm-2").await.status, 404);
    assert_eq!(lab.seen("vm-3").await, "brand_new/setting");
    assert_eq!(lab.get("/v3/sources").await.json()["count"], 2);
}

#[tokio::test]
async fn the_same_seed_gives_the_same_faults_in_any_order() {
    let night = include_str!("scenarios/bad-night.toml");
    let faults = async |seed| {
        let lab = SandboxLab::with_seed(estate::made_up(1_000, 7), night, seed).await;
        lines(&lab.sandbox.sources()).iter().map(|truth| truth["fault"].clone()).collect::<Vec<_>>()
    };
    let (first, second, other) = (faults(1).await, faults(1).await, faults(2).await);
    assert_eq!(first, second);
    assert_ne!(first, other);
    let n_struck = first.iter().filter(|fault| !fault.is_null()).count();
    assert!((130..210).contains(&n_struck), "17 % of 1,000, not {n_struck}");

    let mut backwards = estate::made_up(1_000, 7);
    backwards.reverse();
    let lab = SandboxLab::with_seed(backwards, night, 1).await;
    let reversed: Vec<_> = lines(&lab.sandbox.sources()).iter().rev().map(|truth| truth["fault"].clone()).collect();
    assert_eq!(reversed, first);
}

#[tokio::test]
async fn a_stopped_sandbox_answers_no_more_and_frees_its_port() {
    let lab = SandboxLab::syncing("").await;
    let address = lab.sandbox.address();
    assert!(address.ip().is_loopback());
    lab.get("/v3/sources").await;
    lab.sandbox.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_key_with_six_wrong_signatures_in_a_row_is_locked() {
    let keys = Some(KeyPair { access: "AK".into(), secret: SecretString::from("SK"), security_token: None });
    let scenario = Scenario::parse("").unwrap();
    let sandbox = start(Config { estate: Vec::new(), scenario, seed: 1, port: 0, token: None, keys, project: None })
        .await
        .unwrap();
    let client = client();
    let ask = async |access: &str| {
        let signed = format!("SDK-HMAC-SHA256 Access={access}, SignedHeaders=x-sdk-date, Signature=00");
        let request = client.get(format!("{}/v3/sources", sandbox.url())).header("Authorization", signed);
        let answer = request.header("X-Sdk-Date", "20260131T120000Z").send().await.unwrap();
        assert_eq!(answer.status(), 401);
        answer.text().await.unwrap()
    };
    assert!(ask("other").await.contains("ak not exist"));
    for _ in 0..6 {
        assert!(ask("AK").await.contains("verify aksk signature fail"));
    }
    assert!(ask("AK").await.contains("AK access failed to reach the limit"));
}
