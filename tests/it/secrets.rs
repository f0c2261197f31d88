//! No secret is ever written down: not in the journal, in logs, reports, events, errors or the list of processes.

use std::io::{Read, Write};
use std::net::TcpListener;
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

/// As long as a key, and nothing that stands in a text of ours by accident.
const PLANTED: &str = "s3cr3tPLANTEDs3cr3tPLANTEDs3cr3tPLANTED0";

/// What stands in the settings, in the environment and in files, and what the verb is given.
struct Misplaced<'a> {
    settings: &'a str,
    variables: &'a [(&'a str, &'a str)],
    args: &'a [&'a str],
}

/// Answers whatever it is asked with this status and body, for as long as the process lives.
fn answering(status: u16, body: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let len = body.len();
    let answer =
        format!("HTTP/1.1 {status} So\r\nContent-Length: {len}\r\nConnection: close\r\nX-Token: {body}\r\n\r\n{body}");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 16 * 1024];
            // The head of a request this small comes at once; whoever hangs up early is not answered.
            _ = stream.read(&mut head);
            _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

/// A secret that stands where none belongs, where it is half of something, or where whoever was asked repeats it, is told of
/// without any of it, in every form in which an error is told.
#[test]
fn an_error_about_credentials_repeats_nothing_that_may_be_one() {
    let _machine = shared();
    let user = |url: &str| {
        format!(
            "[profiles.a]\nuser_name = \"ops\"\ndomain_name = \"acme\"\npassword_env = \"P\"\niam_endpoint = \"{url}\"\n"
        )
    };
    let agency = |url: &str| format!("[profiles.a]\nagency = true\nmetadata_endpoint = \"{url}\"\n");
    let of_key = |key: &str, value: &str| format!("[profiles.a]\n{key} = {value}\n");
    let bodies = [
        PLANTED.to_owned(),
        format!("<html><p>{PLANTED}</p></html>"),
        format!(r#"{{"credential":{{"access":"A","secret":"{PLANTED}","securitytoken":"t"}}}}"#),
        format!(r#"{{"error":{{"message":"the token {PLANTED} is not good","code":401}}}}"#),
        format!(r#"{{"error_msg":"sk={PLANTED};","error_code":"IAM.1"}}"#),
        format!(r#"{{"token":"{PLANTED}"#),
    ];
    let mut settings = vec![
        of_key("credential_command", &format!("'''echo {PLANTED} >&2; exit 3'''")),
        of_key("credential_command", &format!("'''set -x; false {PLANTED}'''")),
        of_key("credential_command", &format!("'''echo {PLANTED}'''")),
        of_key("credential_command", &format!("'''echo '{{\"token\": \"{PLANTED} x\"}}' '''")),
        of_key("password", PLANTED),
        of_key("password", &format!("\"{PLANTED}\"")),
        of_key("token", &format!("\"{PLANTED}\"")),
        of_key("token_env", &format!("\"{PLANTED}\"")),
        of_key("token_file", &format!("\"{PLANTED}\"")),
        of_key("token_file", &format!("\"{}\"", PLANTED.repeat(9))),
        of_key("token_file", "\"two-lines\""),
        of_key("token_file", "\"not-utf8\""),
        of_key("credentials_file", &format!("\"{PLANTED}\"")),
        of_key("credentials_file", "\"bad.ini\""),
        of_key("credentials_file", "\"twice.ini\""),
        of_key("credentials_file", "\"two-lines\""),
        of_key("endpoint", &format!("\"https://me:{PLANTED}@sms.example.com\"")),
        of_key("endpoint", &format!("\"https://sms.example.com/?token={PLANTED}\"")),
        of_key("ca_bundle", "\"two-lines\""),
        format!("rate = 5 {PLANTED}\n"),
        format!("[profiles.a]\ntoken_env = \"T\"\n\"{PLANTED}\n"),
    ];
    for at in [user as fn(&str) -> String, agency] {
        settings.push(at(&format!("http://me:{PLANTED}@127.0.0.1:9")));
        settings.push(at(&format!("https://{PLANTED}@iam.example.com")));
        settings.push(at(&format!("http://127.0.0.1:9/{PLANTED}")));
        for status in [200, 401, 500] {
            settings.extend(bodies.iter().map(|body| at(&answering(status, body))));
        }
    }
    let of_settings = settings.iter().map(|settings| Misplaced { settings, variables: &[], args: &["--profile", "a"] });
    let with_user = format!("http://me:{PLANTED}@proxy:3128/x");
    let socks = format!("socks5://me:{PLANTED}@proxy:1080");
    let (lines, quoted) = (format!("{PLANTED}\nx"), format!("'{PLANTED}'"));
    let variables: [&[(&str, &str)]; 9] = [
        &[("HW_AUTH_TOKEN", &lines)],
        &[("HW_ACCESS_KEY", "A"), ("HW_SECRET_KEY", &quoted)],
        &[("HW_USER_NAME", "u"), ("HW_DOMAIN_NAME", "d"), ("HW_PASSWORD", &quoted)],
        &[("HW_USER_NAME", "u"), ("HW_DOMAIN_NAME", "d"), ("HW_PASSWORD", PLANTED), ("HW_AUTH_URL", &with_user)],
        &[("HTTPS_PROXY", &with_user), ("HW_AUTH_TOKEN", "t")],
        &[("ALL_PROXY", &socks), ("HW_AUTH_TOKEN", "t")],
        &[("CUTOVER_ENDPOINT", &with_user)],
        &[("CUTOVER_AUTH_TOKN", PLANTED)],
        &[("HC_CONTAINER_CREDENTIALS_FULL_URI", &with_user), ("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", "two-lines")],
    ];
    let of_variables = variables.map(|variables| Misplaced { settings: "", variables, args: &[] });
    let token_flag = format!("--token={PLANTED}");
    let flags = [&["--endpoint", &with_user][..], &[&token_flag]];
    let of_flags = flags.map(|args| Misplaced { settings: "", variables: &[], args });
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    lab.write("two-lines", &format!("{PLANTED}\n{PLANTED}\n"));
    std::fs::write(lab.path("not-utf8"), [PLANTED.as_bytes(), b"\xE9"].concat()).unwrap();
    lab.write("bad.ini", &format!("[basic]\nak = A\nsk = \"{PLANTED}\n"));
    lab.write("twice.ini", &format!("[basic]\nak = A\n{PLANTED}=x\n{PLANTED}=y\n"));
    let mut found = Vec::new();
    for Misplaced { settings, variables, args } in of_settings.chain(of_variables).chain(of_flags) {
        let is_told_where = args.contains(&"--endpoint")
            || settings.contains("endpoint = \"https://")
            || variables.iter().any(|(name, _)| *name == "CUTOVER_ENDPOINT");
        lab.write("cutover.toml", settings);
        for form in [&[][..], &["--json"], &["-v", "--log-format", "json"]] {
            let endpoint: &[&str] = if is_told_where { &[] } else { &["--endpoint", "https://127.0.0.1:9"] };
            let mut command = lab.command(&[&["plan", "plan.csv"], form, endpoint, args].concat());
            command.env_remove("CUTOVER_AUTH_TOKEN").env("CUTOVER_METADATA_ENDPOINT", "off").env("P", PLANTED);
            if settings.contains("metadata_endpoint") {
                command.env_remove("CUTOVER_METADATA_ENDPOINT");
            }
            command.env("CUTOVER_ATTEMPTS", "1").envs(variables.iter().copied());
            let ended = Launch::of(command).end();
            let text = ended.stdout + &ended.stderr;
            // Any part of it that is long enough to be of use.
            if ended.code == Some(0) || text.contains(&PLANTED[..12]) {
                found.push(format!("{settings}{variables:?}{args:?}{form:?}: {:?} {text}", ended.code));
            }
        }
    }
    assert!(found.is_empty(), "{}\n{}", found.len(), found.join("\n"));
}
