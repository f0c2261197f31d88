//! Runs with several accounts, each in a lane of its own.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cutover::event::lane::LaneId;
use cutover::event::row::RowEvent;
use cutover::journal::Journal;
use cutover::model::RowId;
use cutover::model::state::TargetState;

use crate::lab::books::nothing_is_sent_again_unseen;
use crate::lab::home::Lab;
use crate::lab::id;
use crate::lab::launch::Launch;
use crate::lab::machine::{alone, shared};
use crate::lab::served::{Request, Served, TOKEN};
use crate::pace::busiest_second;

/// Makes a plan of `n` rows that go to these targets in turn.
fn plan(n: usize, targets: &[&str]) -> String {
    let mut text = String::from("source_id,copystate,migrationcycle,target\n");
    for i in 1..=n {
        writeln!(text, "{},stopped,syncing,{}", id(i), targets[(i - 1) % targets.len()]).unwrap();
    }
    text
}

/// Makes a profile for each served sandbox, with its token in a variable of its own.
fn profiles(accounts: &[(&str, &Served)]) -> String {
    accounts.iter().fold(String::new(), |mut text, (name, served)| {
        writeln!(text, "[profiles.{name}]\nendpoint = \"{}\"\ntoken_env = \"TOKEN_{name}\"", served.url).unwrap();
        text
    })
}

fn begin(lab: &Lab, args: &[&str], tokens: &[(&str, &str)]) -> Launch {
    begin_only(lab, &[args, &["--events", "--no-progress", "--yes"]].concat(), tokens)
}

fn targets_of(changes: &[Request]) -> HashSet<String> {
    changes.iter().map(|change| change.source_id.clone().unwrap()).collect()
}

fn ids(which: impl Iterator<Item = usize>) -> HashSet<String> {
    which.map(id).collect()
}

#[test]
fn each_account_gets_its_own_rows_at_its_own_endpoint_with_its_own_token() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(60, &["a", "b", "c"]));
    let [a, b, c] = ["one", "two", "three"].map(|token| lab.serve_to("plan.csv", "", token));
    lab.write("cutover.toml", &profiles(&[("a", &a), ("b", &b), ("c", &c)]));
    let tokens = [("a", "one"), ("b", "two"), ("c", "three")];
    begin(&lab, &["run", "plan.csv", "--rate", "off"], &tokens).end().exits(0).says("account    b: 20 of 20 on target");
    for (n, served) in [&a, &b, &c].into_iter().enumerate() {
        let own = ids((1..=60).filter(|i| (i - 1) % 3 == n));
        assert_eq!(targets_of(&served.changes()), own, "{n}");
        assert!(served.ledger().iter().all(|request| request.status == Some(200)), "{n}");
    }
    let journal = lab.journal();
    assert_eq!(journal.count("SELECT count(*) FROM v_lane WHERE n_rows = 20 AND on_target = 20"), 3);
    // Each lane has a chain of its own, and all of them hold.
    assert_eq!(journal.count("SELECT count(DISTINCT lane) FROM event WHERE kind = 'attempt_ended'"), 3);
    lab.cutover(&["audit", "verify"]).exits(0);
}

#[test]
fn an_account_that_is_not_let_in_leaves_the_others_going_and_goes_on_later() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(40, &["a", "b"]));
    let (a, b) = (lab.serve_to("plan.csv", "", "one"), lab.serve_to("plan.csv", "", "two"));
    lab.write("cutover.toml", &profiles(&[("a", &a), ("b", &b)]));
    let ended = begin(&lab, &["run", "plan.csv", "--rate", "off"], &[("a", "one"), ("b", "wrong")]).end();
    ended.exits(5).says("account `b` is left out").says("account `b` stopped: ").says("b: 0 of 20 on target");
    assert_eq!((a.changes().len(), b.ledger().len()), (20, 1));
    let tally = lab.journal().tally();
    assert_eq!((tally["applied"], tally["pending"]), (20, 20));
    begin(&lab, &["resume", "--rate", "off"], &[("a", "one"), ("b", "two")]).end().exits(0);
    assert_eq!((a.changes().len(), b.changes().len()), (20, 20));
}

