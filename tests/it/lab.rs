//! Laboratory of the black-box tests: a home directory, a served sandbox, launches of the binary, and a check of the books.
//!
//! Client and sandbox are separate processes, so that each can be killed without the other. A claim is read from the
//! sandbox's ledger and from the journal's public tables, never from printed text alone.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

/// Token that a served sandbox accepts.
pub(crate) const TOKEN: &str = "sandbox-token";
/// Longest time that a test waits for anything; enough on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Lock of the machine: tests that measure time have it alone; the others share it.
static MACHINE: RwLock<()> = RwLock::new(());

pub(crate) fn shared() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// Home directory of the binary, with nothing of the user's. Its `cutover.toml` is named explicitly, like one that the user
/// wrote.
pub(crate) struct Lab {
    folder: TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Makes a command of the binary at home here, with a clean environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_cutover"), args)
    }

    /// Makes a command of another program at home here.
    pub(crate) fn command_of(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        self.at_home(&mut command);
        command.args(args);
        command
    }

    fn at_home(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("CUTOVER_AUTH_TOKEN", TOKEN)
            .envs(self.path("cutover.toml").symlink_metadata().is_ok().then_some(("CUTOVER_CONFIG", "cutover.toml")))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }

    /// Makes a command of the binary under limits of the shell, such as `ulimit -f 100`.
    pub(crate) fn limited(&self, limit: &str, args: &[&str]) -> Command {
        let mut command = Command::new("sh");
        self.at_home(&mut command);
        command.args(["-c", &format!("{limit}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_cutover")]).args(args);
        command
    }

    /// Runs a verb to its end.
    pub(crate) fn cutover(&self, args: &[&str]) -> Ended {
        Launch::of(self.command(args)).end()
    }

    /// Serves the sources of `plan`.
    pub(crate) fn serve(&self, plan: &str, scenario: &str) -> Served {
        self.serve_to(plan, scenario, TOKEN)
    }

    /// Serves the sources of `plan` with this token.
    pub(crate) fn serve_to(&self, plan: &str, scenario: &str, token: &str) -> Served {
        self.serve_with(plan, scenario, &[("CUTOVER_SANDBOX_TOKEN", token)])
    }

    /// Serves the sources of `plan` with these environment variables.
    pub(crate) fn serve_with(&self, plan: &str, scenario: &str, variables: &[(&str, &str)]) -> Served {
        self.write("scenario.toml", scenario);
        let mut command = self.command(&["sandbox", "--plan", plan, "--scenario", "scenario.toml", "--port", "0"]);
        let mut child = command.envs(variables.iter().copied()).stderr(Stdio::null()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://"), "the sandbox did not start: {url:?}");
        Served { child, url: url.trim().to_owned() }
    }

    /// Begins `VERB … --yes --events` against a served sandbox.
    pub(crate) fn begin(&self, sandbox: &Served, args: &[&str]) -> Launch {
        Launch::of(self.command(&with_yes(sandbox, args)))
    }

    /// Runs the same to its end.
    pub(crate) fn launch(&self, sandbox: &Served, args: &[&str]) -> Ended {
        self.begin(sandbox, args).end()
    }

    pub(crate) fn journal(&self) -> Journal {
        Journal::open(&self.path("cutover.db"))
    }
}

