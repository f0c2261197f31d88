//! Notices, to receivers that check what they get, and to those that take nothing.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::lab::home::Lab;
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::Served;
use crate::python::Python;

mod receiver;

use receiver::{Does, Hook};

/// Secrets of the receivers, none of which may be seen anywhere.
const SECRETS: [&str; 6] =
    ["T0-hunter2", "feishu-hunter2", "ding-hunter2", "whsec_aHVudGVyMmh1bnRlcjI=", "ping-hunter2", "key-hunter2"];
const TOPIC: &str = "urn:smn:ap-southeast-3:sandbox-project:ops";

fn hmac_sha256(key: &[u8], message: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Makes a settings file with one receiver of documents at each of these addresses.
fn settings(receivers: &[(&str, &str)]) -> String {
    receivers.iter().fold(String::new(), |mut text, (name, url)| {
        write!(text, "[notify.{name}]\nkind = 'webhook'\nurl = '{url}'\n").unwrap();
        text
    })
}

/// Runs a plan of three rows to its end, and returns what it printed last.
fn carried(lab: &Lab, sandbox: &Served, more: &[(&str, &str)]) -> (Ended, Value) {
    let mut command = lab.command(&["run", "plan.csv", "--endpoint", &sandbox.url, "--yes", "--json", "--no-progress"]);
    command.envs(more.iter().copied());
    let ended = Launch::start(command).end().exits(0);
    let summary = serde_json::from_str(&ended.stdout).unwrap();
    (ended, summary)
}

fn three_rows() -> (Lab, Served) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    (lab, sandbox)
}

