//! No secret is ever written down: not in the journal, in logs, reports, events, errors or the list of processes.

use std::path::Path;

use crate::lab::{Lab, Launch, Served, TOKEN, plan, shared};

const PASSWORD: &str = TOKEN;
const SECRET_KEY: &str = "sandbox-sk";

/// Files below here, and of these texts those, that have a secret in them.
fn finds(folder: &Path, texts: &[(&str, &str)], secrets: &[String]) -> Vec<String> {
    let has = |bytes: &[u8], secret: &str| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            found.extend(
                secrets
                    .iter()
                    .filter(|secret| has(&bytes, secret))
                    .map(|secret| format!("{secret} in {}", path.display())),
            );
        }
    }
    for (what, text) in texts {
        found.extend(
            secrets.iter().filter(|secret| has(text.as_bytes(), secret)).map(|secret| format!("{secret} in {what}")),
        );
    }
    found
}

/// A night with faults whose answers repeat what they were sent.
const NIGHT: &str = "
[[fault]]
share = 0.1
kind = \"reset_after\"
[[fault]]
share = 0.1
kind = \"status\"
status = 400
code = \"SMS.9001\"
message = \"bad header ECHO\"
[[fault]]
share = 0.1
kind = \"status\"
status = 503
[[fault]]
share = 0.05
kind = \"garbage\"
";

/// A run from beginning to end, killed in between, at the highest level of logs; what it said, and its command lines.
fn night(lab: &Lab, served: &Served, variables: &[(&str, &str)]) -> Vec<(String, String)> {
    let args = [
        "-v",
        "run",
        "plan.csv",
        "--rate",
        "off",
        "--yes",
        "--events",
        "--endpoint",
        &served.url,
        "--verify-timeout",
        "1s",
    ];
    let begin = |more: &[&str]| {
        let mut command = lab.command(&[&args, more].concat());
        command.env_remove("CUTOVER_AUTH_TOKEN").env("RUST_BACKTRACE", "full").envs(variables.iter().copied());
        Launch::of(command)
    };
    let first = begin(&[]);
    assert!(first.reaches("attempt_started"));
    let command_line = std::fs::read(format!("/proc/{}/cmdline", first.pid())).unwrap();
    let first = first.kill();
    let second = begin(&["--report", "report.md", "--log-format", "json"]).end();
    let mut texts = vec![
        ("the command line".to_owned(), String::from_utf8_lossy(&command_line).into_owned()),
        ("events".to_owned(), first.stdout + &second.stdout),
        ("logs".to_owned(), first.stderr + &second.stderr),
    ];
    for verb in [
        &["status", "--json"][..],
        &["explain", "vm-00001"],
        &["report", "--format", "csv"],
        &["report", "--format", "json"],
        &["config", "show"],
    ] {
        let mut command = lab.command(verb);
        command.env_remove("CUTOVER_AUTH_TOKEN").envs(variables.iter().copied());
        let ended = Launch::of(command).end().exits(0);
        texts.push((verb.join(" "), ended.stdout + &ended.stderr));
    }
    texts
}

#[test]
fn no_secret_of_a_night_with_faults_is_written_down_and_a_planted_one_is_found() {
    let _machine = shared();
    let keys = [("HW_ACCESS_KEY", "sandbox-ak"), ("HW_SECRET_KEY", SECRET_KEY)];
    for variables in [&keys[..], &[("HW_AUTH_TOKEN", TOKEN)], &[]] {
        let lab = Lab::new();
        lab.write("plan.csv", &plan(80, "stopped,syncing"));
        // What it was sent, as far as it could know it.
        let echo = variables.last().map_or("", |(_, secret)| *secret);
        let served = lab.serve("plan.csv", &NIGHT.replace("ECHO", echo));
        let user = [
            ("HW_USER_NAME", "ops"),
            ("HW_PASSWORD", PASSWORD),
            ("HW_DOMAIN_NAME", "acme"),
            ("HW_AUTH_URL", served.url.as_str()),
        ];
        // What the sandbox is told to say is ours to know, not the run's.
        let variables = if variables.is_empty() { &user[..] } else { variables };
        let texts = night(&lab, &served, variables);
        std::fs::remove_file(lab.path("scenario.toml")).unwrap();
        let texts: Vec<(&str, &str)> = texts.iter().map(|(what, text)| (what.as_str(), text.as_str())).collect();
        // Tokens that the sandbox gave begin so, and signatures stand behind this.
        let own: Vec<String> = variables
            .iter()
            .filter(|(name, _)| ["HW_SECRET_KEY", "HW_PASSWORD", "HW_AUTH_TOKEN"].contains(name))
            .map(|(_, secret)| (*secret).to_owned())
            .chain(["sandbox-0000".to_owned(), "Signature=".to_owned()])
            .collect();
        assert_eq!(finds(lab.path(".").as_path(), &texts, &own), Vec::<String>::new(), "{variables:?}");
        // The check itself.
        let planted = [("a text", own[0].as_str())];
        assert_eq!(finds(lab.path(".").as_path(), &planted, &own).len(), 1);
        lab.write("deep.db-wal", &format!("..{}..", own[0]));
        assert_eq!(finds(lab.path(".").as_path(), &[], &own).len(), 1);
    }
}