#[test]
fn an_account_that_is_frozen_halfway_leaves_the_others_going() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(60, &["a", "b"]));
    let a = lab.serve_to("plan.csv", "", TOKEN);
    let frozen = format!(
        "[[fault]]\nsources = [\"{}\"]\nkind = \"status\"\nstatus = 400\ncode = \"SMS.6526\"\nmessage = \"frozen\"\n",
        id(20)
    );
    let b = lab.serve_to("plan.csv", &frozen, TOKEN);
    lab.write("cutover.toml", &profiles(&[("a", &a), ("b", &b)]));
    let tokens = [("a", TOKEN), ("b", TOKEN)];
    let run = ["run", "plan.csv", "--rate", "off", "--concurrency", "1"];
    begin(&lab, &run, &tokens).end().exits(5).says("account `b` stopped: barred (400 SMS.6526): frozen");
    let journal = lab.journal();
    assert_eq!(journal.count("SELECT on_target FROM v_lane WHERE name = 'a'"), 30);
    // Changes before the barred one are proven if there was time for a look; rows after it were not begun.
    let accepted = "SELECT count(*) FROM v_row WHERE verdict IN ('in_doubt', 'applied') AND target = 'b'";
    let n_accepted = journal.count(accepted);
    assert_eq!(b.changes().len(), n_accepted + 1);
    assert!(n_accepted < 20, "{n_accepted}");
    begin(&lab, &["resume", "--rate", "off"], &tokens).end().exits(0);
    // The barred row is sent again, and the ones before it are not.
    assert_eq!(b.changes().len(), 31);
}

#[test]
fn an_account_that_cannot_be_reached_leaves_the_others_going() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(10, &["a", "b"]));
    let a = lab.serve_to("plan.csv", "", TOKEN);
    let gone =
        format!("{}[profiles.b]\nendpoint = \"http://127.0.0.1:1\"\ntoken_env = \"TOKEN_a\"\n", profiles(&[("a", &a)]));
    lab.write("cutover.toml", &gone);
    let run = ["run", "plan.csv", "--rate", "off", "--attempts", "1"];
    begin(&lab, &run, &[("a", TOKEN)]).end().exits(4).says("account `b` stopped: ").says("connection refused");
    assert_eq!(a.changes().len(), 5);
}

#[test]
fn no_wave_begins_in_any_account_before_the_one_ahead_of_it_is_over_in_all() {
    let _machine = shared();
    let lab = Lab::new();
    let mut plan = String::from("source_id,copystate,migrationcycle,target,wave\n");
    for (wave, n) in [("first", 0), ("second", 20)] {
        for i in 1..=20 {
            writeln!(plan, "{},stopped,syncing,{},{wave}", id(n + i), if i <= 18 { "a" } else { "b" }).unwrap();
        }
    }
    lab.write("plan.csv", &plan);
    let served = lab.serve_to("plan.csv", "latency_ms = [5, 10]", TOKEN);
    let endpoint = &served.url;
    let profile = |name: &str| format!("[profiles.{name}]\nendpoint = \"{endpoint}\"\ntoken_env = \"TOKEN_a\"\n");
    lab.write("cutover.toml", &(profile("a") + &profile("b")));
    begin(&lab, &["run", "plan.csv", "--rate", "off"], &[("a", TOKEN)]).end().exits(0);
    let changes = served.changes();
    let first = changes.iter().rposition(|change| change.source_id.as_deref() <= Some(&id(20))).unwrap();
    let second = changes.iter().position(|change| change.source_id.as_deref() > Some(&id(20))).unwrap();
    assert!(first < second, "the second wave began before the first was over");
    assert_eq!(changes.len(), 40);
}