pub(crate) fn with_yes<'a>(sandbox: &'a Served, args: &[&'a str]) -> Vec<&'a str> {
    let mut all = args.to_vec();
    all.extend(["--endpoint", &sandbox.url, "--events", "--no-progress"]);
    if args.first() != Some(&"reconcile") {
        all.push("--yes");
    }
    all
}

/// Makes a plan of `vm-00001` and so on, all with one target.
pub(crate) fn plan(n: usize, target: &str) -> String {
    let mut text = String::from("source_id,copystate,migrationcycle\n");
    for i in 1..=n {
        writeln!(text, "{},{target}", id(i)).unwrap();
    }
    text
}

pub(crate) fn id(i: usize) -> String {
    format!("vm-{i:05}")
}

/// Locks a journal for writing for this long, from now on.
pub(crate) fn hold_up(journal: &Path, takes: Duration) {
    let (sender, held) = channel();
    let journal = journal.to_owned();
    std::thread::spawn(move || {
        let conn = Connection::open(journal).unwrap();
        conn.busy_timeout(Duration::from_secs(10)).unwrap();
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        sender.send(()).unwrap();
        std::thread::sleep(takes);
    });
    held.recv().unwrap();
}

/// Launch of the binary that is under way.
pub(crate) struct Launch {
    child: Child,
    events: Receiver<Value>,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
}

/// End of a launch.
pub(crate) struct Ended {
    /// Exit code; `None` for an end by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Launch {
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (sender, events) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            for line in out.lines().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str::<Value>(&line) {
                    _ = sender.send(event);
                }
                text.push_str(&line);
                text.push('\n');
            }
            text
        });
        let mut err = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = Vec::new();
            _ = err.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { child, events, stdout, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next event of a kind; false if the launch ended without it.
    pub(crate) fn reaches(&self, kind: &str) -> bool {
        self.reaches_nth(kind, 1)
    }

    pub(crate) fn reaches_nth(&self, kind: &str, n: usize) -> bool {
        self.reaches_nth_that(kind, n, |event| event["kind"] == kind)
    }

    /// Waits until a throttled attempt is recorded; false if the launch ended without one.
    pub(crate) fn reaches_a_429(&self) -> bool {
        self.reaches_nth_that("attempt_ended that was throttled", 1, |event| event["outcome"]["is"] == "throttled")
    }

    fn reaches_nth_that(&self, what: &str, n: usize, is_one: impl Fn(&Value) -> bool) -> bool {
        let mut n_left = n;
        let until = Instant::now() + PATIENCE;
        while n_left > 0 {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(event) if is_one(&event) => n_left -= 1,
                Ok(_) => (),
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("no `{what}` came"),
            }
        }
        true
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(name, self.pid());
    }

    pub(crate) fn kill(mut self) -> Ended {
        _ = self.child.kill();
        self.end()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn end(mut self) -> Ended {
        let until = Instant::now() + 4 * PATIENCE;
        while self.is_running() {
            if Instant::now() > until {
                _ = self.child.kill();
                panic!("it does not end: {}", self.stderr.join().unwrap());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let code = self.child.wait().unwrap().code();
        Ended { code, stdout: self.stdout.join().unwrap(), stderr: self.stderr.join().unwrap() }
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "standard error was:\n{}", self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not in:\n{}", self.stderr);
        self
    }
}

/// Sandbox in another process, until it is dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) url: String,
}

/// One line of the sandbox's ledger.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Request {
    pub(crate) at_us: u64,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) source_id: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) effect: bool,
    #[serde(default)]
    pub(crate) ids: Vec<String>,
    pub(crate) body: Option<Sent>,
}

/// Target of a change.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Sent {
    pub(crate) copystate: Option<String>,
    pub(crate) migrationcycle: Option<String>,
}

impl Request {
    pub(crate) fn is_change(&self) -> bool {
        self.method == "PUT"
    }

    /// Tells whether this is an answered read that shows a source.
    pub(crate) fn shows(&self, id: &str) -> bool {
        self.method == "GET"
            && self.status.is_some()
            && (self.source_id.as_deref() == Some(id) || self.ids.iter().any(|shown| shown == id))
    }
}

/// True state of a source.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Truth {
    id: String,
    pub(crate) copystate: String,
    pub(crate) migrationcycle: String,
}

impl Served {
    pub(crate) fn signal(&self, name: &str) {
        signal(name, self.child.id());
    }

    pub(crate) fn ledger(&self) -> Vec<Request> {
        lines(&self.get("/_sandbox/ledger?ids=1"))
    }

    pub(crate) fn changes(&self) -> Vec<Request> {
        self.ledger().into_iter().filter(Request::is_change).collect()
    }

