//! Answers that contradict the question or each other are failed looks, which neither prove nor disprove anything.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Duration;

use serde_json::Value;

use crate::lab::home::Lab;
use crate::lab::journal::hold_up;
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::{id, plan};
use crate::peer::{Answer, Asked, page, serve, server};

const FAST: [&str; 12] = [
    "run",
    "plan.csv",
    "--yes",
    "--no-progress",
    "--rate",
    "off",
    "--attempts",
    "1",
    "--verify-timeout",
    "1s",
    "--timeout",
    "5s",
];

/// Answers for an estate in which a change moves its source to the target, and the list shows all sources.
fn estate(n: usize) -> impl Fn(&Asked) -> Answer {
    let is_there = Mutex::new(vec![false; n + 1]);
    move |asked| {
        let mut is_there = is_there.lock().unwrap();
        let source = |i: usize, is_there: bool| server(&id(i), if is_there { "stopped" } else { "syncing" }, "syncing");
        if asked.is_page() {
            let from = asked.offset();
            let shown: Vec<String> = (1..=n).skip(from).take(200).map(|i| source(i, is_there[i])).collect();
            return Answer::new(200, page(n, &shown));
        }
        let i: usize = asked.id().trim_start_matches("vm-").parse().unwrap();
        if asked.is_change() {
            is_there[i] = true;
            return Answer::new(200, "{}");
        }
        Answer::new(200, source(i, is_there[i]))
    }
}

/// Runs a plan of `n` rows against an estate whose pages may be replaced by `falsify`.
fn run_with_pages(n: usize, falsify: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> (Lab, String) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(n, "stopped,syncing"));
    let truly = estate(n);
    let endpoint = serve(move |asked| {
        let falsified = if asked.is_page() { falsify(asked) } else { None };
        falsified.unwrap_or_else(|| truly(asked))
    });
    (lab, endpoint)
}

#[test]
fn a_page_that_shows_a_source_twice_and_not_the_same_proves_nothing_of_it() {
    let _machine = shared();
    let orders: [&[&str]; 4] =
        [&["stopped", "syncing"], &["syncing", "stopped"], &["stopped", "syncing", "stopped"], &["stopped", "error"]];
    for orders in orders {
        // The id in other letter cases, and with another source in between.
        let mut shown = vec![server(&id(1), orders[0], "syncing"), server(&id(2), "syncing", "syncing")];
        shown.extend(orders[1..].iter().map(|state| server(&id(1).to_uppercase(), state, "syncing")));
        let (lab, endpoint) = run_with_pages(2, move |_| Some(Answer::new(200, page(2, &shown))));
        lab.cutover(&[&FAST[..], &["--endpoint", &endpoint]].concat());
        // A client that believed either would find it there already, or never see it arrive.
        let row = lab.journal().ends_in(&id(1), "applied");
        assert_eq!(row.attempts, 1, "{orders:?}");
    }
}

#[test]
fn what_two_pages_of_a_sweep_do_not_show_the_same_is_asked_for_by_its_id() {
    let _machine = shared();
    let n = 250;
    // The first row is on the second page as well, and on target already if that page is believed.
    let (lab, endpoint) = run_with_pages(n, move |asked| {
        let from = asked.offset();
        (from >= 200).then(|| {
            let mut shown: Vec<String> = (201..=n).map(|i| server(&id(i), "syncing", "syncing")).collect();
            shown.push(server(&id(1), "stopped", "syncing"));
            Answer::new(200, page(n + 1, &shown))
        })
    });
    lab.cutover(&["plan", "plan.csv", "--endpoint", &endpoint]).exits(0);
    let told = lab.cutover(&["plan", "plan.csv", "--json", "--endpoint", &endpoint]).exits(0).stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["counts"]["change"], &told["counts"]["already"]), (&n.into(), &0.into()), "{told:#}");
}