#[test]
fn a_rate_for_all_holds_all_accounts_together() {
    let _machine = alone();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(120, &["a", "b", "c", "d"]));
    let served = lab.serve_to("plan.csv", "", TOKEN);
    let mut settings = String::new();
    for name in ["a", "b", "c", "d"] {
        let (endpoint, rate) = (&served.url, if name == "d" { "3" } else { "50" });
        write!(settings, "[profiles.{name}]\nendpoint = \"{endpoint}\"\ntoken_env = \"TOKEN_a\"\nrate = {rate}\n")
            .unwrap();
    }
    lab.write("cutover.toml", &settings);
    begin(&lab, &["run", "plan.csv", "--rate", "20"], &[("a", TOKEN)]).end().exits(0);
    let ledger = served.ledger();
    // One more than the rate, since a request that was long on its way shifts across the edge of the second.
    let busiest = busiest_second(&ledger);
    assert!((10..=21).contains(&busiest), "{busiest} requests in one second");
    // An account with a limit of three requests a second does no more, though its share would be five.
    let is_of_d = |request: &Request| {
        request.source_id.as_ref().is_some_and(|id| id[3..].parse::<usize>().unwrap().is_multiple_of(4))
    };
    let busiest = busiest_second(&ledger.into_iter().filter(is_of_d).collect::<Vec<_>>());
    assert!((2..=4).contains(&busiest), "{busiest} of account d in one second");
}

#[test]
fn fifty_accounts_are_carried_in_one_run() {
    let _machine = shared();
    let lab = Lab::new();
    let names: Vec<String> = (1..=50).map(|n| format!("account-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    lab.write("plan.csv", &plan(1_000, &names));
    begin(&lab, &["run", "plan.csv", "--endpoint", "sandbox", "--rate", "off"], &[]).end().exits(0);
    let journal = lab.journal();
    assert_eq!(journal.count("SELECT count(*) FROM v_lane WHERE on_target = 20"), 50);
    lab.cutover(&["audit", "verify"]).exits(0);
}

#[test]
fn what_was_learned_of_an_account_is_its_own() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(60, &["a", "b"]));
    let a = lab.serve_to("plan.csv", "", TOKEN);
    let b = lab.serve_to("plan.csv", "[quota]\nper_second = 20\nstated = true\n", TOKEN);
    lab.write("cutover.toml", &profiles(&[("a", &a), ("b", &b)]));
    let tokens = [("a", TOKEN), ("b", TOKEN)];
    begin(&lab, &["run", "plan.csv", "--rate", "off", "--concurrency", "30"], &tokens).end().exits(0);
    let journal = lab.journal();
    assert_eq!(journal.count("SELECT per_second = 20 FROM v_lane WHERE name = 'b'"), 1);
    assert_eq!(journal.count("SELECT per_second IS NULL FROM v_lane WHERE name = 'a'"), 1);
}

#[test]
fn a_killed_run_of_several_accounts_goes_on_in_each() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(200, &["a", "b"]));
    let slow = "latency_ms = [2, 20]\n[[fault]]\nshare = 0.2\nkind = \"reset_after\"\n";
    let (a, b) = (lab.serve_to("plan.csv", slow, TOKEN), lab.serve_to("plan.csv", slow, TOKEN));
    lab.write("cutover.toml", &profiles(&[("a", &a), ("b", &b)]));
    let tokens = [("a", TOKEN), ("b", TOKEN)];
    let run = ["run", "plan.csv", "--rate", "off"];
    let launch = begin(&lab, &run, &tokens);
    b.reach(30);
    launch.kill();
    begin(&lab, &run, &tokens).end().exits(0);
    for served in [&a, &b] {
        nothing_is_sent_again_unseen(&served.ledger());
    }
    lab.cutover(&["audit", "verify"]).exits(0);
}