    /// Returns the requests for one source, as `PUT` and `GET`; a page that shows it is a `GET` as well.
    pub(crate) fn story_of(&self, id: &str) -> Vec<&'static str> {
        let of_source = |request: &Request| {
            if request.is_change() && request.source_id.as_deref() == Some(id) {
                Some("PUT")
            } else {
                request.shows(id).then_some("GET")
            }
        };
        self.ledger().iter().filter_map(of_source).collect()
    }

    pub(crate) fn truth(&self) -> HashMap<String, Truth> {
        lines(&self.get("/_sandbox/sources")).into_iter().map(|truth: Truth| (truth.id.clone(), truth)).collect()
    }

    pub(crate) fn reach(&self, n_changes: usize) {
        let until = Instant::now() + PATIENCE;
        while self.changes().len() < n_changes {
            assert!(Instant::now() < until, "no change arrived");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Moves a server like somebody else.
    pub(crate) fn move_to(&self, id: &str, copystate: &str, cycle: &str) {
        let body = format!(r#"{{"copystate":"{copystate}","migrationcycle":"{cycle}"}}"#);
        self.ask(&format!(
            "POST /_sandbox/move/{id} HTTP/1.0\r\nhost: sandbox\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
    }

    /// Voids every token issued so far.
    pub(crate) fn expire_tokens(&self) {
        self.ask("POST /_sandbox/expire HTTP/1.0\r\nhost: sandbox\r\ncontent-length: 0\r\n\r\n");
    }

    /// Returns a token issued now.
    pub(crate) fn fresh_token(&self) -> String {
        let body = format!(r#"{{"auth":{{"identity":{{"password":{{"user":{{"password":"{TOKEN}"}}}}}}}}}}"#);
        let request =
            format!("POST /v3/auth/tokens HTTP/1.0\r\nhost: sandbox\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let (head, _) = self.exchange(&request);
        head.lines().find_map(|line| line.strip_prefix("x-subject-token: ")).unwrap().to_owned()
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.0\r\nhost: sandbox\r\n\r\n"))
    }

    fn ask(&self, request: &str) -> String {
        let (head, body) = self.exchange(request);
        assert!(head.split(' ').nth(1) == Some("200"), "{head}");
        body
    }

    /// Sends one request by HTTP/1.0, so that the answer ends with the connection.
    fn exchange(&self, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn signal(name: &str, pid: u32) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(status.success());
}

fn lines<T: for<'a> Deserialize<'a>>(text: &str) -> Vec<T> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Journal, read through its public views.
pub(crate) struct Journal {
    conn: Connection,
}

/// Row of `v_row`.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) source_id: String,
    pub(crate) copystate: Option<String>,
    pub(crate) migrationcycle: Option<String>,
    pub(crate) verdict: String,
    pub(crate) reason: String,
    pub(crate) attempts: u32,
}

impl Row {
    pub(crate) fn is_settled(&self) -> bool {
        self.verdict != "pending" && self.verdict != "in_doubt"
    }

    pub(crate) fn is_on_target(&self, truth: &Truth) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        same(&self.copystate, &truth.copystate) && same(&self.migrationcycle, &truth.migrationcycle)
    }
}

impl Journal {
    /// Opens the journal for reading only, so that the files of a killed process stay as they are.
    pub(crate) fn open(path: &Path) -> Self {
        let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        conn.busy_timeout(PATIENCE).unwrap();
        Self { conn }
    }

    /// Returns the rows of the latest run, in plan order.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut statement = self
            .conn
            .prepare(
                "SELECT source_id, copystate, migrationcycle, verdict, coalesce(reason, ''), attempts FROM v_row
                 WHERE run = (SELECT id FROM run ORDER BY run DESC LIMIT 1) ORDER BY row",
            )
            .unwrap();
        let rows = statement.query_map([], |row| {
            Ok(Row {
                source_id: row.get(0)?,
                copystate: row.get(1)?,
                migrationcycle: row.get(2)?,
                verdict: row.get(3)?,
                reason: row.get(4)?,
                attempts: row.get(5)?,
            })
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    pub(crate) fn row(&self, id: &str) -> Row {
        self.rows().into_iter().find(|row| row.source_id == id).unwrap()
    }

    #[track_caller]
    pub(crate) fn ends_in(&self, id: &str, verdict: &str) -> Row {
        let row = self.row(id);
        assert_eq!(row.verdict, verdict, "{id}: {}", row.reason);
        row
    }

    /// Counts the rows of each verdict.
    pub(crate) fn tally(&self) -> HashMap<String, usize> {
        let mut tally = HashMap::new();
        for row in self.rows() {
            *tally.entry(row.verdict).or_default() += 1;
        }
        tally
    }

    pub(crate) fn count(&self, sql: &str) -> usize {
        self.conn.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub(crate) fn text(&self, sql: &str) -> String {
        self.conn.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Returns one value as text, whatever its type.
    pub(crate) fn value(&self, sql: &str) -> String {
        shown(self.conn.query_row(sql, [], |row| row.get(0)).unwrap())
    }

    /// Returns every value of every line as text, whatever its type.
    pub(crate) fn table(&self, sql: &str) -> Vec<Vec<String>> {
        let mut statement = self.conn.prepare(sql).unwrap();
        let n_columns = statement.column_count();
        let lines = statement.query_map([], |row| (0..n_columns).map(|i| Ok(shown(row.get(i)?))).collect());
        lines.unwrap().map(Result::unwrap).collect()
    }

    pub(crate) fn n_events(&self, kind: &str) -> usize {
        self.count(&format!("SELECT count(*) FROM event WHERE kind = '{kind}'"))
    }

    /// Counts the attempts of the latest run that may have left, by source: each that began and did not end as unsent.
    fn sent(&self) -> HashMap<String, usize> {
        let mut statement = self
            .conn
            .prepare(
                "SELECT source_id, count(*) FROM v_attempt WHERE outcome IS NOT 'unsent'
                 AND run = (SELECT id FROM run ORDER BY run DESC LIMIT 1) GROUP BY 1",
            )
            .unwrap();
        let sent = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        sent.unwrap().map(Result::unwrap).collect()
    }
}

fn shown(value: rusqlite::types::Value) -> String {
    match value {
        rusqlite::types::Value::Null => "null".to_owned(),
        rusqlite::types::Value::Integer(number) => number.to_string(),
        rusqlite::types::Value::Real(number) => number.to_string(),
        rusqlite::types::Value::Text(text) => text,
        rusqlite::types::Value::Blob(bytes) => format!("{bytes:?}"),
    }
}

/// State of things when the books were last balanced.
#[derive(Default)]
pub(crate) struct Balance {
    /// Settled rows, each with the number of changes that the server had seen of it.
    settled: HashMap<String, usize>,
}

/// Checks the four rules that hold after every kill: (1) the server never saw a change that the journal does not have as
/// begun; (2) no settled row was sent again; (3) no row in doubt was sent again before it was read; (4) every row that the
/// journal calls done is on target at the server.
#[track_caller]
pub(crate) fn balance_the_books(sandbox: &Served, journal: &Journal, before: Balance) -> Balance {
    let (rows, sent) = (journal.rows(), journal.sent());
    let (ledger, truth) = (sandbox.ledger(), sandbox.truth());
    let mut n_changes: HashMap<String, usize> = HashMap::new();
    for change in ledger.iter().filter(|request| request.is_change()) {
        *n_changes.entry(change.source_id.clone().unwrap()).or_default() += 1;
    }
    for (id, n) in &n_changes {
        let n_sent = sent.get(id).copied().unwrap_or(0);
        assert!(*n <= n_sent, "rule 1: the server saw {n} changes of {id}, the journal knows {n_sent}");
    }
    for (id, n) in before.settled {
        assert_eq!(n_changes.get(&id).copied().unwrap_or(0), n, "rule 2: {id} was settled and sent again");
    }
    nothing_is_sent_again_unseen(&ledger);
    for row in rows.iter().filter(|row| row.verdict == "applied" || row.verdict == "already") {
        assert!(row.is_on_target(&truth[&row.source_id]), "rule 4: {row:?} is {:?}", truth[&row.source_id]);
    }
    let settled = rows.into_iter().filter(Row::is_settled);
    Balance {
        settled: settled
            .map(|row| (row.source_id.clone(), n_changes.get(&row.source_id).copied().unwrap_or(0)))
            .collect(),
    }
}

/// Checks rule 3: an answer of 4xx means that nothing was done; after any other ending, an answered read comes first.
#[track_caller]
pub(crate) fn nothing_is_sent_again_unseen(ledger: &[Request]) {
    let mut in_doubt: HashMap<&str, &Request> = HashMap::new();
    for request in ledger {
        match request.source_id.as_deref() {
            Some(id) if request.is_change() => {
                if let Some(first) = in_doubt.get(id) {
                    panic!("rule 3: {id} was sent again before it was read\n{first:?}\n{request:?}");
                }
                if request.status.is_none_or(|status| !(400..500).contains(&status)) {
                    in_doubt.insert(id, request);
                }
            }
            Some(id) if request.shows(id) => _ = in_doubt.remove(id),
            _ => request.ids.iter().for_each(|id| _ = in_doubt.remove(id.as_str())),
        }
    }
}