#[test]
fn a_page_with_more_entries_than_were_asked_for_is_none() {
    let _machine = shared();
    let shown: Vec<String> = (1..=201).map(|i| server(&id(i), "stopped", "syncing")).collect();
    let lies = page(201, &shown);
    let (lab, endpoint) = run_with_pages(2, move |_| Some(Answer::new(200, lies.clone())));
    lab.cutover(&[&FAST[..], &["--endpoint", &endpoint]].concat()).exits(0);
    assert_eq!(lab.journal().ends_in(&id(1), "applied").attempts, 1);
    let ended = lab.cutover(&["sources", "list", "--attempts", "1", "--endpoint", &endpoint]).exits(8);
    assert!(ended.stderr.contains("the page has 201 entries, and 200 were asked for"), "{}", ended.stderr);
}

#[test]
fn an_answer_in_an_encoding_that_nobody_asked_for_is_named_and_proves_nothing() {
    let _machine = shared();
    let asked_for = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked_for);
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let truly = estate(1);
    let endpoint = serve(move |asked| {
        seen.lock().unwrap().push(asked.headers.get("accept-encoding").cloned());
        let answer = truly(asked);
        if !asked.is_change() {
            return answer;
        }
        // The first bytes of gzip, with its header and without.
        Answer { body: vec![0x1f, 0x8b, 8, 0, 0, 0], ..answer.with("content-encoding", "gzip") }
    });
    lab.cutover(&[&FAST[..], &["--endpoint", &endpoint]].concat()).exits(0);
    lab.journal().ends_in(&id(1), "applied");
    let story = lab.cutover(&["explain", &id(1)]).exits(0).stdout;
    assert!(story.contains("the answer is in the encoding `gzip`, which was not asked for"), "{story}");
    assert!(asked_for.lock().unwrap().iter().all(|asked| asked.as_deref() == Some("identity")));
}

#[test]
fn another_source_than_was_asked_for_is_not_shown() {
    let _machine = shared();
    let lab = Lab::new();
    for body in [server("vm-2", "stopped", "syncing"), r#"{"state":"stopped","name":"vm-1"}"#.to_owned()] {
        let endpoint = serve(move |_| Answer::new(200, body.clone()));
        let args = ["sources", "show", "vm-1", "--attempts", "1", "--endpoint", &endpoint];
        let ended = lab.cutover(&args).exits(8);
        assert!(!ended.stdout.contains("stopped"), "{}", ended.stdout);
        assert!(ended.stderr.contains("which source it is about") || ended.stderr.contains("is about another source"));
    }
}