#[test]
fn what_is_wrong_with_an_account_is_told_before_anything_is_sent() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(4, &["prod-a", "prdo-b"]));
    let served = lab.serve_to("plan.csv", "", TOKEN);
    let endpoint = format!("endpoint = \"{}\"\n", served.url);
    let cases = [
        ("[profiles.prod-a]\nENDPOINT\n[profiles.prod-b]\nENDPOINT", "no profile `prdo-b` (did you mean `prod-b`?)"),
        ("", "no profile `prod-a`"),
        ("[profiles.prod-a]\nrate = 5\n[profiles.prdo-b]\nENDPOINT", "no endpoint is set for the target `prod-a`"),
        (
            "[profiles.prod-a]\nENDPOINTaccount = \"x\"\n[profiles.prdo-b]\nENDPOINTaccount = \"x\"",
            "the targets `prod-a` and `prdo-b` are the same account at the same endpoint",
        ),
        (
            "[profiles.prod-a]\nENDPOINTrate = \"fast\"\n[profiles.prdo-b]\nENDPOINT",
            "`rate` in the profile `prod-a` of",
        ),
        ("[profiles.prod-a]\nendpoint = \"https://sms.example.com/v3\"\n[profiles.prdo-b]\nENDPOINT", "has a path"),
        ("[profiles.prod-a]\nendpoint = \"https://me:pw@sms.example.com\"\n[profiles.prdo-b]\nENDPOINT", "user name"),
        ("[profiles.prod-a]\nendpoint = \"http://sms.example.com\"\n[profiles.prdo-b]\nENDPOINT", "for loopback only"),
    ];
    for (settings, says) in cases {
        lab.write("cutover.toml", &settings.replace("ENDPOINT", &endpoint));
        lab.cutover(&["run", "plan.csv", "--yes"]).exits(2).says(says);
    }
    lab.write("cutover.toml", &format!("[profiles.prod-a]\n{endpoint}"));
    lab.cutover(&["check", "plan.csv"]).exits(2).says("no profile `prdo-b`");
    lab.cutover(&["check", "plan.csv", "--endpoint", "sandbox"]).exits(0);
    lab.write("cutover.toml", &format!("[profiles.prod-a]\n{endpoint}[profiles.prdo-b]\n{endpoint}"));
    lab.cutover(&["run", "plan.csv", "--yes", "--account", "x"]).exits(2).says("one account, and the plan has 2");
    assert!(served.ledger().is_empty());
    assert!(!lab.path("cutover.db").exists());
}

/// Requests of all accounts at one endpoint: the most pages under way at once, and the accounts of changes in order.
#[derive(Default)]
struct Crowd {
    n_pages: usize,
    most_pages: usize,
    changes: Vec<String>,
}

