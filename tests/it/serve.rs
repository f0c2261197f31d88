//! Pages over a journal: access, content, and no delay for the launch that writes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::lab::home::Lab;
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::tools;

/// `cutover serve`, until it is dropped.
pub(crate) struct Site {
    child: Child,
    pub(crate) url: String,
    /// Link as it was printed, for a person to open.
    pub(crate) link: String,
    /// Cookie that the link was answered with; empty if everybody has access.
    cookie: String,
    latest: Option<String>,
}

impl Site {
    pub(crate) fn over(lab: &Lab, variables: &[(&str, &str)]) -> Self {
        Self::with(lab, variables, &["--listen", "127.0.0.1:0"])
    }

    fn with(lab: &Lab, variables: &[(&str, &str)], args: &[&str]) -> Self {
        let mut command = lab.command(&[&["serve"], args].concat());
        command.stderr(std::fs::File::create(lab.path("serve.err")).unwrap());
        let mut child = command.envs(variables.iter().copied()).spawn().unwrap();
        let mut link = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut link).unwrap();
        assert!(link.starts_with("http://"), "it did not start: {link:?}");
        let latest =
            lab.path("cutover.db").exists().then(|| lab.journal().text("SELECT id FROM run ORDER BY run DESC"));
        let link = link.trim().to_owned();
        let url = link.split("/?").next().unwrap().to_owned();
        let mut site = Self { child, url, link, cookie: String::new(), latest };
        if let Some(query) = site.link.split_once("/?").map(|(_, query)| query.to_owned()) {
            let answer = site.get(&format!("/?{query}"));
            assert!(status(&answer) == "303" && answer.contains("location: /\r\n"), "{answer}");
            let cookie = answer.split_once("set-cookie: ").unwrap().1.split_once(';').unwrap();
            assert!(cookie.1.starts_with(" Path=/; HttpOnly; SameSite=Strict\r\n"), "{answer}");
            site.cookie = format!("cookie: {}\r\n", cookie.0);
        }
        site
    }

    /// Returns the path of the latest run's page.
    pub(crate) fn run(&self) -> String {
        format!("{}/runs/{}", self.url, self.latest.as_deref().unwrap())
    }

    fn host(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    fn connect(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.host().replace("0.0.0.0", "127.0.0.1")).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// Returns the whole answer to a request with these headers.
    fn ask(&self, method: &str, path: &str, headers: &str) -> String {
        let mut text = String::new();
        let request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n{}{headers}\r\n", self.cookie);
        self.connect(&request).read_to_string(&mut text).unwrap();
        text
    }

    /// Returns the whole answer to whoever has no cookie, and these headers.
    pub(crate) fn answers(&self, path: &str, headers: &str) -> String {
        let mut text = String::new();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}\r\n", self.host());
        self.connect(&request).read_to_string(&mut text).unwrap();
        text
    }

    fn get(&self, path: &str) -> String {
        self.ask("GET", path, &format!("host: {}\r\n", self.host()))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

/// Makes a journal with one run of five rows on target.
fn done() -> Lab {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(5, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off"]).exits(0);
    lab
}

#[test]
fn whoever_comes_by_another_name_or_would_change_something_is_turned_away() {
    let _machine = shared();
    let lab = done();
    let site = Site::with(&lab, &[], &["--listen", "127.0.0.1:0", "--allow-host", "war-room"]);
    for (host, code) in
        [(site.host(), "200"), ("localhost", "200"), ("war-room:80", "200"), ("evil.example", "421"), ("", "421")]
    {
        assert_eq!(status(&site.ask("GET", "/", &format!("host: {host}\r\n"))), code, "{host}");
    }
    assert_eq!(status(&site.ask("GET", "http://evil.example/", "host: localhost\r\n")), "421");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(status(&site.ask(method, "/", "host: localhost\r\ncontent-length: 0\r\n")), "405", "{method}");
    }
    let answer = site.get("/");
    for header in [
        "content-security-policy: default-src 'none'",
        "x-content-type-options: nosniff",
        "x-frame-options: DENY",
        "referrer-policy: no-referrer",
        "cache-control: no-store",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(answer.to_lowercase().contains(&header.to_lowercase()), "{header}: {answer}");
    }
    assert!(!answer.to_lowercase().contains("set-cookie"));
}

#[test]
fn the_list_names_keys_marks_what_failed_and_counts_what_is_in_archives() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(5, "stopped,syncing"));
    lab.write("more.csv", &plan(6, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    lab.launch(&sandbox, &["run", "plan.csv", "--rate", "off", "--run-key", "monday"]).exits(0);
    let site = Site::over(&lab, &[]);
    let told = site.get("/");
    assert!(told.contains("<th scope=\"col\">key</th>") && told.contains("<td>monday</td>"), "{told}");
    assert!(!told.contains("failed") && !told.contains("taken out"), "{told}");
    lab.cutover(&["journal", "prune", "--keep", "0d", "--archive", "old"]).exits(0);
    let told = site.get("/");
    assert!(told.contains("The journal holds no run any more."), "{told}");
    assert!(told.contains("<p>1 run was taken out of it, and is not listed here: "), "{told}");
    lab.launch(&sandbox, &["run", "more.csv", "--rate", "off"]).exits(1);
    let told = site.get("/");
    assert!(told.contains("<tr class=\"off\">"), "{told}");
    assert!(
        told.contains("<td>-</td>") && told.contains("<td><strong>failed</strong>: 1 not_on_target</td>"),
        "{told}"
    );
}

#[test]
fn elsewhere_than_on_this_machine_it_needs_a_token() {
    const TOKEN: &str = "correct-horse-battery";
    let _machine = shared();
    let lab = done();
    lab.cutover(&["serve", "--listen", "0.0.0.0:0"])
        .exits(2)
        .says("needs a token")
        .says("hint: set CUTOVER_SERVE_TOKEN");
    let weak = lab.command(&["serve", "--listen", "0.0.0.0:0"]).env("CUTOVER_SERVE_TOKEN", "short").output().unwrap();
    assert_eq!(weak.status.code(), Some(2));
    lab.write("token", &format!("{TOKEN}\n"));
    lab.cutover(&["serve", "--token-file", "nosuch"]).exits(2).says("could not read `nosuch`");
    let unreadable = std::os::unix::ffi::OsStrExt::from_bytes(b"correct-horse-battery\xff");
    let unreadable: &std::ffi::OsStr = unreadable;
    let odd =
        lab.command(&["serve", "--listen", "127.0.0.1:0"]).env("CUTOVER_SERVE_TOKEN", unreadable).output().unwrap();
    assert_eq!(odd.status.code(), Some(2), "without a word it would be no token at all");
    let by_variable = Site::with(&lab, &[("CUTOVER_SERVE_TOKEN", TOKEN)], &["--listen", "0.0.0.0:0"]);
    let by_file = Site::with(&lab, &[], &["--listen", "127.0.0.1:0", "--token-file", "token"]);
    for site in [by_variable, by_file] {
        let refused = site.get("/");
        assert_eq!(status(&refused), "401");
        assert!(refused.contains("www-authenticate: Basic"), "{refused}");
        let with = |authorization: &str| {
            site.ask("GET", "/", &format!("host: localhost\r\nauthorization: {authorization}\r\n"))
        };
        assert_eq!(status(&with(&format!("Bearer {TOKEN}"))), "200");
        // "ada:correct-horse-battery", as a browser encodes it.
        assert_eq!(status(&with("Basic YWRhOmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ==")), "200");
        assert_eq!(status(&with("Bearer wrong-horse-battery")), "401");
    }
}

#[test]
fn pages_that_are_not_there_say_so_and_reports_are_those_of_the_verb() {
    let _machine = shared();
    let lab = done();
    let site = Site::over(&lab, &[]);
    let run = site.run().replace(&site.url, "");
    for (path, code) in [
        ("/nosuch".to_owned(), "404"),
        ("/runs/nosuch".to_owned(), "404"),
        (format!("{run}/rows/6"), "404"),
        (format!("{run}/rows/0"), "404"),
        (format!("{run}/rows/x"), "404"),
        (format!("{run}/report/pdf"), "404"),
        (format!("{run}/rows/5"), "200"),
        (format!("{run}/rows?page=99&verdict=applied&find=vm"), "200"),
        (format!("{run}/rows?page=-1&find={}", "a".repeat(60_000)), "200"),
        ("/runs/%ff".to_owned(), "400"),
    ] {
        assert_eq!(status(&site.get(&path)), code, "{path}");
    }
    for format in ["csv", "html", "json", "junit", "md"] {
        lab.cutover(&["report", "--format", format, "-o", "by_verb"]).exits(0);
        let by_verb = std::fs::read_to_string(lab.path("by_verb")).unwrap();
        let answer = site.get(&format!("{run}/report/{format}"));
        assert_eq!(status(&answer), "200");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-disposition: attachment"), "{head}");
        assert_eq!(body, by_verb, "{format}");
    }
    lab.cutover(&["serve", "--journal", "nosuch.db"]).exits(2).says("there is no journal");
    let taken = site.host().to_owned();
    lab.cutover(&["serve", "--listen", &taken]).exits(2).says("could not listen on").says("another port");
}

/// Reads events until one contains this text.
fn hears(stream: TcpStream, text: &str) -> bool {
    BufReader::new(stream).lines().map_while(Result::ok).any(|line| line.contains(text))
}

#[test]
fn two_hundred_pages_hear_the_end_of_a_run_that_did_not_wait_for_them() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(300, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let launch = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "100"]);
    assert!(launch.reaches("attempt_ended"));
    let site = Site::over(&lab, &[]);
    let run = site.run().replace(&site.url, "");
    let request = format!("GET {run}/live HTTP/1.1\r\nhost: {}\r\n{}\r\n", site.host(), site.cookie);
    let pages: Vec<TcpStream> = (0..200).map(|_| site.connect(&request)).collect();
    // Some clients never read, and nobody waits for them.
    let _idle: Vec<TcpStream> = (0..20).map(|_| site.connect(&request)).collect();
    let heard: Vec<_> =
        pages.into_iter().map(|page| std::thread::spawn(move || hears(page, "All 300 rows are on target."))).collect();
    launch.end().exits(0);
    assert!(heard.into_iter().all(|page| page.join().unwrap()));
    // Its other pages are still answered.
    assert_eq!(status(&site.get(&run)), "200");
}

