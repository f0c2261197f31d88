//! Credentials of every kind: keys, users, agencies, commands and files, in the environment and in profiles.

use std::process::Command;

use crate::lab::books::nothing_is_sent_again_unseen;
use crate::lab::home::Lab;
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::{Served, TOKEN};

const USER: [(&str, &str); 3] = [("HW_USER_NAME", "ops"), ("HW_PASSWORD", TOKEN), ("HW_DOMAIN_NAME", "acme")];
const KEYS: [(&str, &str); 3] = [
    ("HUAWEICLOUD_SDK_AK", "sandbox-ak"),
    ("HUAWEICLOUD_SDK_SK", "sandbox-sk"),
    ("HUAWEICLOUD_SDK_PROJECT_ID", "sandbox-project"),
];

/// Begins `run` against the sandbox with these variables and no token.
fn run(lab: &Lab, served: &Served, more: &[&str], variables: &[(&str, &str)]) -> Launch {
    let args = ["run", "plan.csv", "--events", "--no-progress", "--yes", "--endpoint", &served.url];
    let mut command = lab.command(&[&args, more].concat());
    command.env("CUTOVER_RATE", "off");
    Launch::start(with(command, variables))
}

fn with(mut command: Command, variables: &[(&str, &str)]) -> Command {
    command.env_remove("CUTOVER_AUTH_TOKEN").env("CUTOVER_METADATA_ENDPOINT", "off");
    command.envs(variables.iter().copied());
    command
}

fn tokens(served: &Served) -> usize {
    served.ledger().iter().filter(|request| request.path == "/v3/auth/tokens").count()
}

#[test]
fn a_run_is_signed_from_its_first_request_to_its_last() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(30, "stopped,syncing"));
    let served = lab.serve("plan.csv", "");
    run(&lab, &served, &[], &KEYS).end().exits(0);
    assert!(served.ledger().iter().all(|request| request.status == Some(200)));
    assert_eq!(served.changes().len(), 30);
}

#[test]
fn a_wrong_key_costs_one_request() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(30, "stopped,syncing"));
    let served = lab.serve("plan.csv", "");
    let wrong = [KEYS[0], ("HUAWEICLOUD_SDK_SK", "wr0ng-sk"), KEYS[2]];
    let ended = run(&lab, &served, &["--concurrency", "16"], &wrong).end().exits(5);
    assert!(!ended.stderr.contains("wr0ng-sk"));
    assert_eq!(served.ledger().len(), 1);
}

#[test]
fn a_token_that_lives_shorter_than_the_run_is_renewed_ahead() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(120, "stopped,syncing"));
    let served = lab.serve("plan.csv", "token_expires_after_ms = 2000\nlatency_ms = [5, 10]\n");
    let iam = [("HW_AUTH_URL", served.url.as_str())];
    let variables = [&USER[..], &iam].concat();
    run(&lab, &served, &["--rate", "30"], &variables).end().exits(0);
    let ledger = served.ledger();
    assert!(tokens(&served) >= 3, "{}", tokens(&served));
    assert!(ledger.iter().all(|request| request.status.is_some_and(|status| status < 300)));
}

#[test]
fn tokens_that_are_voided_in_the_middle_are_renewed_once_for_all_and_no_row_is_hurt() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(200, "stopped,syncing"));
    let served = lab.serve("plan.csv", "latency_ms = [20, 30]\n");
    let iam = [("HW_AUTH_URL", served.url.as_str())];
    let variables = [&USER[..], &iam].concat();
    let launch = run(&lab, &served, &["--concurrency", "8"], &variables);
    served.reach(60);
    served.expire_tokens();
    launch.end().exits(0);
    assert_eq!(tokens(&served), 2);
    let refused = served.ledger().iter().filter(|request| request.status == Some(401)).count();
    assert!((1..=8).contains(&refused), "{refused}");
    nothing_is_sent_again_unseen(&served.ledger());
    assert_eq!(lab.journal().tally()["applied"], 200);
}

#[test]
fn a_wrong_password_is_tried_once_and_makes_no_run() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(5, "stopped,syncing"));
    let served = lab.serve("plan.csv", "");
    let wrong = [USER[0], ("HW_PASSWORD", "wr0ng-password"), USER[2], ("HW_AUTH_URL", &served.url)];
    let ended = run(&lab, &served, &[], &wrong)
        .end()
        .exits(5)
        .says("answered 401: the user, its account or the password is wrong");
    assert!(!ended.stderr.contains("wr0ng-password"));
    assert_eq!((served.ledger().len(), lab.path("cutover.db").exists()), (1, false));
}

#[test]
fn profiles_name_every_kind_and_files_that_others_can_read_are_warned_of() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(5, "stopped,syncing"));
    let served = lab.serve("plan.csv", "");
    lab.write("token", &format!("{TOKEN}\n"));
    lab.write("keys", "[basic]\nak = sandbox-ak\nsk = sandbox-sk\nproject_id = sandbox-project\n");
    lab.write("password", TOKEN);
    let kinds = [
        "token_env = \"T\"",
        "token_file = \"token\"",
        "access_key_env = \"A\"\nsecret_key_env = \"S\"",
        "credentials_file = \"keys\"",
        "user_name = \"ops\"\ndomain_name = \"acme\"\npassword_file = \"password\"\niam_endpoint = \"IAM\"",
        "credential_command = \"cat token.json\"",
    ];
    lab.write("token.json", &format!("{{\"token\": \"{TOKEN}\"}}"));
    for kind in kinds {
        let profile = format!("[profiles.p]\nendpoint = \"{}\"\n{kind}\n", served.url).replace("IAM", &served.url);
        lab.write("cutover.toml", &profile);
        let args = ["plan", "plan.csv", "--profile", "p"];
        let variables = [("T", TOKEN), ("A", "sandbox-ak"), ("S", "sandbox-sk")];
        let ended = Launch::start(with(lab.command(&args), &variables)).end().exits(0);
        let warned = ended.stderr.contains("can be read by others");
        assert_eq!(warned, kind.contains("_file"), "{kind}: {}", ended.stderr);
    }
}