/// Serves one connection. Each account has 4,000 sources, and no page shows those of the plan.
fn serve(stream: &TcpStream, crowd: &Mutex<Crowd>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).ok().filter(|n| *n > 0)?;
        }
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
        reader.read_exact(&mut vec![0; field("content-length: ").parse().unwrap_or(0)]).ok()?;
        let path = head.split(' ').nth(1)?.to_owned();
        let is_page = path.contains('?');
        let body = if head.starts_with("PUT") {
            crowd.lock().unwrap().changes.push(field("x-auth-token: "));
            "{}".to_owned()
        } else if is_page {
            let mut seen = crowd.lock().unwrap();
            seen.n_pages += 1;
            seen.most_pages = seen.most_pages.max(seen.n_pages);
            drop(seen);
            let other = r#"{"id": "other", "state": "syncing", "migration_cycle": "syncing"}"#;
            format!(r#"{{"count": 4000, "source_servers": [{other}]}}"#)
        } else {
            let id = path.rsplit('/').next()?;
            format!(r#"{{"id": "{id}", "state": "syncing", "migration_cycle": "syncing"}}"#)
        };
        std::thread::sleep(Duration::from_millis(100));
        if is_page {
            crowd.lock().unwrap().n_pages -= 1;
        }
        let answer =
            format!("HTTP/1.1 200 x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        (&mut &*stream).write_all(answer.as_bytes()).ok()?;
    }
}

#[test]
fn forty_accounts_share_what_is_open_and_none_of_them_waits_for_another() {
    const N_LANES: usize = 40;
    let _machine = shared();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let crowd = Arc::new(Mutex::new(Crowd::default()));
    let seen = Arc::clone(&crowd);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || serve(&stream, &seen));
        }
    });
    let lab = Lab::new();
    let names: Vec<String> = (1..=N_LANES).map(|n| format!("p{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    lab.write("plan.csv", &plan(N_LANES * 20, &names));
    let profile = |text: String, name: &&str| {
        text + &format!("[profiles.{name}]\nendpoint = \"{url}\"\ntoken_env = \"TOKEN_{name}\"\n")
    };
    lab.write("cutover.toml", &names.iter().fold(String::new(), profile));
    let tokens: Vec<(&str, &str)> = names.iter().map(|name| (*name, *name)).collect();
    let plan = ["plan", "plan.csv", "--rate", "off", "--concurrency", "64"];
    let look = begin_only(&lab, &plan, &tokens).end().exits(0);
    let most = crowd.lock().unwrap().most_pages;
    // Six pages of each account at once, 256 in all; fewer on a busy machine.
    assert!((N_LANES..=256).contains(&most), "{most} pages were asked for at once\n{}", look.stderr);

    let send = ["run", "plan.csv", "--rate", "off", "--concurrency", "4", "--preflight", "off", "--verify", "off"];
    begin(&lab, &send, &tokens).end().exits(0);
    let changes = crowd.lock().unwrap().changes.clone();
    assert_eq!(changes.len(), N_LANES * 20);
    let half = &changes[..changes.len() / 2];
    let of = |name: &str| half.iter().filter(|of| *of == name).count();
    let shares: Vec<usize> = names.iter().map(|name| of(name)).collect();
    // Ten each, as long as they go side by side: one group of four more or less.
    assert!(shares.iter().all(|n| (4..=16).contains(n)), "{shares:?}");
}

/// Begins a verb that asks no question and prints no events.
fn begin_only(lab: &Lab, args: &[&str], tokens: &[(&str, &str)]) -> Launch {
    let mut command = lab.command(args);
    command.env_remove("CUTOVER_AUTH_TOKEN");
    for (name, token) in tokens {
        command.env(format!("TOKEN_{name}"), token);
    }
    Launch::start(command)
}

/// Answers one request about the only row of an account, after this was done.
fn answer_after(listener: &TcpListener, then: impl FnOnce()) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    while request.read_line(&mut line).unwrap() > 2 {
        line.clear();
    }
    then();
    let body = format!(r#"{{"id":"{}","state":"waiting","migration_cycle":"checking"}}"#, id(2));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
    write!(stream, "{head}: {}\r\nconnection: close\r\n\r\n{body}", body.len()).unwrap();
}

#[test]
fn an_account_whose_history_cannot_have_happened_leaves_the_others_going() {
    let _machine = shared();
    let lab = Lab::new();
    // The second account has one row, which is therefore read by its id.
    let more = plan(20, &["a"]).replace("vm-0", "vm-1");
    lab.write("plan.csv", &(plan(2, &["a", "b"]) + more.split_once('\n').unwrap().1));
    let a = lab.serve_to("plan.csv", "", "one");
    let b = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let place = b.local_addr().unwrap();
    let settings = format!("[profiles.b]\nendpoint = \"http://{place}\"\ntoken_env = \"TOKEN_b\"\n");
    lab.write("cutover.toml", &(profiles(&[("a", &a)]) + &settings));
    let launch = begin(&lab, &["run", "plan.csv", "--rate", "off"], &[("a", "one"), ("b", "two")]);
    // While the look is under way, somebody begins the same row in the journal.
    answer_after(&b, || {
        let mut journal = Journal::open(&lab.path("cutover.db")).unwrap();
        let run = journal.runs().unwrap()[0].key;
        let begun = RowEvent::AttemptStarted { attempt: 1, sends: TargetState::default() }.about(RowId(2));
        journal.append(run, [(LaneId(2), begun)]).unwrap();
    });
    launch
        .end()
        .exits(7)
        .says("account `b` is left out: the journal refused an event that cannot have happened")
        .says("account `b` stopped: the journal refused an event that cannot have happened");
    assert_eq!(a.changes().len(), 21);
    assert_eq!(lab.journal().tally()["applied"], 21);
    assert!(b.set_nonblocking(true).is_ok() && b.accept().is_err(), "nothing more goes to the account");
}

#[test]
fn a_plan_of_which_an_account_was_not_seen_is_neither_said_to_need_nothing_nor_sealed() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(2, &["a", "b"]));
    let a = lab.serve("plan.csv", "");
    a.move_to(&id(1), "stopped", "syncing");
    let nobody = "[profiles.b]\nendpoint = \"http://127.0.0.1:1\"\ntoken_env = \"TOKEN_a\"\n";
    lab.write("cutover.toml", &format!("{}{nobody}", profiles(&[("a", &a)])));
    for more in [&["--exit-code"][..], &["--exit-code", "--json"], &["-o", "sealed.plan", "--as", "Ada"]] {
        let ended = begin_only(&lab, &[&["plan", "plan.csv"], more].concat(), &[("a", TOKEN)]).end();
        ended.exits(8).says("account `b` stopped");
    }
    assert!(!lab.path("sealed.plan").exists());
}
