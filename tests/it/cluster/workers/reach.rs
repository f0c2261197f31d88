//! Several accounts, of which each worker has the credentials of some.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;

use super::{name_of, night};
use crate::cluster::server::{Server, program};
use crate::cluster::url;
use crate::lab::books::nothing_is_sent_again_unseen;
use crate::lab::home::Lab;
use crate::lab::id;
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::served::Served;

/// Accounts, and their tokens.
const ACCOUNTS: [(&str, &str); 3] = [("a", "one"), ("b", "two"), ("c", "three")];

/// Returns settings that all hosts share, with a profile for each account, whose token is in a variable of its own where it is known.
fn profiles(services: &[Served]) -> String {
    ACCOUNTS.iter().zip(services).fold(String::new(), |mut text, ((name, _), service)| {
        writeln!(text, "[profiles.{name}]\nendpoint = \"{}\"", service.url).unwrap();
        writeln!(text, "via = \"worker\"\ntoken_env = \"TOKEN_{name}\"").unwrap();
        text
    })
}

fn command(lab: &Lab, server: &Server, args: &[&str]) -> Command {
    let mut command = lab.command(args);
    command.env_remove("CUTOVER_AUTH_TOKEN").env("CUTOVER_METADATA_ENDPOINT", "off").args(["--engine", &url(server)]);
    command
}

/// Begins a worker that has the tokens of these accounts.
fn worker(lab: &Lab, server: &Server, accounts: &[(&str, &str)]) -> Launch {
    let mut command = command(lab, server, &["worker"]);
    command.envs(accounts.iter().map(|(name, token)| (format!("TOKEN_{name}"), token)));
    let mut worker = Launch::start(command);
    worker.tells("serving ");
    worker
}

#[test]
fn each_account_is_asked_by_way_of_the_worker_that_has_its_credentials() {
    let _machine = shared();
    let Some(server) = program().map(|program| Server::alone(&program)) else { return };
    let [head, first, second, home] = [(); 4].map(|()| Lab::new());
    let mut plan = String::from("source_id,copystate,migrationcycle,target\n");
    (1..=60).for_each(|i| writeln!(plan, "{},stopped,syncing,{}", id(i), ACCOUNTS[i % 3].0).unwrap());
    home.write("plan.csv", &plan);
    head.write("plan.csv", &plan);
    let services = ACCOUNTS.map(|(_, token)| home.serve_to("plan.csv", "", token));
    for lab in [&head, &first, &second] {
        lab.write("cutover.toml", &profiles(&services));
    }
    let one = worker(&first, &server, &ACCOUNTS[..2]);
    let two = worker(&second, &server, &ACCOUNTS[2..]);
    let (one_name, two_name) = (name_of(&one), name_of(&two));

    let told = Launch::start(command(&head, &server, &["doctor"])).end().stdout;
    for text in [
        format!("{one_name} (cutover {}) serves a, b; ", env!("CARGO_PKG_VERSION")),
        format!("worker {two_name} has them"),
    ] {
        assert!(told.contains(&text), "{text}: {told}");
    }

    let run = ["run", "plan.csv", "--rate", "off", "--yes", "--events", "--no-progress"];
    let ended = Launch::start(command(&head, &server, &run)).end().exits(0);
    let journal = head.journal();
    let via = "SELECT DISTINCT lane.name, event.detail ->> '$.via' FROM event JOIN lane USING (run, lane)
               WHERE kind = 'attempt_ended' ORDER BY 1";
    let by = [("a", &one_name), ("b", &one_name), ("c", &two_name)];
    assert_eq!(journal.table(via), by.map(|(account, name)| vec![account.to_owned(), name.clone()]));
    for (n, service) in services.iter().enumerate() {
        let changes = service.changes();
        let own: BTreeSet<String> = (1..=60).filter(|i| i % 3 == n).map(id).collect();
        assert_eq!((changes.len(), changes.into_iter().filter_map(|change| change.source_id).collect()), (20, own));
        nothing_is_sent_again_unseen(&service.ledger());
    }
    let of_events = ended.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_events: BTreeSet<String> = of_events.filter_map(|event| Some(event["via"].as_str()?.to_owned())).collect();
    assert_eq!(of_events, BTreeSet::from([one_name.clone(), two_name]));
    let story = head.cutover(&["explain", &id(3)]).exits(0).stdout;
    assert!(story.contains(&format!("by worker {one_name}")), "{story}");
    head.cutover(&["audit", "verify"]).exits(0);
    for (worker, others) in [(one, "`c` is not served: TOKEN_c is not set"), (two, "`a` is not served")] {
        worker.signal("TERM");
        worker.end().exits(0).says(others);
    }
}

#[test]
fn a_worker_says_why_it_serves_nothing() {
    let _machine = shared();
    let Some(night) = night(1, "") else { return };
    let host = night.another_host();
    let ends =
        |command: Command, code: i32, text: &str| Launch::start(command).end().exits(code).says(text).says("hint: ");
    ends(host.lab.command(&["worker", "--endpoint", &host.endpoint]), 2, "--engine nats://");
    ends(host.reaching(&["worker", "--target", "elsewhere"]), 2, "elsewhere");
    let mut away = night.another_host();
    away.engine = "nats://127.0.0.1:1".to_owned();
    ends(away.reaching(&["worker"]), 8, "127.0.0.1:1");
    let mut empty = night.another_host();
    empty.credentials = &[];
    ends(empty.reaching(&["worker"]), 5, "there is nothing to serve");
    ends(empty.reaching(&["worker", "--target", "default"]), 5, "credentials");
    let half = &[("HUAWEICLOUD_SDK_AK", "sandbox-ak")];
    empty.credentials = half;
    ends(empty.reaching(&["worker"]), 2, "HUAWEICLOUD_SDK_SK");
}