#[test]
fn a_journal_that_is_gone_or_another_one_is_noticed() {
    let _machine = shared();
    let lab = done();
    let site = Site::over(&lab, &[]);
    let run = site.run().replace(&site.url, "");
    assert_eq!(status(&site.get(&run)), "200");
    let request =
        format!("GET {run}/live HTTP/1.1\r\nhost: {}\r\n{}connection: close\r\n\r\n", site.host(), site.cookie);
    let mut page = site.connect(&request);
    let aside = |suffix: &str| (lab.path(&format!("cutover.db{suffix}")), lab.path(&format!("aside.db{suffix}")));
    for (from, to) in ["", "-wal", "-shm"].map(aside) {
        if from.exists() {
            std::fs::rename(from, to).unwrap();
        }
    }
    let gone = site.get("/");
    assert!(status(&gone) == "500" && gone.contains("there is no journal"), "{gone}");
    // The page is disconnected, asks again, and gets the error.
    page.read_to_string(&mut String::new()).expect("it ends before patience does");
    let other = done();
    std::fs::copy(other.path("cutover.db"), lab.path("cutover.db")).unwrap();
    assert!(site.get("/").contains(&other.journal().text("SELECT id FROM run")));
    assert_eq!(status(&site.get(&run)), "404");
}

#[test]
fn it_ends_when_it_is_told_to_also_with_open_pages() {
    let _machine = shared();
    let lab = done();
    let mut site = Site::over(&lab, &[]);
    let run = site.run().replace(&site.url, "");
    let page = site.connect(&format!("GET {run}/live HTTP/1.1\r\nhost: {}\r\n{}\r\n", site.host(), site.cookie));
    // And a client that never completes its request.
    let _half = site.connect("GET / HTTP/1.1\r\nhost: loc");
    let mut first = [0; 15];
    (&page).read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    let began = Instant::now();
    let interrupt = format!("kill -INT {}", site.child.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    assert!(site.child.wait().unwrap().success());
    assert!(began.elapsed() < Duration::from_secs(10));
}

/// Returns the messages of the server.
fn said(lab: &Lab) -> String {
    std::fs::read_to_string(lab.path("serve.err")).unwrap()
}

#[test]
fn nobody_on_this_machine_reads_without_the_link_unless_that_is_asked_for() {
    let _machine = shared();
    let lab = done();
    let mut site = Site::over(&lab, &[]);
    let token = site.link.split_once("token=").unwrap().1.to_owned();
    assert_eq!(status(&site.get("/")), "200");
    let host = format!("host: {}\r\n", site.host());
    let bearer = |token: &str| format!("{host}authorization: Bearer {token}\r\n");
    let cookie = std::mem::take(&mut site.cookie);
    for path in ["/", &site.run().replace(&site.url, ""), "/style.css", "/nosuch"] {
        let refused = site.get(path);
        assert!(status(&refused) == "401" && !refused.contains("cutover.db"), "{path}: {refused}");
    }
    assert_eq!(status(&site.ask("GET", "/", &bearer(&token))), "200");
    // The token in a link to any page.
    let answer = site.get(&format!("/runs/x/rows?find=a%26b&token={token}"));
    assert!(answer.contains("location: /runs/x/rows?find=a%26b\r\n"), "{answer}");
    // Wrong tokens are delayed and counted.
    let wrong = [bearer("wrong-wrong-wrong-wrong"), format!("{host}{}x\r\n", cookie.trim_end())];
    let began = Instant::now();
    for headers in &wrong {
        assert_eq!(status(&site.ask("GET", "/", headers)), "401");
    }
    assert_eq!(status(&site.get("/?token=wrong-wrong-wrong")), "401");
    assert!(began.elapsed() >= Duration::from_millis(1500), "{:?}", began.elapsed());
    assert_eq!(status(&site.ask("GET", "/", &bearer(&token))), "200");
    let said_so_far = said(&lab);
    assert!(said_so_far.contains("a wrong token from 127.0.0.1: 3 so far"), "{said_so_far}");
    assert!(!said_so_far.contains(&token) && !said_so_far.contains("wrong-wrong"), "{said_so_far}");
    let command_line = std::fs::read_to_string(format!("/proc/{}/cmdline", site.child.id())).unwrap();
    assert!(!command_line.contains(&token));
    drop(site);
    let open = Site::with(&lab, &[], &["--listen", "127.0.0.1:0", "--no-token"]);
    assert_eq!(open.link, open.url);
    assert_eq!(status(&open.get("/")), "200");
    assert!(said(&lab).contains("without a token everybody on this machine can read the journal"));
    lab.cutover(&["serve", "--listen", "0.0.0.0:0", "--no-token"]).exits(2).says("needs a token");
}

/// Cookies are sent to every port of a host, and so to a page of another user of this machine.
#[test]
fn a_cookie_that_another_user_of_this_machine_came_by_opens_nothing() {
    use std::os::unix::process::CommandExt as _;
    let _machine = shared();
    if tools::lack(&["bash", "timeout"]) {
        return;
    }
    let lab = done();
    let site = Site::over(&lab, &[]);
    let request = format!("GET / HTTP/1.1\r\nhost: {}\r\n{}connection: close\r\n\r\n", site.host(), site.cookie);
    let (ip, port) = site.host().split_once(':').unwrap();
    let script = format!("exec 3<>/dev/tcp/{ip}/{port}; printf '%s' \"$0\" >&3; cat <&3");
    let asks = |as_user: Option<u32>| {
        let mut command = Command::new("timeout");
        command.args(["60", "bash", "-c", &script, &request]).current_dir("/");
        if let Some(user) = as_user {
            command.uid(user).gid(user);
        }
        command.output().ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(status(&asks(None).unwrap()), "200");
    let Some(stolen) = asks(Some(65_534)) else {
        println!("left out: only root can play two users");
        return;
    };
    assert!(status(&stolen) == "401" && !stolen.contains("cutover.db"), "{stolen}");
    assert!(said(&lab).contains("a wrong token from 127.0.0.1: 1 so far"), "{}", said(&lab));
    // The cookie is still valid for its owner.
    assert_eq!(status(&asks(None).unwrap()), "200");
}

/// Counts the open files of the process without a name, which are reports being downloaded.
fn n_nameless(site: &Site) -> usize {
    let open = std::fs::read_dir(format!("/proc/{}/fd", site.child.id())).expect("root may look");
    let links = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.filter(|to| to.to_string_lossy().ends_with("(deleted)")).count()
}

#[track_caller]
fn comes_true(within: Duration, what: &str, is_true: impl Fn() -> bool) {
    let until = Instant::now() + within;
    while !is_true() {
        assert!(Instant::now() < until, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn who_leaves_a_large_report_or_takes_none_of_it_keeps_neither_a_file_nor_the_next_one_waiting() {
    if !std::fs::metadata("/proc/self").is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == 0) {
        println!("left out: only root sees the files of a process with secrets");
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    crate::browser::large(&lab.path("cutover.db"), 40_000);
    let mut site = Site::over(&lab, &[]);
    site.latest = Some("large".to_owned());
    let ask = |format: &str| {
        let (host, cookie) = (site.host(), &site.cookie);
        site.connect(&format!("GET /runs/large/report/{format} HTTP/1.1\r\nhost: {host}\r\n{cookie}\r\n"))
    };
    let nothing_is_left = || n_nameless(&site) == 0;
    comes_true(Duration::from_secs(10), "none before", nothing_is_left);
    // The client leaves before the first byte of the report: the work stops.
    let early = ask("json");
    comes_true(Duration::from_mins(1), "it is begun", || n_nameless(&site) > 0);
    drop(early);
    comes_true(Duration::from_secs(10), "the work stops", nothing_is_left);
    // The client leaves in the middle of the report.
    let mut halfway = ask("json");
    let mut beginning = [0; 10_000];
    halfway.read_exact(&mut beginning).unwrap();
    assert!(beginning.starts_with(b"HTTP/1.1 200 OK") && n_nameless(&site) > 0);
    drop(halfway);
    comes_true(Duration::from_secs(10), "the file goes with its reader", nothing_is_left);
    // A client that reads nothing is disconnected, and its report is dropped.
    let mut silent = ask("json");
    silent.read_exact(&mut [0; 1]).unwrap();
    let began = Instant::now();
    assert_eq!(status(&site.get("/runs/large")), "200", "nobody waits for it");
    comes_true(Duration::from_mins(1), "who takes nothing is let go", nothing_is_left);
    assert!(began.elapsed() > Duration::from_secs(20), "{:?}", began.elapsed());
    let mut rest = Vec::new();
    let is_cut_off = silent.read_to_end(&mut rest).is_err() || !rest.ends_with(b"}\n");
    assert!(is_cut_off, "{} bytes", rest.len());
    // A client that reads gets the whole report.
    let csv = site.get("/runs/large/report/csv");
    assert!(status(&csv) == "200" && csv.lines().filter(|line| line.contains(",vm-")).count() == 40_000);
}

#[test]
fn who_stalls_in_the_middle_of_a_head_is_let_go_also_when_bytes_trickle() {
    let _machine = shared();
    let lab = done();
    let site = Site::over(&lab, &[]);
    let began = Instant::now();
    let mut trickling = site.connect("GET / HTTP/1.1\r\nhost: loc");
    let mut n_bytes = 0;
    while trickling.write_all(b"a").is_ok() {
        n_bytes += 1;
        assert!(began.elapsed() < Duration::from_secs(40), "{n_bytes} bytes are waited for");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(status(&site.get("/")), "200");
}

/// Names from a row, a plan or the service stay text on every page and in every link.
#[test]
fn no_page_holds_what_somebody_wrote_as_anything_but_text() {
    const HOSTILE: [&str; 5] = [
        "</title><script>hacked=1</script>",
        "\"' onmouseover='hacked=1' x=\"",
        "a\u{202e}b\u{2066}c\u{200b}\u{e0041}",
        "<!--><img src=x onerror=hacked=1>",
        "{{7*7}}${7*7}%3Cscript%3E]]>",
    ];
    let _machine = shared();
    let lab = Lab::new();
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let header = "source_id,copystate,migrationcycle,name,wave,note,<script>column</script>\n".to_owned();
    let row = |(i, text): (usize, &&str)| {
        let (cell, id) = (quoted(text), quoted(&format!("<b>vm{i}")));
        format!("{id},stopped,syncing,{cell},{cell},{cell},{cell}\n")
    };
    let rows: String = std::iter::once(header).chain(HOSTILE.iter().enumerate().map(row)).collect();
    let name = "<script>plan<'\">.csv".replace('/', "");
    lab.write(&name, &rows);
    let message = serde_json::to_string(&HOSTILE.join(" ")).unwrap();
    let fault =
        format!("[[fault]]\nshare = 1.0\nkind = \"status\"\nstatus = 400\ncode = \"<i>\"\nmessage = {message}\n");
    let sandbox = lab.serve(&name, &fault);
    lab.launch(&sandbox, &["run", &name, "--allow-unknown"]).exits(1);
    let site = Site::over(&lab, &[]);
    let run = site.run().replace(&site.url, "");
    let asked = "%3Cscript%3Ehacked%3D1%3C%2Fscript%3E%22%27%3E%E2%80%AE";
    let pages = [
        "/".to_owned(),
        run.clone(),
        format!("{run}/rows"),
        format!("{run}/rows?find={asked}&verdict={asked}&page=1"),
        format!("{run}/rows/1"),
        format!("{run}/rows/3"),
        format!("{run}/rows/{asked}"),
        format!("/runs/{asked}"),
        format!("/{asked}"),
        format!("{run}/report/{asked}"),
        format!("{run}/report/html"),
    ];
    for page in pages {
        let answer = site.get(&page);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-security-policy: default-src 'none'; style-src 'self'"), "{page}: {head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{page}: {head}");
        // A report is a page of its own, with its own script.
        let scripts = if page.ends_with("html") { "<script>hacked" } else { "<script>" };
        for raw in [scripts, "<img", "<b>vm", "<i>", "<!-->", "onmouseover='hacked", "\" onmouseover"] {
            assert!(!body.contains(raw), "{page}: {raw}: {body}");
        }
        let shows = [format!("{run}/rows"), format!("{run}/rows/1"), format!("{run}/report/html")].contains(&page);
        assert!(
            !shows || body.contains("script&#62;hacked=1") || body.contains("script&gt;hacked=1"),
            "{page}: {body}"
        );
        let odd = body.chars().find(|character| matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
        assert!(odd.is_none(), "{page}: {odd:?}");
    }
    let live = format!("GET {run}/live HTTP/1.1\r\nhost: {}\r\n{}\r\n", site.host(), site.cookie);
    let mut first = [0; 4096];
    let mut stream = site.connect(&live);
    let n_read = stream.read(&mut first).unwrap();
    assert!(String::from_utf8_lossy(&first[..n_read]).contains("content-type: text/event-stream"));
}

#[test]
fn who_says_nothing_or_too_much_does_not_stay_and_keeps_nobody_out() {
    let _machine = shared();
    let lab = done();
    let site = Site::over(&lab, &[]);
    let began = Instant::now();
    // More connections than there is room for, none of which completes its request.
    let mut slow: Vec<TcpStream> = (0..600).map(|_| site.connect("GET / HTTP/1.1\r\nhost: loc")).collect();
    assert_eq!(status(&site.get("/")), "200");
    // The last of them is closed as well, and soon.
    let mut rest = Vec::new();
    _ = slow.pop().unwrap().read_to_end(&mut rest);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let host = format!("host: {}\r\n", site.host());
    for (body, code) in
        [("content-length: 5\r\n", "413"), ("transfer-encoding: chunked\r\n", "413"), ("content-length: 0\r\n", "200")]
    {
        assert_eq!(status(&site.ask("GET", "/", &format!("{host}{body}"))), code, "{body}");
    }
    let long = format!("{host}x-long: {}\r\n", "a".repeat(200_000));
    let mut answer = Vec::new();
    let mut stream = site.connect("");
    _ = stream.write_all(format!("GET / HTTP/1.1\r\n{long}\r\n").as_bytes());
    _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(status(&site.get("/")), "200");
}