/// A profile, variables, the exit code of the run with them, and words of its message.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], i32, &'a str);

#[test]
fn credentials_that_cannot_be_used_are_told_before_anything_is_sent() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(5, "stopped,syncing"));
    let served = lab.serve("plan.csv", "");
    let long = "x".repeat(16_385);
    let expired = "credential_command = \"echo '{\\\"access\\\":\\\"A\\\",\\\"secret\\\":\\\"s\\\",\\\"securitytoken\\\":\\\"t\\\",\\\"expires_at\\\":\\\"2020-01-01T00:00:00Z\\\"}'\"";
    let cases: [Case<'_>; 6] = [
        ("", &[("HW_AUTH_TOKEN", &long)], 2, "has 16385 characters, at most 16384"),
        ("", &[("HW_ACCESS_KEY", "A")], 2, "hint: `export HW_SECRET_KEY=…`"),
        ("", &[], 5, "no credentials are set"),
        ("token_env = \"T\"\nagency = true", &[("T", "x")], 2, "two kinds, `token_env` and `agency`"),
        ("token_env = \"T\"", &[], 2, "T is not set (`token_env` of the profile `p`)"),
        (expired, &[], 5, "expired at 2020-01-01T00:00:00Z"),
    ];
    for (profile, variables, exit, says) in cases {
        lab.write("cutover.toml", &format!("[profiles.p]\n{profile}\n"));
        run(&lab, &served, &["--profile", "p"], variables).end().exits(exit).says(says);
    }
    run(&lab, &served, &["--profile", "q"], &[]).end().exits(2).says("there is no profile `q`");
    assert!(served.ledger().is_empty());
    assert!(!lab.path("cutover.db").exists());
}

#[test]
fn who_is_refused_in_new_credentials_too_stops_however_often_others_are_let_in() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(40, "stopped,syncing"));
    let fault = "latency_ms = [5, 10]\n[[fault]]\nsources = [\"vm-00003\"]\nkind = \"status\"\nstatus = 401\n\
                 code = \"APIGW.0301\"\ntimes = 0\n";
    let served = lab.serve("plan.csv", fault);
    let iam = [("HW_AUTH_URL", served.url.as_str())];
    run(&lab, &served, &[], &[&USER[..], &iam].concat()).end().exits(5).says("with new credentials too");
    assert_eq!(tokens(&served), 2);
    assert_eq!(served.changes().iter().filter(|change| change.status == Some(401)).count(), 2);
}

/// Editors and shells put an invisible byte order mark in front of what they write.
#[test]
fn a_byte_order_mark_is_dropped_wherever_a_text_is_read() {
    let _machine = shared();
    let as_utf8 = |text: &str| format!("\u{FEFF}{text}").into_bytes();
    let as_utf16 = |text: &str| format!("\u{FEFF}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for marked in [as_utf8, as_utf16 as fn(&str) -> Vec<u8>] {
        let lab = Lab::new();
        let write = |name: &str, text: &str| std::fs::write(lab.path(name), marked(text)).unwrap();
        write("plan.csv", &plan(5, "stopped,syncing"));
        let served = lab.serve("plan.csv", "\u{FEFF}latency_ms = [1, 1]\n");
        write("token", &format!("{TOKEN}\r\n"));
        write(
            "keys",
            "[basic]\nak = \"sandbox-ak\" ; the night account\nsk = sandbox-sk\nproject_id = sandbox-project\n",
        );
        write("password", TOKEN);
        for kind in [
            "token_file = \"token\"",
            "credentials_file = \"keys\"",
            "user_name = \"ops\"\ndomain_name = \"acme\"\npassword_file = \"password\"\niam_endpoint = \"IAM\"",
        ] {
            let profile = format!("[profiles.p]\nendpoint = \"{}\"\n{kind}\n", served.url).replace("IAM", &served.url);
            write("cutover.toml", &profile);
            Launch::start(with(lab.command(&["plan", "plan.csv", "--profile", "p"]), &[])).end().exits(0);
        }
        std::fs::remove_file(lab.path("cutover.toml")).unwrap();
        let mut from_stdin = lab.command(&["check", "-", "--strict"]);
        from_stdin.stdin(std::fs::File::open(lab.path("plan.csv")).unwrap());
        Launch::start(from_stdin).end().exits(0);
    }
}

#[test]
fn a_sealed_plan_with_a_mark_is_the_one_that_was_sealed() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(5, "stopped,syncing"));
    let served = lab.serve("plan.csv", "");
    lab.cutover(&["plan", "plan.csv", "--endpoint", &served.url, "-o", "sealed.plan", "--as", "Ada"]).exits(0);
    let sealed = std::fs::read_to_string(lab.path("sealed.plan")).unwrap();
    lab.write("sealed.plan", &format!("\u{FEFF}{sealed}"));
    lab.cutover(&["check", "sealed.plan"]).exits(0);
    lab.cutover(&["approve", "sealed.plan", "--as", "Bo"]).exits(0);
    lab.launch(&served, &["run", "sealed.plan"]).exits(0);
    let utf16: Vec<u8> = format!("\u{FEFF}{sealed}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(lab.path("anew.plan"), utf16).unwrap();
    lab.cutover(&["check", "anew.plan"]).exits(7).says("it is UTF-16 now");
}