/// Outcomes in the journal: receiver, occasion, tries, problem.
fn outcomes(lab: &Lab) -> Vec<(String, String, u32, Option<String>)> {
    let journal = Connection::open(lab.path("cutover.db")).unwrap();
    let mut found =
        journal.prepare("SELECT receiver, about, tries, problem FROM v_notice ORDER BY receiver, at").unwrap();
    let rows = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Asserts that no secret is in these texts, nor in any file of the laboratory but those that hold them.
fn nobody_sees(lab: &Lab, texts: &[&str], kept_in: &[&str]) {
    for secret in SECRETS {
        assert!(texts.iter().all(|text| !text.contains(secret)), "{secret}: {texts:?}");
        let path = lab.path(".");
        let found = std::process::Command::new("grep").args(["-rlaF", secret]).arg(&path).output().unwrap();
        let found = String::from_utf8(found.stdout).unwrap();
        let elsewhere = found.lines().filter(|file| !kept_in.iter().any(|kept| file.ends_with(kept)));
        assert_eq!(elsewhere.collect::<Vec<_>>(), Vec::<&str>::new(), "{secret}");
    }
}

#[test]
fn each_receiver_gets_its_notices_in_the_form_and_with_the_signature_that_it_checks() {
    let _machine = shared();
    let (lab, sandbox) = three_rows();
    let [generic, slack, feishu, ding, ping] =
        ["", "ok", r#"{"code":0}"#, r#"{"errcode":0}"#, "OK"].map(|body| Hook::that(Does::Answers(200, body)));
    lab.write("ping.url", &format!("{}/ping-hunter2\n", ping.url));
    lab.write(
        "cutover.toml",
        &format!(
            "[notify.generic]\nkind = 'webhook'\nurl = '{}/in'\nsecret_env = 'GENERIC'\n\
             [notify.slack]\nkind = 'webhook'\nformat = 'slack'\nurl_env = 'SLACK'\n\
             [notify.feishu]\nkind = 'webhook'\nformat = 'feishu'\nurl = '{}/hook'\nsecret_env = 'FEISHU'\n\
             [notify.ding]\nkind = 'webhook'\nformat = 'dingtalk'\nurl_env = 'DING'\nsecret_env = 'DING_KEY'\n\
             [notify.ping]\nkind = 'ping'\nurl_file = 'ping.url'\n\
             [notify.topic]\nkind = 'smn'\ntopic_urn = '{TOPIC}'\nendpoint = '{}'\n\
             [notify.told]\nkind = 'command'\ncommand = 'cat >> told; env > seen'\n",
            generic.url, feishu.url, sandbox.url
        ),
    );
    let variables = [
        ("GENERIC", "whsec_aHVudGVyMmh1bnRlcjI="),
        ("SLACK", &format!("{}/services/T0-hunter2", slack.url)),
        ("FEISHU", "feishu-hunter2"),
        ("DING", &format!("{}/robot/send?access_token=key-hunter2", ding.url)),
        ("DING_KEY", "ding-hunter2"),
    ];
    let (ended, summary) = carried(&lab, &sandbox, &variables);
    assert_eq!(ended.stderr.matches("not delivered").count(), 0, "{}", ended.stderr);

    assert_eq!(generic.told(), ["start", "end"]);
    for came in generic.came() {
        let of = |name| came.header(name).unwrap();
        let signed = format!("{}.{}.{}", of("webhook-id"), of("webhook-timestamp"), came.body);
        assert_eq!(of("webhook-signature"), format!("v1,{}", hmac_sha256(b"hunter2hunter2", &signed)));
        assert_eq!(came.json()["id"], of("webhook-id"));
    }
    let end = generic.came()[1].json();
    for field in ["anchor", "anchor_hash"] {
        assert_eq!(end[field], summary[field], "the anchor of the end is the one that is printed");
    }
    assert_eq!(
        (&end["exit"]["code"], &end["counts"]["on_target"], &end["run"]),
        (&json!(0), &json!(3), &summary["run"])
    );
    let anchor = end["anchor"].as_str().unwrap();
    lab.cutover(&["audit", "verify", "--anchor", anchor]).exits(0);

    let text = |came: &Value| came["text"].as_str().unwrap().to_owned();
    assert!(slack.came().iter().all(|came| came.path == "/services/T0-hunter2"));
    let last = text(&slack.came()[1].json());
    assert!(last.contains("ended 0 (done): All 3 rows are on target.") && last.contains(anchor), "{last}");

    for came in feishu.came() {
        let body = came.json();
        let key = format!("{}\nfeishu-hunter2", body["timestamp"].as_str().unwrap());
        assert_eq!(body["sign"], hmac_sha256(key.as_bytes(), ""));
        assert_eq!(body["msg_type"], "text");
    }
    assert!(text(&feishu.came()[1].json()["content"]).contains(anchor));

    for came in ding.came() {
        let (path, query) = came.path.split_once('?').unwrap();
        let query: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let [(_, token), (_, ms), (_, sign)] = &query[..] else { panic!("{query:?}") };
        assert_eq!((path, token.as_str()), ("/robot/send", "key-hunter2"));
        assert_eq!(*sign, hmac_sha256(b"ding-hunter2", &format!("{ms}\nding-hunter2")));
        assert_eq!(came.json()["msgtype"], "text");
    }

    let paths: Vec<String> = ping.came().into_iter().map(|came| came.path).collect();
    assert_eq!(paths, ["/ping-hunter2/start", "/ping-hunter2/0"]);

    let messages = sandbox.messages();
    assert_eq!(messages.len(), 2);
    assert!(messages.iter().all(|message| message["topic"] == TOPIC));
    assert!(messages[1]["message"].as_str().unwrap().contains(anchor));

    let told = std::fs::read_to_string(lab.path("told")).unwrap();
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told, [generic.came()[0].json(), end]);

    let delivered = outcomes(&lab);
    assert_eq!(delivered.len(), 14);
    assert!(delivered.iter().all(|(_, _, tries, problem)| *tries == 1 && problem.is_none()), "{delivered:?}");
    // The addresses and the secrets are theirs alone; a command does not even get the variables.
    let bodies: Vec<String> = [&generic, &slack, &feishu, &ding, &ping]
        .iter()
        .flat_map(|hook| hook.came())
        .map(|came| came.body)
        .chain(messages.iter().map(Value::to_string))
        .chain([ended.stdout, ended.stderr, lab.cutover(&["config", "show"]).stdout])
        .collect();
    nobody_sees(&lab, &bodies.iter().map(String::as_str).collect::<Vec<_>>(), &["ping.url"]);
}

#[test]
fn whatever_a_receiver_does_the_run_does_not_notice() {
    let _machine = shared();
    let (lab, sandbox) = three_rows();
    let all = [
        ("closes", Does::Closes, "webhook'", "closed before the answer was there (127.0.0.1)"),
        (
            "ding",
            Does::Answers(200, r#"{"errcode":310000,"errmsg":"sign not match"}"#),
            "webhook'\nformat = 'dingtalk'",
            "200 (errcode 310000: sign not match) from 127.0.0.1",
        ),
        ("drips", Does::Drips, "webhook'\nformat = 'feishu'", "no answer within"),
        (
            "feishu",
            Does::Answers(200, r#"{"code":19021,"msg":"sign match fail"}"#),
            "webhook'\nformat = 'feishu'",
            "200 (code 19021: sign match fail) from 127.0.0.1",
        ),
        ("floods", Does::Floods, "webhook'", "500 from 127.0.0.1"),
        ("hangs", Does::Hangs, "webhook'", "no answer within"),
        ("moved", Does::Answers(302, ""), "webhook'", "302 from 127.0.0.1"),
        ("ping", Does::Answers(404, "key-hunter2"), "ping'", "404 from 127.0.0.1"),
        ("refuses", Does::Answers(500, "key-hunter2"), "webhook'", "500 from 127.0.0.1"),
        (
            "slack",
            Does::Answers(200, "no_team"),
            "webhook'\nformat = 'slack'",
            "200 (without the word `ok`) from 127.0.0.1",
        ),
    ];
    let hooks: Vec<Hook> = all.iter().map(|(_, does, _, _)| Hook::that(*does)).collect();
    let well = Hook::that(Does::Answers(204, ""));
    let mut text = settings(&[("well", &well.url)]);
    for ((name, _, kind, _), hook) in all.iter().zip(&hooks) {
        write!(text, "[notify.{name}]\nkind = '{kind}\nurl = '{}/key-hunter2'\n", hook.url).unwrap();
    }
    text += "[notify.fails]\nkind = 'command'\ncommand = 'echo key-hunter2; exit 3'\n";
    lab.write("cutover.toml", &text);
    let (ended, summary) = carried(&lab, &sandbox, &[]);
    let left = Instant::now();
    assert_eq!(sandbox.changes().len(), 3);
    assert_eq!(well.told(), ["start", "end"]);

    // Each try of those that hang would take five seconds, were there time; all six take less than ten.
    let from = well.came()[1].at;
    assert!(left.duration_since(from) < Duration::from_secs(20), "{:?}", left.duration_since(from));
    let last = hooks.iter().map(|hook| hook.came().last().unwrap().at).max().unwrap();
    assert!(last.duration_since(from) < Duration::from_secs(10), "{:?}", last.duration_since(from));
    let found = outcomes(&lab);
    for ((name, _, _, problem), hook) in all.iter().zip(&hooks) {
        let of = found.iter().filter(|(receiver, ..)| receiver == name);
        let told: Vec<(&str, u32)> = of.clone().map(|(_, about, tries, _)| (about.as_str(), *tries)).collect();
        assert_eq!(told, [("start", 3), ("end", 3)], "{name}");
        for (_, _, _, said) in of {
            assert!(said.as_ref().is_some_and(|said| said.contains(problem)), "{name}: {said:?}");
        }
        assert_eq!(hook.came().len(), 6, "{name}: three tries of each, and no redirect is followed");
        assert_eq!(ended.stderr.matches(&format!("warning: notice `{name}` (")).count(), 2, "{}", ended.stderr);
    }
    let told = |name: &str| {
        found.iter().filter(|(of, ..)| of == name).map(|(_, _, n, why)| (*n, why.clone().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(told("fails"), vec![(3, "the command ended with 3".to_owned()); 2]);

    let status: Value = serde_json::from_str(&lab.cutover(&["status", "--json"]).stdout).unwrap();
    assert_eq!(status["undelivered"].as_array().unwrap().len(), 22);
    assert_eq!(status["anchor"], summary["anchor"], "the outcomes change no anchor");
    let runs: Value = serde_json::from_str(&lab.cutover(&["runs", "--json"]).stdout).unwrap();
    assert_eq!(runs["runs"][0]["undelivered"], 22);
    assert!(lab.cutover(&["runs"]).stdout.contains("; 22 notices not delivered"));
    let line = lab.cutover(&["status", "--check"]).stdout;
    assert!(line.contains(" unsettled; 22 notices not delivered | rows="), "{line}");
    let status = lab.cutover(&["status"]).stdout;
    // The last ten are listed, and the one that hangs is the last of all.
    assert!(status.contains("`hangs`, notice `end`, 3 tries until"), "{status}");
    assert!(status.contains("the last 10, and 12 more"), "{status}");
    let report = lab.cutover(&["report", "--format", "md"]).stdout;
    assert!(report.contains(r"\`hangs\`, notice \`end\`, 3 tries until"), "{report}");
    assert!(report.contains("the last 10, and 12 more"), "{report}");
    lab.cutover(&["audit", "verify"]).exits(0);
    nobody_sees(&lab, &[&ended.stdout, &ended.stderr, &status, &report], &["cutover.toml"]);
}

#[test]
fn somebody_who_is_waited_for_hears_of_it_with_the_command_that_works_and_each_occasion_is_told_once() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write(
        "plan.csv",
        &plan(6, "stopped,syncing")
            .replace("cycle\n", "cycle,wave\n")
            .lines()
            .enumerate()
            .fold(String::new(), |text, (n, line)| {
                text + line + ["", ",one", ",one", ",two", ",two", ",three", ",three"][n] + "\n"
            }),
    );
    lab.write("plan.toml", "files = ['plan.csv']\n[[waves]]\nname = 'one'\n[[waves]]\nname = 'two'\napproval = true\n[[waves]]\nname = 'three'\napproval = true\n");
    let sandbox = lab.serve("plan.csv", "");
    let hook = Hook::that(Does::Answers(200, ""));
    lab.write("cutover.toml", &settings(&[("ops", &hook.url)]));
    let launch = lab.begin(&sandbox, &["run", "plan.toml", "--rate", "off"]);
    assert_eq!(hook.next().json()["about"], "start");
    let waiting = hook.next().json();
    assert_eq!((&waiting["about"], &waiting["counts"]["on_target"]), (&json!("waiting"), &json!(2)));
    assert!(waiting["text"].as_str().unwrap().contains("approval of wave `two`"), "{waiting}");
    // Whoever only asks tells nobody: a start or an end that is told is that of a launch.
    for asks in
        [&["status"][..], &["report", "--format", "md"], &["runs"], &["explain", "vm-1"], &["status", "--check"]]
    {
        lab.cutover(asks);
    }
    assert_eq!(hook.told(), ["start", "waiting"]);
    let next = waiting["next"].as_str().unwrap();
    let words: Vec<&str> = next.split(' ').skip(1).collect();
    lab.cutover(&words).exits(0);
    // Wave three waits as well, and that is not told again.
    assert!(launch.reaches_nth("wait_began", 2));
    lab.cutover(&["control", "drain"]).exits(0);
    let ended = launch.end().exits(4);
    assert_eq!(hook.told(), ["start", "waiting", "halt", "end"], "{}", ended.stderr);
    let [halt, end] = [2, 3].map(|n| hook.came()[n].json());
    assert!(halt["text"].as_str().unwrap().contains("somebody said so"), "{halt}");
    assert!(end["next"].as_str().unwrap().starts_with("cutover resume "), "{end}");
    assert_eq!((&end["exit"]["code"], &end["launch"]), (&json!(4), &json!(1)));
    // Another launch is told of anew.
    lab.launch(&sandbox, &["resume", "--approve", "three", "--rate", "off"]).exits(0);
    assert_eq!(hook.told()[4..], ["start", "end"]);
    assert_eq!(hook.came()[5].json()["launch"], 2);
}

#[test]
fn a_signal_after_the_end_ends_the_wait_for_notices_and_changes_nothing_of_the_end() {
    let _machine = shared();
    for signal in ["INT", "HUP"] {
        let (lab, sandbox) = three_rows();
        let hook = Hook::that(Does::Hangs);
        lab.write(
            "cutover.toml",
            &(settings(&[("ops", &hook.url)])
                + "on = ['end']
"),
        );
        let mut launch = lab.begin(&sandbox, &["run", "plan.csv"]);
        assert!(launch.reaches("launch_ended"));
        assert_eq!(hook.next().json()["about"], "end");
        assert!(launch.is_running());
        let began = Instant::now();
        launch.signal(signal);
        launch.end().exits(0).says("a signal ended the wait for it");
        assert!(began.elapsed() < Duration::from_secs(4), "{signal}: {:?}", began.elapsed());
    }
}

#[test]
fn an_end_before_there_is_a_run_is_told_too() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    lab.write("broken.csv", "source_id,copystate\nvm-1,stoped\n");
    let sandbox = lab.serve("plan.csv", "");
    let (hook, ping) = (Hook::that(Does::Answers(200, "")), Hook::that(Does::Answers(200, "OK")));
    let of_ping = format!("[notify.night]\nkind = 'ping'\nurl = '{}/night'\n", ping.url);
    let receivers = settings(&[("ops", &hook.url)]) + &of_ping;
    lab.write("cutover.toml", &receivers);
    let run = |plan: &str, endpoint: &str, more: &[(&str, &str)]| {
        let mut command =
            lab.command(&["run", plan, "--endpoint", endpoint, "--yes", "--connect-timeout", "1s", "--attempts", "1"]);
        command.envs(more.iter().copied());
        Launch::start(command).end().code.unwrap()
    };
    let mut told = Vec::new();
    let mut ends = |code: i32| {
        let end = hook.came().pop().unwrap().json();
        assert_eq!(
            (&end["about"], &end["exit"]["code"], &end["run"]),
            (&json!("end"), &json!(code), &Value::Null),
            "{end}"
        );
        assert_eq!(ping.came().pop().unwrap().path, format!("/night/{code}"));
        told.push(end["text"].as_str().unwrap().to_owned());
    };
    for (plan, endpoint, more, code) in [
        ("broken.csv", sandbox.url.as_str(), &[][..], 2),
        ("absent.csv", &sandbox.url, &[], 2),
        ("plan.csv", &sandbox.url, &[("CUTOVER_RAET", "5")], 2),
        ("plan.csv", &sandbox.url, &[("CUTOVER_RATE", "fast")], 2),
        ("plan.csv", &sandbox.url, &[("CUTOVER_AUTH_TOKEN", "a b")], 2),
        ("plan.csv", &sandbox.url, &[("CUTOVER_LOG_FILE", "gone/x.log")], 2),
        ("plan.csv", &sandbox.url, &[("CUTOVER_AUTH_TOKEN", ""), ("CUTOVER_METADATA_ENDPOINT", "off")], 5),
    ] {
        assert_eq!(run(plan, endpoint, more), code);
        ends(code);
    }
    lab.write("cutover.toml", &format!("rate = 'fast'\n{receivers}"));
    assert_eq!(run("plan.csv", &sandbox.url, &[]), 2);
    ends(2);
    lab.write("cutover.toml", &receivers);
    // Another launch holds the account.
    let holder = lab.begin(&sandbox, &["run", "plan.csv", "--rate", "1"]);
    assert!(holder.reaches("attempt_started"));
    assert_eq!(hook.came().pop().unwrap().json()["about"], "start");
    assert_eq!(run("plan.csv", &sandbox.url, &[]), 6);
    ends(6);
    // A slot that is skipped counts for nothing, and moves no switch.
    let n_told = (hook.came().len(), ping.came().len());
    let skip = ["run", "plan.csv", "--endpoint", &sandbox.url, "--yes", "--if-locked", "skip"];
    lab.cutover(&skip).exits(0);
    assert_eq!((hook.came().len(), ping.came().len()), n_told);
    holder.kill();
    assert_eq!(hook.told().iter().filter(|about| *about == "start").count(), 1, "who is killed says nothing more");
    assert_eq!(told.len(), 9);
    // Nobody was shown the list of what is wrong with the plan.
    assert!(told[0].starts_with("the plan `broken.csv` has 1 error: broken.csv:"), "{}", told[0]);
    // What is read or rehearsed is nobody's news.
    let n_told = hook.came().len();
    lab.cutover(&["plan", "plan.csv", "--endpoint", &sandbox.url]).exits(0);
    lab.cutover(&["run", "plan.csv", "--dry-run", "--endpoint", &sandbox.url]).exits(0);
    lab.cutover(&["rehearse", "plan.csv"]).exits(0);
    lab.cutover(&["status"]).exits(0);
    assert_eq!(hook.came().len(), n_told);
    // Nobody answers at this port; the run that was cut off is taken up, and has an anchor.
    assert_eq!(run("plan.csv", "http://127.0.0.1:9", &[]), 8);
    let end = hook.came().pop().unwrap().json();
    assert_eq!((&end["exit"]["code"], end["anchor"].is_string()), (&json!(8), true), "{end}");
    let next = end["next"].as_str().unwrap();
    assert!(next.starts_with("cutover doctor ") && next.contains(" && cutover resume "), "{next}");
}

#[test]
fn the_launch_that_closes_a_run_which_was_cut_off_after_its_last_row_tells_of_its_end_once() {
    let _machine = shared();
    let slot = ["run", "plan.csv", "--run-key", "night"];
    for closes in [slot, ["run", "plan.csv", "--run-key", "day"]] {
        let (lab, sandbox) = three_rows();
        let [hook, ping] = ["", "OK"].map(|body| Hook::that(Does::Answers(200, body)));
        lab.write(
            "cutover.toml",
            &format!(
                "{}[notify.dead]\nkind = 'ping'\nurl = '{}'\n\
                 [hooks]\nafter_run = 'touch inhook; [ -e go ] || exec sleep 30'\n",
                settings(&[("ops", &hook.url)]),
                ping.url
            ),
        );
        let launch =
            |args: &[&str]| Launch::start(lab.command(&[args, &["-q", "--yes", "--endpoint", &sandbox.url]].concat()));
        let mut first = launch(&slot);
        while !lab.path("inhook").exists() {
            assert!(first.is_running(), "it waits for its hook");
            std::thread::sleep(Duration::from_millis(5));
        }
        first.kill();
        let run = lab.journal().text("SELECT id FROM run");
        let ends = || {
            let all = hook.came().into_iter().map(|came| came.json());
            all.filter(|told| told["about"] == "end" && told["run"] == run.as_str()).collect::<Vec<Value>>()
        };
        assert!(ends().is_empty(), "who is killed says nothing more");
        lab.write("go", "");
        let closed = launch(&closes).end();
        let told = ends();
        let [end] = &told[..] else { panic!("{closes:?}: {told:?} {}", closed.stderr) };
        assert_eq!(
            (&end["exit"]["code"], &end["counts"]["on_target"], &end["launch"]),
            (&json!(0), &json!(3), &json!(1))
        );
        assert!(end["exit"]["reason"].as_str().unwrap().contains("was cut off after the last row"), "{end}");
        lab.cutover(&["audit", "verify", &run, "--anchor", end["anchor"].as_str().unwrap()]).exits(0);
        let n_pings = || ping.came().iter().filter(|came| came.path == "/0").count();
        assert!(n_pings() >= 1, "{closes:?}");
        // Whoever comes later with its key has nothing to tell.
        let n_told = (hook.came().len(), ping.came().len());
        launch(&slot).end().exits(0);
        assert_eq!((hook.came().len(), ping.came().len()), n_told, "{closes:?}");
        let ended =
            "SELECT count(*) || group_concat(DISTINCT problem IS NULL) FROM v_notice WHERE about = 'end' AND run = ";
        assert_eq!(lab.journal().text(&format!("{ended}'{run}'")), "21", "{closes:?}");
    }
}

#[test]
fn a_topic_is_written_to_with_the_keys_of_the_run_as_the_official_sdk_writes() {
    let _machine = shared();
    let (lab, sandbox) = three_rows();
    lab.write(
        "cutover.toml",
        &format!("[notify.duty]\nkind = 'smn'\ntopic_urn = '{TOPIC}'\nendpoint = '{}'\n", sandbox.url),
    );
    let keys = [
        ("CUTOVER_AUTH_TOKEN", ""),
        ("HUAWEICLOUD_SDK_AK", "sandbox-ak"),
        ("HUAWEICLOUD_SDK_SK", "sandbox-sk"),
        ("HUAWEICLOUD_SDK_PROJECT_ID", "sandbox-project"),
    ];
    let (ended, _) = carried(&lab, &sandbox, &keys);
    assert_eq!(sandbox.messages().len(), 2, "{}", ended.stderr);
    // A wrong key is refused, and said to be; the service itself is not asked with it.
    let wrong = lab.command(&["doctor", "--notify", "--endpoint", &sandbox.url]);
    let mut wrong = wrong;
    wrong.envs(keys).env("HUAWEICLOUD_SDK_SK", "wrong");
    let Ended { stdout, .. } = Launch::start(wrong).end();
    assert!(
        stdout.contains("401 (APIGW.0301: ") && stdout.contains("verify aksk signature fail) from 127.0.0.1"),
        "{stdout}"
    );
    let Some(python) = Python::with(&["huaweicloudsdksmn==3.1.219"]) else { return };
    let ran = python.run("sdk/topic.py", &[&sandbox.url, TOPIC]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(
        sandbox.messages().pop().unwrap(),
        json!({"topic": TOPIC, "subject": "from the SDK", "message": "hello"})
    );
}

#[test]
fn the_published_library_of_standard_webhooks_accepts_the_signature() {
    let Some(python) = Python::with(&["standardwebhooks==1.1.0"]) else { return };
    let _machine = shared();
    let (lab, sandbox) = three_rows();
    let hook = Hook::that(Does::Answers(200, ""));
    lab.write("cutover.toml", &(settings(&[("ops", &hook.url)]) + "secret_file = 'secret'\n"));
    lab.write("secret", "whsec_aHVudGVyMmh1bnRlcjI=\n");
    carried(&lab, &sandbox, &[]);
    let came = hook.came().pop().unwrap();
    lab.write("body", &came.body);
    let headers: Vec<&str> =
        ["id", "timestamp", "signature"].iter().map(|name| came.header(&format!("webhook-{name}")).unwrap()).collect();
    let body = lab.path("body");
    let ran =
        python.run("sdk/webhook.py", &[&["whsec_aHVudGVyMmh1bnRlcjI=", body.to_str().unwrap()], &headers[..]].concat());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn the_doctor_sends_a_test_to_each_receiver_and_says_what_became_of_it() {
    let _machine = shared();
    let (lab, sandbox) = three_rows();
    let (well, ill) = (Hook::that(Does::Answers(200, "")), Hook::that(Does::Answers(503, "")));
    lab.write(
        "cutover.toml",
        &(settings(&[("well", &well.url), ("ill", &ill.url)]) + "[notify.unset]\nkind = 'ping'\nurl_env = 'NOT_SET'\n"),
    );
    let looked = |args: &[&str]| {
        let ended = lab.cutover(&[&["doctor", "--json", "--endpoint", &sandbox.url], args].concat());
        let document: Value = serde_json::from_str(&ended.stdout).unwrap();
        let patients = document["patients"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|of| of["name"].as_str().unwrap().starts_with("receiver "));
        let checks: Vec<String> = patients
            .flat_map(|of| {
                of["checks"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(move |check| format!("{} {} {}", of["name"], check["what"], check["health"]))
            })
            .collect();
        (ended.code, checks.join("\n").replace('"', ""))
    };
    let (code, checks) = looked(&[]);
    assert_eq!(code, Some(2));
    assert!(
        checks.contains("receiver well of notices test unknown")
            && checks.contains("receiver unset of notices settings problem"),
        "{checks}"
    );
    assert!(well.came().is_empty() && ill.came().is_empty());
    let (code, checks) = looked(&["--notify"]);
    assert!(matches!(code, Some(2 | 8)), "{code:?}");
    assert!(
        checks.contains("receiver well of notices test ok") && checks.contains("receiver ill of notices test problem"),
        "{checks}"
    );
    assert_eq!((well.told(), ill.told()), (vec!["test".to_owned()], vec!["test".to_owned()]));
}

#[test]
fn receivers_are_the_operators_word_and_their_addresses_are_shown_to_nobody() {
    let _machine = shared();
    let (lab, sandbox) = three_rows();
    let folder = Lab::new();
    let text = "[notify.ops]\nkind = 'webhook'\nurl = 'https://hooks.example.org/T0-hunter2'\n";
    // A file that just lies in the folder tells nobody.
    folder.write("plan.csv", &plan(3, "stopped,syncing"));
    folder.write("cutover.toml", text);
    let here = |args: &[&str]| {
        let mut command = folder.command(args);
        command.env_remove("CUTOVER_CONFIG");
        Launch::start(command).end()
    };
    let refused = here(&["run", "plan.csv", "--endpoint", &sandbox.url, "--yes"]).exits(2);
    assert!(
        refused.stderr.contains("`kind` in [notify.ops]") && refused.stderr.contains("cutover trust"),
        "{}",
        refused.stderr
    );
    let shown = here(&["trust", "--show"]).exits(0).stdout;
    assert!(shown.contains("`url` in [notify.ops] = hooks.example.org/…"), "{shown}");
    lab.write("cutover.toml", text);
    for args in [&["config", "show"][..], &["config", "show", "--json"], &["trust", "--show", "--json"]] {
        let shown = lab.cutover(args).exits(0).stdout;
        assert!(shown.contains("hooks.example.org/…"), "{shown}");
        nobody_sees(&lab, &[&shown, &refused.stderr], &["cutover.toml"]);
    }
    for (text, problem) in [
        (
            "[notify.ops]\nkind = 'webhook'\nurll = 'T0-hunter2'\n",
            "[notify.ops] in the settings file `cutover.toml` has an unknown key `urll` (did you mean `url`?)",
        ),
        (
            "[notify.ops]\nkind = 'webhook'\nurl = 'http://hooks.example.org/T0-hunter2'\n",
            "`url` is http://, which is for loopback only",
        ),
        (
            "[notify.ops]\nkind = 'webhook'\nsecret = 'T0-hunter2'\n",
            "has a key `secret`, and secrets do not belong into settings",
        ),
        (
            "[notify.ops]\nkind = 'pign'\n",
            "`kind` is `pign`, and has to be one of webhook, smn, command, ping (did you mean `ping`?)",
        ),
        ("[notify.ops]\nkind = 'ping'\nurl_env = 'A'\non = ['end', 'waiting']\n", "`on` has `waiting`"),
        ("[notify]\nkind = 'ping'\n", "has `notify` otherwise than as [notify.NAME]"),
    ] {
        lab.write("cutover.toml", text);
        let refused = lab.cutover(&["config", "show"]).exits(2).says(problem);
        nobody_sees(&lab, &[&refused.stderr], &["cutover.toml"]);
    }
}

#[test]
fn a_receiver_that_cannot_be_written_to_is_an_error_before_anything_begins_and_the_others_hear_of_it() {
    let _machine = shared();
    let (lab, sandbox) = three_rows();
    let well = Hook::that(Does::Answers(200, ""));
    for (name, content) in [
        ("empty", ""),
        ("blank", "\n"),
        ("lines", "hunter2\nhunter2\n"),
        ("pem", "-----BEGIN PRIVATE KEY-----\nhunter2"),
        ("url", "https://hooks.example.org/hunter2\nhunter2\n"),
        ("bell", "hunter2\u{7}"),
    ] {
        lab.write(name, content);
    }
    let of = |format: &str, key: &str| format!("kind = 'webhook'\nformat = '{format}'\nurl_env = 'WELL'\n{key}\n");
    let (generic, feishu) = (of("generic", "secret_env = 'V'"), of("feishu", "secret_env = 'V'"));
    let (ding, slack) = (of("dingtalk", "secret_env = 'V'"), "kind = 'webhook'\nformat = 'slack'\nurl_env = 'V'\n");
    let file = |name: &str| of("dingtalk", &format!("secret_file = '{name}'"));
    let (ping, ping_file) = ("kind = 'ping'\nurl_env = 'V'\n", "kind = 'ping'\nurl_file = 'url'\n");
    for (table, variable, problem) in [
        (&*generic, Some("whsec_hunter2!"), "`secret_env`: V is not base64 behind `whsec_`"),
        (&generic, Some("whsec_"), "`secret_env`: V has nothing behind `whsec_`"),
        (&generic, Some("whsk_hunter2"), "`secret_env`: V begins with `whsk_`"),
        (&generic, Some("hunter2\nhunter2"), "`secret_env`: V has a line break in it"),
        (&generic, Some("'hunter2'"), "`secret_env`: V has a quotation mark in it"),
        (&feishu, Some(""), "`secret_env`: V is not set, or is empty"),
        (&feishu, None, "`secret_env`: V is not set, or is empty"),
        (&feishu, Some("whsec_aHVudGVyMg=="), "`secret_env`: V begins with `whsec_`"),
        (&ding, Some("https://h/hunter2"), "`secret_env`: V is an address, and no secret"),
        (&ding, Some("hunter2\r\n"), "`secret_env`: V has a line break in it"),
        (&file("lines"), None, "`lines` has a line break in it"),
        (&file("empty"), None, "`empty` is empty"),
        (&file("blank"), None, "`blank` is empty"),
        (&file("bell"), None, "`bell` has a control character in it"),
        (&file("pem"), None, "`pem` cannot be read: it holds a key"),
        (&file("nowhere"), None, "`nowhere` cannot be read: "),
        (slack, Some("hunter2"), "`url_env`: V is not a URL"),
        (ping, None, "`url_env`: V is not set, or is empty"),
        (ping, Some("https://h/a\nhunter2"), "`url_env`: V has a line break in it"),
        (ping, Some("http://h/hunter2"), "`url_env`: V is http://, which is for loopback"),
        (ping_file, None, "`url` has a line break in it"),
    ] {
        lab.write("cutover.toml", &format!("{}[notify.ops]\n{table}", settings(&[("well", &well.url)])));
        let call = |args: &[&str]| {
            let mut command = lab.command(args);
            command.env("WELL", format!("{}/hunter2", well.url)).envs(variable.map(|text| ("V", text)));
            Launch::start(command).end()
        };
        let n_told = well.came().len();
        let run = call(&["run", "plan.csv", "--yes", "--endpoint", &sandbox.url]).exits(2).says(problem);
        assert!(run.stderr.contains("[notify.ops] in the settings file `"), "{}", run.stderr);
        assert!(sandbox.changes().is_empty() && !lab.path("cutover.db").exists());
        let told = &well.came()[n_told..];
        assert_eq!((told.len(), &told[0].json()["exit"]["code"]), (1, &json!(2)), "{problem}");
        assert!(told[0].json()["text"].as_str().unwrap().contains(problem), "{}", told[0].body);
        let check = call(&["check", "plan.csv"]).exits(2).says(problem);
        let doctor = call(&["doctor", "--endpoint", &sandbox.url]).exits(2);
        assert!(doctor.stdout.contains(problem), "{}", doctor.stdout);
        for text in [&run.stderr, &told[0].body, &check.stderr, &doctor.stdout, &doctor.stderr] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
    let sound = settings(&[("well", &well.url)]);
    // What the table itself has is an error of every verb.
    for (table, problem) in [
        ("kind = 'ping'\nurl = 'https://h/a b'\n", "`url` has a blank or a line break in it"),
        ("kind = 'smn'\ntopic_urn = 'urn:smn:x:y:a b'\n", "`topic_urn` is not urn:smn:REGION:PROJECT:NAME"),
        ("kind = 'command'\ncommand = \"true \\u0000\"\n", "`command` has a null character in it"),
    ] {
        lab.write("cutover.toml", &format!("{sound}[notify.ops]\n{table}"));
        lab.cutover(&["config", "show"]).exits(2).says(problem);
    }
    // What only reads tells nobody, and needs no secrets.
    let two = "[notify.ops]\nkind = 'ping'\nurl_env = 'V'\n[notify.other]\nkind = 'ping'\nurl_env = 'W'\n";
    lab.write("cutover.toml", &format!("{sound}{two}"));
    lab.cutover(&["config", "show"]).exits(0);
    let run = ["run", "plan.csv", "--yes", "--endpoint", &sandbox.url];
    lab.cutover(&run).exits(2).says("(and so with 1 more receiver)");
}

#[test]
fn a_receiver_that_repeats_what_proves_who_writes_gets_it_into_no_text() {
    let _machine = shared();
    let (lab, sandbox) = three_rows();
    let ding = Hook::that(Does::Echoes(200, r#"{"errcode":310000,"errmsg":"sign not match "#, r#""}"#));
    let feishu = Hook::that(Does::Echoes(200, r#"{"code":19021,"msg":"sign match fail "#, r#""}"#));
    let smn = Hook::that(Does::Echoes(403, r#"{"error_code":"SMN.0001","error_msg":"no "#, r#""}"#));
    let [generic, ping] = [500, 404].map(|status| Hook::that(Does::Echoes(status, "", "")));
    lab.write(
        "cutover.toml",
        &format!(
            "[notify.ding]\nkind = 'webhook'\nformat = 'dingtalk'\nurl_env = 'DING'\nsecret_env = 'DING_KEY'\n\
             [notify.feishu]\nkind = 'webhook'\nformat = 'feishu'\nurl_env = 'FEISHU'\nsecret_env = 'FEISHU_KEY'\n\
             [notify.generic]\nkind = 'webhook'\nurl_env = 'GENERIC'\nsecret_env = 'GENERIC_KEY'\n\
             [notify.night]\nkind = 'ping'\nurl_env = 'PING'\n\
             [notify.topic]\nkind = 'smn'\ntopic_urn = '{TOPIC}'\nendpoint = '{}'\n\
             [notify.told]\nkind = 'command'\ncommand = 'cat >&2; cat word >&2; exit 1'\n",
            smn.url
        ),
    );
    lab.write("word", "no-hunter2");
    let variables = [
        ("DING", &*format!("{}/robot/send?access_token=ab12c", ding.url)),
        ("DING_KEY", "SECding-hunter2"),
        ("FEISHU", &format!("{}/open-apis/bot/v2/hook/3f2504e0", feishu.url)),
        ("FEISHU_KEY", "feishu-hunter2"),
        ("GENERIC", &format!("{}/in/T0B1C2D3", generic.url)),
        ("GENERIC_KEY", "whsec_aHVudGVyMmh1bnRlcjI="),
        ("PING", &format!("{}/ping/0a1b2c3d", ping.url)),
        ("CUTOVER_AUTH_TOKEN", ""),
        ("HUAWEICLOUD_SDK_AK", "sandbox-ak"),
        ("HUAWEICLOUD_SDK_SK", "sandbox-sk"),
        ("HUAWEICLOUD_SDK_PROJECT_ID", "sandbox-project"),
    ];
    let run = ["run", "plan.csv", "--endpoint", &sandbox.url, "--yes", "-vv", "--log-file", "run.log"];
    let mut command = lab.command(&run);
    command.envs(variables);
    let ended = Launch::start(command).end().exits(0);
    for said in ["200 (errcode 310000: sign not match ", "200 (code 19021: sign match fail ", "403 (SMN.0001: no "] {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    let came = [&ding, &feishu, &generic, &ping, &smn].map(Hook::came).concat();
    assert_eq!(came.len(), 5 * 6);
    let mut withheld: Vec<String> = came.iter().flat_map(receiver::Came::signatures).collect();
    assert_eq!(withheld.len(), 5 * 6, "the one of a query in two forms: {withheld:?}");
    withheld.extend(["ab12c", "3f2504e0", "T0B1C2D3", "0a1b2c3d", "aHVudGVy", "sandbox-sk"].map(str::to_owned));
    withheld.extend(["SECding-hunter2", "feishu-hunter2"].map(str::to_owned));
    lab.cutover(&["report", "--format", "html", "-o", "report.html"]).exits(0);
    let status = lab.cutover(&["status", "--json"]).stdout;
    for secret in withheld {
        for text in [&ended.stderr, &ended.stdout, &status] {
            assert!(!text.contains(&secret), "{secret}: {text}");
        }
        let found = std::process::Command::new("grep").args(["-rlaF", &secret]).arg(lab.path(".")).output().unwrap();
        assert_eq!(String::from_utf8(found.stdout).unwrap(), "", "{secret}");
    }
    assert!(!ended.stderr.contains("no-hunter2"), "what a command says is nobody's to repeat: {}", ended.stderr);
}

#[test]
fn no_child_gets_a_proxy_with_a_password_and_no_output_repeats_one_or_a_receiver() {
    let _machine = shared();
    let (lab, sandbox) = three_rows();
    let hook = Hook::that(Does::Answers(200, ""));
    lab.write("ping.url", &format!("{}/0a1b2c3d4e?wait=true&v=1&token=ok", hook.url));
    lab.write("word", "a-w0rd; change 1 of 20 is approved: true, ok");
    lab.write("token", &format!(r#"{{"token": "{}"}}"#, crate::lab::served::TOKEN));
    lab.write(
        "cutover.toml",
        "[notify.night]\nkind = 'ping'\nurl_file = 'ping.url'\n\
         [notify.told]\nkind = 'command'\ncommand = 'env >told.env'\non = 'start'\n\
         [hooks]\nbefore_run = 'env >hook.env; cat ping.url; echo; cat word'\n\
         [profiles.p]\ncredential_command = 'env >fetch.env; cat token'\n",
    );
    let mut command = lab.command(&["run", "plan.csv", "--endpoint", &sandbox.url, "--yes", "--profile", "p"]);
    for name in ["http_proxy", "HTTPS_PROXY", "all_proxy"] {
        command.env(name, "http://me:a-w0rd@192.0.2.1:3128");
    }
    command.env("ALL_PROXY", "http://192.0.2.2:3128").env_remove("CUTOVER_AUTH_TOKEN");
    let ended = Launch::start(command).end().exits(0);
    for name in ["told.env", "hook.env", "fetch.env"] {
        let seen = std::fs::read_to_string(lab.path(name)).unwrap();
        assert!(!seen.contains("a-w0rd") && seen.contains("ALL_PROXY=http://192.0.2.2:3128"), "{name}: {seen}");
    }
    for secret in ["a-w0rd", "0a1b2c3d4e"] {
        let found =
            std::process::Command::new("grep").args(["-laF", secret]).arg(lab.path("cutover.db")).output().unwrap();
        assert_eq!(String::from_utf8(found.stdout).unwrap(), "", "{secret}");
        assert!(!ended.stderr.contains(secret) && !ended.stdout.contains(secret), "{secret}: {}", ended.stderr);
    }
    // Words that stand in the query of an address, too, are evidence all the same.
    let output = lab.journal().text("SELECT json_extract(detail, '$.output') FROM event WHERE kind = 'hook_ran'");
    assert!(output.ends_with("[redacted]; change 1 of 20 is approved: true, ok"), "{output}");
}

#[test]
fn a_command_that_takes_its_time_is_told_and_one_that_is_cut_off_is_not_begun_again() {
    let _machine = shared();
    let (lab, sandbox) = three_rows();
    lab.write(
        "cutover.toml",
        "[notify.slow]\nkind = 'command'\ncommand = 'echo >>began; sleep 3.5; cat >>told'\non = ['end']\n\
         [notify.stuck]\nkind = 'command'\ncommand = 'echo >>tried; sleep 60'\non = ['end']\n",
    );
    carried(&lab, &sandbox, &[]);
    let n_lines = |name: &str| std::fs::read_to_string(lab.path(name)).unwrap().lines().count();
    assert_eq!(["began", "told", "tried"].map(n_lines), [1, 1, 1]);
    let [slow, stuck] = <[_; 2]>::try_from(outcomes(&lab)).unwrap();
    assert_eq!((slow.2, slow.3), (1, None));
    assert_eq!((stuck.2, stuck.3.as_deref()), (1, Some("the command did not end within 5.0 s")));
}

#[test]
fn nobody_outside_hears_of_a_trial_and_a_test_is_sent_all_the_same() {
    let _machine = shared();
    let (lab, sandbox) = three_rows();
    lab.write("broken.csv", "source_id,copystate\nvm-1,stoped\n");
    let (hook, ping) = (Hook::that(Does::Answers(200, "")), Hook::that(Does::Answers(200, "OK")));
    let of_ping = format!("[notify.night]\nkind = 'ping'\nurl = '{}/night'\n", ping.url);
    lab.write("cutover.toml", &("metrics_file = 'a.prom'\n".to_owned() + &settings(&[("ops", &hook.url)]) + &of_ping));
    carried(&lab, &sandbox, &[]);
    let metrics = || std::fs::read_to_string(lab.path("a.prom")).unwrap();
    let (n_told, written) = ((hook.came().len(), ping.came().len()), metrics());
    assert_eq!(n_told, (2, 2));
    let trial = ["--endpoint", "sandbox", "--journal", "trial.db"];
    let run = |args: &[&str]| lab.cutover(&[args, &trial].concat());
    run(&["run", "plan.csv", "--yes", "--window", "00:00-00:01", "--deadline", "2020-01-01T00:00:00Z"]).exits(4);
    // The journal alone says that it goes on in the sandbox.
    lab.cutover(&["resume", "--yes", "--deadline", "off", "--journal", "trial.db"]).exits(0).says(
        "sandbox of this process: no receiver of notices is told, and the metrics file of the settings stays as it is",
    );
    run(&["run", "broken.csv", "--yes"]).exits(2);
    run(&["run", "plan.csv", "--dry-run"]).exits(0);
    run(&["rehearse", "plan.csv"]).exits(0);
    run(&["reconcile"]).exits(0);
    // Nobody would be told: whoever cannot be told ends no trial.
    let sound = std::fs::read_to_string(lab.path("cutover.toml")).unwrap();
    lab.write("cutover.toml", &format!("{sound}[notify.unset]\nkind = 'ping'\nurl_env = 'NOT_SET'\n"));
    let tried = run(&["run", "plan.csv", "--new", "--yes"]).exits(0);
    let warning = tried.stderr.lines().find(|line| line.starts_with("warning: ")).unwrap_or_default();
    assert!(warning.contains("[notify.unset]") && warning.contains("NOT_SET is not set"), "{}", tried.stderr);
    // Only what there is can stay untold.
    for (text, told) in [
        ("metrics_file = 'a.prom'\n".to_owned(), "process: the metrics file of the settings stays as it is\n"),
        (settings(&[("ops", &hook.url)]), "process: no receiver of notices is told\n"),
    ] {
        lab.write("cutover.toml", &text);
        run(&["run", "plan.csv", "--new", "--yes"]).exits(0).says(told);
    }
    lab.write("cutover.toml", &sound);
    assert_eq!((hook.came().len(), ping.came().len()), n_told);
    assert_eq!(metrics(), written);
    // A file that is named for this launch is meant.
    run(&["run", "plan.csv", "--new", "--yes", "--metrics-file", "b.prom"]).exits(0);
    assert!(std::fs::read_to_string(lab.path("b.prom")).unwrap().contains("cutover_run_exit_code"));
    lab.cutover(&["doctor", "--notify", "--endpoint", "sandbox"]).exits(0);
    assert_eq!(hook.told().last().map(String::as_str), Some("test"));
    assert_eq!(ping.came().last().unwrap().path, "/night/log");
}

#[test]
fn a_chat_is_told_plan_account_run_counts_cause_command_and_anchor() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    lab.write("plan.toml", "name = 'night of the move'\nfiles = ['plan.csv']\n");
    let sandbox = lab.serve("plan.csv", "[[fault]]\nsources = [\"vm-00002\"]\nkind = \"forbidden\"\n");
    let formats = [("slack", "ok"), ("feishu", r#"{"code":0}"#), ("dingtalk", r#"{"errcode":0}"#)];
    let hooks = formats.map(|(_, body)| Hook::that(Does::Answers(200, body)));
    let table = |((format, _), hook): (&(&str, &str), &Hook)| {
        format!("[notify.{format}]\nkind = 'webhook'\nformat = '{format}'\nurl = '{}/x'\non = 'end'\n", hook.url)
    };
    lab.write("cutover.toml", &formats.iter().zip(&hooks).map(table).collect::<String>());
    lab.launch(&sandbox, &["run", "plan.toml", "--rate", "off", "--account", "prod"]).exits(1);
    let status: Value = serde_json::from_str(&lab.cutover(&["status", "--json"]).stdout).unwrap();
    for hook in &hooks {
        let body = hook.next().json();
        let text =
            [&body["text"], &body["content"]["text"], &body["text"]["content"]].into_iter().find_map(Value::as_str);
        let text = text.unwrap();
        for says in [
            "plan: night of the move\n",
            "account: prod at http://127.0.0.1:",
            "rows: 3 (2 applied, 1 refused)\n",
            "first cause: 1 refused: ",
            "cutover retry ",
            status["run"].as_str().unwrap(),
            &format!("anchor: {}", status["anchor"].as_str().unwrap()),
        ] {
            assert!(text.contains(says), "{says}: {text}");
        }
    }
}