/// The list is forbidden, so that each row is looked at by its id; the change is accepted and never made.
#[test]
fn an_answer_by_id_without_that_id_is_a_failed_look() {
    let _machine = shared();
    for body in [
        r#"{"state":"stopped","migration_cycle":"syncing"}"#.to_owned(),
        r#"{"id":null,"state":"stopped","migration_cycle":"syncing"}"#.to_owned(),
        r#"{"id":1,"state":"stopped","migration_cycle":"syncing"}"#.to_owned(),
        server("vm-00002", "stopped", "syncing"),
        format!("[{}]", server("vm-00001", "stopped", "syncing")),
        format!(r#"{{"source_server":{}}}"#, server("vm-00001", "stopped", "syncing")),
    ] {
        let lab = Lab::new();
        lab.write("plan.csv", &plan(1, "stopped,syncing"));
        let (is_changed, lies) = (AtomicBool::new(false), body.clone());
        let endpoint = serve(move |asked| {
            if asked.is_page() {
                return Answer::new(403, r#"{"error_code":"SMS.9004","error_msg":"no"}"#);
            }
            if asked.is_change() {
                is_changed.store(true, Ordering::Relaxed);
                return Answer::new(200, "{}");
            }
            let shown =
                if is_changed.load(Ordering::Relaxed) { lies.clone() } else { server(&id(1), "syncing", "syncing") };
            Answer::new(200, shown)
        });
        let ended = lab.cutover(&[&FAST[..], &["--endpoint", &endpoint]].concat());
        assert_ne!(ended.code, Some(0), "{body}");
        let row = lab.journal().row(&id(1));
        assert!(["unverified", "in_doubt"].contains(&row.verdict.as_str()), "{body}: {}", row.verdict);
    }
}

/// The service serves full pages without end, or an empty page whatever it counts.
#[test]
fn paging_ends_where_the_list_does_and_where_offsets_do() {
    let _machine = shared();
    let lab = Lab::new();
    let n_asked = Arc::new(AtomicUsize::new(0));
    let counted = |count: u64| count.to_string();
    for (n_full, count, n_pages) in [
        (usize::MAX, counted(u64::MAX), 328),
        (3, counted(u64::MAX), 4),
        (usize::MAX, counted(450), 3),
        (0, counted(9), 1),
        // A list without a count, or with one that is no number, is read to its end.
        (3, "null".to_owned(), 4),
        (3, "-1".to_owned(), 4),
        (0, "null".to_owned(), 1),
    ] {
        n_asked.store(0, Ordering::Relaxed);
        let (n_asked_of_it, said) = (Arc::clone(&n_asked), count.clone());
        let endpoint = serve(move |asked| {
            n_asked_of_it.fetch_add(1, Ordering::Relaxed);
            let from = asked.offset();
            let n = if from / 200 < n_full { 200 } else { 0 };
            let shown: Vec<String> = (from..from + n).map(|i| server(&id(i), "stopped", "syncing")).collect();
            Answer::new(200, format!(r#"{{"count":{said},"source_servers":[{}]}}"#, shown.join(",")))
        });
        let args = ["sources", "list", "--json", "--rate", "off", "--endpoint", &endpoint];
        let ended = lab.cutover(&args).exits(0);
        assert_eq!(n_asked.load(Ordering::Relaxed), n_pages, "{n_full} {count}");
        let told: Value = serde_json::from_str(&ended.stdout).unwrap();
        let n_shown = told["sources"].as_array().unwrap().len();
        assert_eq!(n_shown, 200 * n_full.min(n_pages), "{n_full} {count}");
        let total = count.parse().unwrap_or(n_shown as u64);
        assert_eq!((&told["total"], &told["complete"]), (&total.into(), &true.into()), "{n_full} {count}");
    }
}

/// A run asks for no page after an empty one in preflight, however many sources the service counts.
#[test]
fn a_run_does_not_page_behind_the_end_of_the_list() {
    let _machine = shared();
    let n_asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&n_asked);
    // More rows than there would be pages.
    let (lab, endpoint) = run_with_pages(350, move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Some(Answer::new(200, page(60_000, &[])))
    });
    lab.cutover(&[&FAST[..], &["--endpoint", &endpoint]].concat()).exits(0);
    assert!(n_asked.load(Ordering::Relaxed) < 40, "{}", n_asked.load(Ordering::Relaxed));
}

#[test]
fn a_list_is_printed_as_it_comes_and_one_that_breaks_off_says_so() {
    let _machine = shared();
    let lab = Lab::new();
    let endpoint = serve(|asked| {
        let from = asked.offset();
        if from >= 400 {
            return Answer::new(400, r#"{"error_code":"SMS.9001","error_msg":"no"}"#);
        }
        let shown: Vec<String> = (from..from + 200).map(|i| server(&id(i), "stopped", "syncing")).collect();
        Answer::new(200, page(1000, &shown))
    });
    let args = ["sources", "list", "--rate", "off", "--endpoint", &endpoint];
    let ended = lab.cutover(&[&args[..], &["--json"]].concat()).exits(8);
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((told["sources"].as_array().unwrap().len(), &told["complete"]), (400, &false.into()));
    let table = lab.cutover(&args).exits(8).stdout;
    assert_eq!(table.lines().count(), 401);
}

#[test]
fn a_list_that_contradicts_itself_is_no_list() {
    let _machine = shared();
    let lab = Lab::new();
    let endpoint = serve(|_| {
        let shown = [server("vm-1", "stopped", "syncing"), server("vm-1", "syncing", "syncing")];
        Answer::new(200, page(2, &shown))
    });
    let args = ["sources", "plan", "--endpoint", &endpoint, "--to-state", "stopped"];
    lab.cutover(&args).says("shows the source `vm-1` twice, and not the same").exits(8);
}

/// Useless content in an answer costs little: nesting without end, and lists of nothing.
#[test]
fn an_answer_of_nests_or_of_nothing_is_read_in_bounded_memory() {
    let _machine = shared();
    let lab = Lab::new();
    let nest = format!(r#"{{"count":1,"source_servers":[{{"id":"vm-1","state":{}"#, "[".repeat(1 << 20));
    let mut hollow = String::from(r#"{"count":1,"source_servers":["#);
    for _ in 0..6_000_000 {
        hollow.push_str("{},");
    }
    write!(hollow, "{{}}]}}").unwrap();
    for (body, says) in [(nest, "not the expected JSON"), (hollow, "6000001 entries, and 200 were asked for")] {
        let endpoint = serve(move |_| Answer::new(200, body.clone()));
        let args = ["sources", "list", "--attempts", "1", "--endpoint", &endpoint];
        let ended = Launch::start(lab.limited("ulimit -v 1500000", &args)).end();
        assert_eq!(ended.code, Some(8), "{}", ended.stderr);
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
    }
}

/// Gate that holds back answers for as long as a test keeps it shut.
#[derive(Clone, Default)]
struct Sluice(Arc<(Mutex<bool>, Condvar)>);

impl Sluice {
    fn pass(&self) {
        let (is_open, opened) = &*self.0;
        drop(opened.wait_while(is_open.lock().unwrap(), |is_open| !*is_open).unwrap());
    }

    fn open(&self) {
        let (is_open, opened) = &*self.0;
        *is_open.lock().unwrap() = true;
        opened.notify_all();
    }
}

#[test]
fn a_page_that_hangs_holds_back_no_look_that_another_page_has_shown() {
    let _machine = shared();
    let last = Sluice::default();
    let held = last.clone();
    let (lab, endpoint) = run_with_pages(450, move |asked| {
        if asked.offset() >= 400 {
            held.pass();
        }
        None
    });
    let args = [&FAST[..10], &["--timeout", "90s", "--events", "--endpoint", &endpoint]].concat();
    let launch = Launch::start(lab.command(&args));
    assert!(launch.reaches_nth("row_seen", 400));
    launch.signal("INT");
    launch.end().exits(130);
    assert_eq!(lab.journal().n_events("row_seen"), 400, "they stay");
    last.open();
}

#[test]
fn a_page_that_hangs_holds_back_no_verdict_that_another_page_proves() {
    let _machine = shared();
    let (reads, last) = (Sluice::default(), Sluice::default());
    let truly = estate(450);
    let (all, held, hangs) = (reads.clone(), last.clone(), AtomicBool::new(true));
    let endpoint = serve(move |asked| {
        if !asked.is_change() {
            all.pass();
        }
        // Once: on a busy machine the rows come in several sweeps, of which only so many are under way at a time.
        if asked.is_page() && asked.offset() >= 400 && hangs.swap(false, Ordering::Relaxed) {
            held.pass();
        }
        truly(asked)
    });
    let lab = Lab::new();
    lab.write("plan.csv", &plan(450, "stopped,syncing"));
    let patient =
        ["--preflight", "off", "--timeout", "90s", "--verify-timeout", "90s", "--rate", "off", "--no-progress"];
    let sent = [&["run", "plan.csv", "--yes", "--events", "--endpoint", &endpoint], &patient[..]].concat();
    let launch = Launch::start(lab.command(&sent));
    assert!(launch.reaches_nth("attempt_ended", 450));
    launch.kill();
    reads.open();
    let looks =
        Launch::start(lab.command(&[&["reconcile", "--events", "--endpoint", &endpoint], &patient[..]].concat()));
    assert!(looks.reaches_nth("row_settled", 400));
    last.open();
    looks.end().exits(0);
    assert_eq!(lab.journal().tally()["applied"], 450);
}

/// Rows answered by the first page are looked at again before they are sent, if the second page shows them otherwise or
/// contradicts itself about them.
#[test]
fn who_was_told_by_the_first_of_two_pages_that_contradict_each_other_is_looked_at_again_before_it_is_sent() {
    let _machine = shared();
    for doubles in [&["stopped"][..], &["syncing", "stopped"], &["stopped", "syncing"]] {
        let (n, last) = (250, Sluice::default());
        let held = last.clone();
        let changed = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&changed);
        let truly = estate(n);
        // The first row is on target already, by its own look and by the second page.
        let endpoint = serve(move |asked| {
            if asked.is_change() {
                seen.lock().unwrap().push(asked.id().to_owned());
            } else if asked.is_page() && asked.offset() >= 200 {
                held.pass();
                let mut shown: Vec<String> = (201..=n).map(|i| server(&id(i), "syncing", "syncing")).collect();
                shown.extend(doubles.iter().map(|state| server(&id(1), state, "syncing")));
                return Answer::new(200, page(n, &shown));
            } else if !asked.is_page() && asked.id() == id(1) {
                return Answer::new(200, server(&id(1), "stopped", "syncing"));
            }
            truly(asked)
        });
        let lab = Lab::new();
        lab.write("plan.csv", &plan(n, "stopped,syncing"));
        let args = [&FAST[..10], &["--timeout", "90s", "--events", "--endpoint", &endpoint]].concat();
        let launch = Launch::start(lab.command(&args));
        assert!(launch.reaches_nth("row_seen", 200));
        last.open();
        launch.end();
        lab.journal().ends_in(&id(1), "already");
        assert!(!changed.lock().unwrap().contains(&id(1)), "{doubles:?}");
    }
}

/// A row was looked at and its intent is being recorded, when two pages disagree about it, or one page with itself.
#[test]
fn what_pages_contradict_between_an_intent_and_its_request_is_looked_at_again_and_the_attempt_says_why() {
    let _machine = shared();
    for by_one_page in [false, true] {
        is_looked_at_again(by_one_page);
    }
}

fn is_looked_at_again(by_one_page: bool) {
    let n = 400;
    let (n_changes, is_told, journal) =
        (AtomicUsize::new(0), AtomicBool::new(false), Arc::new(OnceLock::<PathBuf>::new()));
    let of_client = Arc::clone(&journal);
    let truly = estate(n);
    let endpoint = serve(move |asked| {
        let n_sent = n_changes.fetch_add(asked.is_change().into(), Ordering::Relaxed);
        if !asked.is_page() || n_sent < 40 || is_told.load(Ordering::Relaxed) {
            return truly(asked);
        }
        // Rows that were not sent yet are all on the first page now, and the second shows them elsewhere.
        let those = |from, n_taken, state| -> Vec<String> {
            (from..=n).take(n_taken).map(|i| server(&id(i), state, "syncing")).collect()
        };
        if asked.offset() == 0 {
            return Answer::new(200, page(n, &those(n_sent + 1, 200, "syncing")));
        }
        is_told.store(true, Ordering::Relaxed);
        hold_up(of_client.get().unwrap(), Duration::from_secs(3));
        // Intents of the rows whose turn comes meanwhile wait for the disk.
        std::thread::sleep(Duration::from_secs(1));
        let from = n_changes.load(Ordering::Relaxed) + 1;
        // A page that shows each row twice: neither state is what the page before it showed.
        let doubles = [those(from, 100, "error"), those(from, 100, "premigready")].concat();
        Answer::new(200, page(n, &if by_one_page { doubles } else { those(from, 200, "error") }))
    });
    let lab = Lab::new();
    journal.set(lab.path("cutover.db")).unwrap();
    lab.write("plan.csv", &plan(n, "stopped,syncing"));
    let args = ["run", "plan.csv", "--yes", "--no-progress", "--rate", "100", "--endpoint", &endpoint];
    lab.cutover(&args).exits(0);
    let journal = lab.journal();
    let says = "the service showed it in two states at once before it was sent";
    let held_back = format!("SELECT count(*) FROM v_attempt WHERE outcome = 'unsent' AND error_msg = '{says}'");
    assert!(journal.count(&held_back) > 0);
    assert_eq!(journal.tally()["applied"], n);
}
