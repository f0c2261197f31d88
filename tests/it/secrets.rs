//! Secrets are never written down: not in the journal, in logs, reports, events, errors or the list of processes.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::lab::home::Lab;
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::{Served, TOKEN};
use crate::tools;

const PASSWORD: &str = TOKEN;
const SECRET_KEY: &str = "sandbox-sk";

/// Returns the files below a folder, and the given texts, that contain a secret.
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

/// Scenario with faults whose answers repeat what they were sent.
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

/// Makes a whole run, killed in between, with the most detailed logs. Returns its output and its command lines.
fn night(lab: &Lab, served: &Served, variables: &[(&str, &str)]) -> Vec<(String, String)> {
    let args = [
        "-vv",
        "--log-file",
        "run.log",
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
        Launch::start(command)
    };
    let first = begin(&[]);
    assert!(first.reaches("attempt_started"));
    let command_line = std::fs::read(format!("/proc/{}/cmdline", first.pid())).unwrap();
    let first = first.kill();
    let second = begin(&["--report", "report.md", "--log-format", "json"]).end();
    // The file is searched with the others.
    let log = std::fs::read_to_string(lab.path("run.log")).unwrap();
    assert!(log.contains("/changestate") && log.contains("took_ms=") && log.contains("\"took_ms\":"), "{log}");
    let asks_for_a_token = variables.iter().any(|(name, _)| *name == "HW_PASSWORD");
    assert_eq!(log.contains("/v3/auth/tokens"), asks_for_a_token, "{log}");
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
        let ended = Launch::start(command).end().exits(0);
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
        // Repeats what the client sent, as far as a service could know it.
        let echo = variables.last().map_or("", |(_, secret)| *secret);
        let served = lab.serve("plan.csv", &NIGHT.replace("ECHO", echo));
        let user = [
            ("HW_USER_NAME", "ops"),
            ("HW_PASSWORD", PASSWORD),
            ("HW_DOMAIN_NAME", "acme"),
            ("HW_AUTH_URL", served.url.as_str()),
        ];
        // The settings of the sandbox are the test's, and not the run's.
        let variables = if variables.is_empty() { &user[..] } else { variables };
        let texts = night(&lab, &served, variables);
        std::fs::remove_file(lab.path("scenario.toml")).unwrap();
        let texts: Vec<(&str, &str)> = texts.iter().map(|(what, text)| (what.as_str(), text.as_str())).collect();
        // Tokens from the sandbox begin with this, and signatures follow this text.
        let own: Vec<String> = variables
            .iter()
            .filter(|(name, _)| ["HW_SECRET_KEY", "HW_PASSWORD", "HW_AUTH_TOKEN"].contains(name))
            .map(|(_, secret)| (*secret).to_owned())
            .chain(["sandbox-0000".to_owned(), "Signature=".to_owned()])
            .collect();
        assert_eq!(finds(lab.path(".").as_path(), &texts, &own), Vec::<String>::new(), "{variables:?}");
        // A control that the check finds a planted secret.
        let planted = [("a text", own[0].as_str())];
        assert_eq!(finds(lab.path(".").as_path(), &planted, &own).len(), 1);
        lab.write("deep.db-wal", &format!("..{}..", own[0]));
        assert_eq!(finds(lab.path(".").as_path(), &[], &own).len(), 1);
    }
}

/// Secret of the length of a key, which occurs in no text of ours by accident.
const PLANTED: &str = "s3cr3tPLANTEDs3cr3tPLANTEDs3cr3tPLANTED0";

/// Settings with a secret, environment variables, and arguments of the verb.
struct Misplaced<'a> {
    settings: &'a str,
    variables: &'a [(&'a str, &'a str)],
    args: &'a [&'a str],
}

/// Answers every request with this status and body, for as long as the process lives.
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
            // The head of a small request arrives at once; a client that disconnects early gets no answer.
            _ = stream.read(&mut head);
            _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

/// A secret in a wrong place, in half of a pair, or repeated by a service, is reported without any part of it, in every
/// format of errors.
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
        for form in [&[][..], &["--json"], &["-vv", "--log-format", "json"]] {
            let endpoint: &[&str] = if is_told_where { &[] } else { &["--endpoint", "https://127.0.0.1:9"] };
            let mut command = lab.command(&[&["plan", "plan.csv"], form, endpoint, args].concat());
            command.env_remove("CUTOVER_AUTH_TOKEN").env("CUTOVER_METADATA_ENDPOINT", "off").env("P", PLANTED);
            if settings.contains("metadata_endpoint") {
                command.env_remove("CUTOVER_METADATA_ENDPOINT");
            }
            command.env("CUTOVER_ATTEMPTS", "1").envs(variables.iter().copied());
            let ended = Launch::start(command).end();
            let text = ended.stdout + &ended.stderr;
            // Any part of it that is long enough to be useful.
            if ended.code == Some(0) || text.contains(&PLANTED[..12]) {
                found.push(format!("{settings}{variables:?}{args:?}{form:?}: {:?} {text}", ended.code));
            }
        }
    }
    assert!(found.is_empty(), "{}\n{}", found.len(), found.join("\n"));
}

/// Encodings in which programs repeat a text.
fn clothes() -> Vec<fn(&str) -> String> {
    fn each(text: &str, dress: impl Fn(u8) -> String) -> String {
        text.bytes().map(dress).collect::<Vec<_>>().concat()
    }
    fn base64(text: &str) -> String {
        const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits: String = each(text, |byte| format!("{byte:08b}"));
        let six = |part: &[u8]| {
            let part = format!("{:0<6}", str::from_utf8(part).unwrap());
            char::from(SIGNS[usize::from_str_radix(&part, 2).unwrap()])
        };
        bits.as_bytes().chunks(6).map(six).collect()
    }
    vec![
        |text| text.to_owned(),
        |text| text.to_uppercase(),
        |text| each(text, |byte| format!("%{byte:02x}")),
        |text| each(text, |byte| format!("%25{byte:02X}")),
        |text| each(text, |byte| format!("\\\\u{byte:04x}")),
        |text| each(text, |byte| format!("{byte:02x}")),
        |text| each(text, |byte| format!("&#{byte};")),
        base64,
        |text| base64(&format!("x{text}")),
        |text| base64(&format!("ops:{text}")).replace('+', "-").replace('/', "_"),
        |text| each(text, |byte| format!("{} ", char::from(byte))),
        |text| each(text, |byte| format!("{}\u{200b}", char::from(byte))),
        |text| each(text, |byte| format!("{}\\r\\n", char::from(byte))),
        |text| text[3..text.len() - 3].to_owned(),
    ]
}

/// Tells whether a text and a file or output have twelve characters in a row in common, without blanks and invisible
/// characters.
fn shares(printed: &str, worn: &str) -> bool {
    let dense = |text: &str| -> Vec<char> {
        text.chars().filter(|c| !c.is_whitespace() && !c.is_control() && *c != '\u{200b}').collect()
    };
    let (printed, worn) = (dense(printed), dense(&worn.replace("\\r\\n", "").replace("\\\\", "\\")));
    worn.windows(12).any(|part| printed.windows(12).any(|other| other == part))
}

#[test]
fn what_a_peer_repeats_in_other_clothes_is_not_written_down() {
    let _machine = shared();
    let clothes = clothes();
    let n = clothes.len();
    let token = PLANTED;
    let keys = [("HW_ACCESS_KEY", "AK"), ("HW_SECRET_KEY", token)];
    for variables in [&[("HW_AUTH_TOKEN", token)][..], &keys] {
        let lab = Lab::new();
        // Three rows for each encoding: in the text of a refusal, in its code and id, and in a state.
        lab.write("plan.csv", &plan(3 * n, "stopped,syncing"));
        let dresses = clothes.clone();
        let endpoint = crate::peer::serve(move |asked| {
            let shows = |i: usize, state: &str| crate::peer::server(&crate::lab::id(i), state, "syncing");
            if asked.is_page() {
                let states = (1..=3 * n).map(|i| shows(i, "syncing"));
                return crate::peer::Answer::new(200, crate::peer::page(3 * n, &states.collect::<Vec<_>>()));
            }
            let i: usize = asked.id().trim_start_matches("vm-").parse().unwrap();
            // The secret key that signs, or else the token.
            let worn = dresses[(i - 1) / 3](token);
            match (asked.is_change(), (i - 1) % 3) {
                (true, 0) => {
                    let body = format!(r#"{{"error_code":"SMS.9001","error_msg":"bad header {worn}, it is no good"}}"#);
                    crate::peer::Answer::new(400, body)
                }
                (true, 1) => {
                    let body = format!(r#"{{"error_code":"X.{worn}","error_msg":"no","request_id":"r-{worn}"}}"#);
                    let host: String = worn.chars().filter(char::is_ascii_alphanumeric).collect();
                    crate::peer::Answer::new(400, body)
                        .with("location", format!("https://{host}.example.com/"))
                        .with("server", worn.replace(['\u{200b}'], ""))
                }
                (true, _) => crate::peer::Answer::new(200, "{}"),
                (false, 2) => crate::peer::Answer::new(200, shows(i, &worn)),
                (false, _) => crate::peer::Answer::new(200, shows(i, "syncing")),
            }
        });
        let run = |args: &[&str]| {
            let mut command = lab.command(&[args, &["--endpoint", &endpoint]].concat());
            command.env_remove("CUTOVER_AUTH_TOKEN").envs(variables.iter().copied());
            let ended = Launch::start(command).end();
            ended.stdout + &ended.stderr
        };
        let mut printed = run(&[
            "-v",
            "run",
            "plan.csv",
            "--yes",
            "--events",
            "--rate",
            "off",
            "--verify-timeout",
            "1s",
            "--attempts",
            "1",
            "--report",
            "report.csv",
        ]);
        printed += &run(&["sources", "show", &crate::lab::id(3)]);
        for name in ["report.csv", "cutover.db", "cutover.db-wal"] {
            printed += &String::from_utf8_lossy(&std::fs::read(lab.path(name)).unwrap_or_default());
        }
        assert!(printed.contains("[redacted]"));
        for (i, dress) in clothes.iter().enumerate() {
            let worn = dress(token);
            assert!(!shares(&printed, &worn), "{variables:?} {i}: {worn}");
        }
        // A control that the check finds a part.
        assert!(shares(&format!("..{}..", &token[..14]), token));
    }
}

/// Writes settings of the user, since the folder's must not have credentials.
fn settings_of_the_user(lab: &Lab, text: &str) {
    std::fs::create_dir_all(lab.path("config/cutover")).unwrap();
    lab.write("config/cutover/cutover.toml", text);
}

/// A password with a character that JSON escapes, repeated by a service in the middle of a run.
#[test]
fn a_password_that_comes_back_escaped_is_not_written_down() {
    let _machine = shared();
    let password = "pa\"ss\\wo/rd PLANTED-pa\"ss";
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    lab.write("password", password);
    let n_asked = std::sync::atomic::AtomicUsize::new(0);
    let endpoint = crate::peer::serve(move |asked| {
        if asked.path.starts_with("/v3/auth/tokens") {
            if n_asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
                return crate::peer::Answer::new(201, "{}").with("x-subject-token", "tok-1");
            }
            let echo = serde_json::to_string(&asked.body).unwrap();
            let body = format!(r#"{{"error":{{"code":401,"message":{echo},"title":"Unauthorized"}}}}"#);
            return crate::peer::Answer::new(401, body);
        }
        if asked.is_change() {
            return crate::peer::Answer::new(
                401,
                r#"{"error_code":"APIGW.0307","error_msg":"The token must be updated"}"#,
            );
        }
        let states = (1..=3).map(|i| crate::peer::server(&crate::lab::id(i), "syncing", "syncing"));
        crate::peer::Answer::new(200, crate::peer::page(3, &states.collect::<Vec<_>>()))
    });
    let password = lab.path("password");
    let password = password.display();
    settings_of_the_user(
        &lab,
        &format!(
            "[profiles.a]\nuser_name = \"ops\"\ndomain_name = \"acme\"\npassword_file = '{password}'\n\
             iam_endpoint = \"{endpoint}\"\n"
        ),
    );
    let mut command = lab.command(&[
        "run",
        "plan.csv",
        "--yes",
        "--events",
        "--rate",
        "off",
        "--profile",
        "a",
        "--endpoint",
        &endpoint,
    ]);
    command.env_remove("CUTOVER_AUTH_TOKEN");
    let ended = Launch::start(command).end().exits(5);
    std::fs::remove_file(lab.path("password")).unwrap();
    let printed = ended.stdout + &ended.stderr;
    let parts = ["PLANTED", "pa\"ss", "pa\\\"ss"].map(str::to_owned);
    assert_eq!(finds(lab.path(".").as_path(), &[("printed", &printed)], &parts), Vec::<String>::new());
    assert!(printed.contains("answered 401"), "{printed}");
}

/// An address without escapes may have the password, or parts of it, in any place.
#[test]
fn no_part_of_a_proxys_address_is_told() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    for address in [
        "hunter2",
        "http://hunter2",
        "https://hunter2/",
        "http://me:1#hunter2@proxy:3128",
        "http://me:1/hunter2@proxy:3128",
        "http://me:1?hunter2@proxy:3128",
        "http://me:pass@hunter2",
        "http://me:pass@hunter2:3128",
        "me:pass@hunter2",
        "http://me:1\\hunter2@proxy:3128",
        "http://me:1@hunter2@proxy:3128",
        "http://me:hunter2@1@proxy:3128",
        "http://me:1%hunter2@proxy:3128",
        "http://me:%68unter2hunter2@proxy:3128",
        "http://me:1#/?@hunter2@proxy:3128",
        "me:1#hunter2@proxy:3128",
        "me:1/hunter2@proxy",
        "//me:1?hunter2@proxy:3128",
        "HTTP://me:hunter2#@proxy:3128",
        "socks5://me:1/hunter2@proxy:1080",
        "http://hunter2:@proxy:3128",
    ] {
        let forms: [(&str, &[&str]); 3] =
            [("https_proxy", &[]), ("ALL_PROXY", &["--json"]), ("all_proxy", &["-vv", "--log-format", "json"])];
        for (variable, form) in forms {
            let verb = ["plan", "plan.csv", "--attempts", "1", "--timeout", "2s", "--endpoint", "https://sms.invalid"];
            let mut command = lab.command(&[&verb[..], form].concat());
            command.env(variable, address);
            let ended = Launch::start(command).end();
            let told = ended.stdout + &ended.stderr;
            assert!(ended.code != Some(0) && !told.contains("hunter2"), "{variable}={address}: {told}");
        }
        let mut command =
            lab.command(&["run", "plan.csv", "--yes", "--preflight", "off", "--endpoint", "https://sms.invalid"]);
        command.env("HTTPS_PROXY", address).env("CUTOVER_ATTEMPTS", "1").env("CUTOVER_VERIFY_TIMEOUT", "1s");
        let ended = Launch::start(command).end();
        let printed = ended.stdout + &ended.stderr;
        let found = finds(lab.path(".").as_path(), &[("printed", &printed)], &["hunter2".to_owned()]);
        assert_eq!(found, Vec::<String>::new(), "{address}: {printed}");
        for name in ["cutover.db", "cutover.db-wal", "cutover.db-shm"] {
            _ = std::fs::remove_file(lab.path(name));
        }
    }
}

/// Service that is asked for credentials, with the settings and variables that name it.
type Asked<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// An answer from a source of credentials is reported by its status and code, whatever it says.
#[test]
fn no_source_of_credentials_is_quoted() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    lab.write("pod-token", "a-token-of-the-pod\n");
    let bodies = [
        PLANTED.to_owned(),
        format!("<html><title>{PLANTED}</title>"),
        format!(r#"{{"error":{{"message":"{PLANTED}","code":"{PLANTED}"}}}}"#),
        format!(r#"{{"error_code":"{PLANTED}","error_msg":"{PLANTED}"}}"#),
        format!(r#"{{"credential":{{"access":"{PLANTED}","secret":"","securitytoken":[]}}}}"#),
        format!(r#"{{"credential":"{PLANTED}"}}"#),
        format!(r#"{{"{PLANTED}":1}}"#),
        format!("{PLANTED}\n\u{1b}[31m{PLANTED}"),
        format!("\u{feff}{{\"token\":{{\"expires_at\":\"{PLANTED}\"}}}}"),
    ];
    let mut found = Vec::new();
    // Each body with the statuses of an answer and of a refusal; some bodies with every status.
    let asked = |status: &u16| bodies[..if matches!(status, 200 | 401) { bodies.len() } else { 3 }].iter();
    let statuses = [200, 201, 302, 400, 401, 403, 404, 429, 500];
    for (status, body) in statuses.iter().flat_map(|status| asked(status).map(move |body| (*status, body))) {
        let url = answering(status, body);
        let command = format!("[profiles.a]\ncredential_command = '''printf '%s' '{}' '''\n", body.replace('\'', ""));
        let sources: [Asked<'_>; 4] = [
            (
                "IAM",
                "",
                &[("HW_USER_NAME", "u"), ("HW_DOMAIN_NAME", "d"), ("HW_PASSWORD", "p4ssw0rd"), ("HW_AUTH_URL", &url)],
            ),
            ("metadata", "", &[("CUTOVER_METADATA_ENDPOINT", &url)]),
            (
                "pod",
                "",
                &[("HC_CONTAINER_CREDENTIALS_FULL_URI", &url), ("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", "pod-token")],
            ),
            ("command", &command, &[("CUTOVER_PROFILE", "a")]),
        ];
        for (source, settings, variables) in
            sources.into_iter().filter(|(source, ..)| *source != "command" || status == 200)
        {
            lab.write("cutover.toml", settings);
            let mut asks =
                lab.command(&["plan", "plan.csv", "-v", "--endpoint", "https://127.0.0.1:9", "--attempts", "1"]);
            asks.env_remove("CUTOVER_AUTH_TOKEN").envs(variables.iter().copied());
            let ended = Launch::start(asks).end();
            let told = ended.stdout + &ended.stderr;
            if ended.code == Some(0) || told.contains(&PLANTED[..12]) {
                found.push(format!("{source} {status} {body:?}: {:?} {told}", ended.code));
            }
        }
    }
    assert!(found.is_empty(), "{}\n{}", found.len(), found.join("\n"));
}

/// A tool may ask for a PIN on standard error, or say what it does: that is for whoever sits there, and not to be kept.
#[test]
fn what_a_credential_command_says_reaches_the_terminal_and_nothing_that_is_kept() {
    const PIN: &str = "touch-the-key-PIN-4711";
    let _machine = shared();
    if crate::tools::lack(&["script"]) {
        return;
    }
    let lab = Lab::new();
    lab.write("plan.csv", &plan(2, "stopped,syncing"));
    let served = lab.serve("plan.csv", "");
    lab.write("token.json", &format!("{{\"token\": \"{TOKEN}\"}}"));
    // The PIN is computed, so that it occurs nowhere but in the tool's message.
    let command = "echo touch-the-key-PIN-$((4700+11)) >&2; cat token.json";
    let settings =
        format!("endpoint = '{}'\nprofile = 'a'\n[profiles.a]\ncredential_command = '''{command}'''\n", served.url);
    lab.write("cutover.toml", &settings);
    let run = format!(
        "{} run plan.csv --yes -v --log-format json --events --report report.json > events 2> /dev/tty",
        env!("CARGO_BIN_EXE_cutover")
    );
    let mut command = lab.command_of("script", &["-qec", &run, "/dev/null"]);
    command.env_remove("CUTOVER_AUTH_TOKEN");
    let ended = command.output().unwrap();
    let shown = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{shown}");
    assert!(shown.contains(PIN), "{shown}");
    assert_eq!(finds(lab.path(".").as_path(), &[], &[PIN.to_owned()]), Vec::<String>::new());
    // Standard error in a file gets nothing, also when the command fails.
    for fails in ["", "; exit 3"] {
        lab.write("cutover.toml", &settings.replace("cat token.json", &format!("cat token.json{fails}")));
        let mut command = lab.command(&["run", "plan.csv", "--yes", "--new", "-v", "--json"]);
        command.env_remove("CUTOVER_AUTH_TOKEN");
        let ended = Launch::start(command).end();
        let told = [("standard output", ended.stdout.as_str()), ("standard error", &ended.stderr)];
        assert_eq!(finds(lab.path(".").as_path(), &told, &[PIN.to_owned()]), Vec::<String>::new());
    }
}

/// A credential command of a profile gets no secrets of other profiles.
#[test]
fn a_credential_command_sees_no_secret_but_its_own() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(2, "stopped,syncing"));
    let served = lab.serve("plan.csv", "");
    lab.write("token.json", &format!("{{\"token\": \"{TOKEN}\"}}"));
    settings_of_the_user(
        &lab,
        &format!(
            "[profiles.a]\nendpoint = \"{0}\"\ncredential_command = \"env > seen; cat token.json\"\n\
             [profiles.b]\nendpoint = \"{0}\"\ntoken_env = \"TOKEN_OF_B\"\n",
            served.url
        ),
    );
    let rows = "source_id,copystate,migrationcycle,target\nvm-00001,stopped,syncing,a\nvm-00002,stopped,syncing,b\n";
    lab.write("plan.csv", rows);
    let mut command = lab.command(&["plan", "plan.csv"]);
    let (of_b, others) = ("s3cret-token-of-b", "s3cret-of-the-environment");
    command.env("TOKEN_OF_B", of_b).env("HW_PASSWORD", others);
    command.env("HW_SECRET_KEY", others).env("CUTOVER_AUTH_TOKEN", others).env("ITS_OWN", "stays");
    Launch::start(command).end();
    let seen = std::fs::read_to_string(lab.path("seen")).unwrap();
    assert!(!seen.contains(of_b) && !seen.contains(others), "{seen}");
    assert!(seen.contains("ITS_OWN=stays"), "{seen}");
}

/// Another process of the same user cannot read its memory, and it leaves no core dump.
#[test]
fn the_memory_of_a_process_with_secrets_is_its_own() {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;

    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let mut command = lab.command(&["sandbox", "--plan", "plan.csv", "--port", "0"]);
    // Root may read everything, and the files of its processes belong to it anyway.
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    if is_root {
        std::fs::set_permissions(lab.path("."), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        command.uid(65_534).gid(65_534);
    }
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut String::new())
        .unwrap();
    let of = |name: &str| format!("/proc/{}/{name}", child.id());
    // Files of a process that is not dumpable belong to root. source: proc_pid(5)
    let owner = std::fs::metadata(of("mem")).unwrap().uid();
    let limits = std::fs::read_to_string(of("limits")).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(owner, 0, "its memory can be read by others");
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert!(cores.split_whitespace().filter(|word| *word == "0").count() == 2, "{cores}");
}

#[test]
fn no_child_gets_a_file_that_the_caller_left_open() {
    if tools::lack(&["ssh-keygen"]) {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    lab.make_key("bob");
    lab.write("secret", "hunter2\n");
    lab.write("token", &format!(r#"{{"token": "{TOKEN}"}}"#));
    let lists =
        |to: &str| format!("ls -l /proc/self/fd >{to}; ls /proc/self/fd >>{to}; cat /proc/self/fd/7 >>{to}; true");
    lab.write(
        "cutover.toml",
        &format!(
            "[hooks]\nbefore_run = '{}'\n[notify.told]\nkind = 'command'\ncommand = '{}'\non = 'start'\n\
             [profiles.p]\ncredential_command = '{}; cat token'\n",
            lists("of_hook"),
            lists("of_notice"),
            lists("of_credentials")
        ),
    );
    std::fs::create_dir(lab.path("bin")).unwrap();
    lab.write("bin/ssh-keygen", &format!("#!/bin/sh\n{}\nPATH=${{PATH#*:}} exec ssh-keygen \"$@\"\n", lists("of_key")));
    std::fs::set_permissions(lab.path("bin/ssh-keygen"), PermissionsExt::from_mode(0o755)).unwrap();
    let left_open = |args: &[&str]| {
        let mut command =
            lab.command_of("bash", &["-c", r#"exec 7<secret 12<secret 200<secret 13<plan.csv; exec "$0" "$@""#]);
        let path = format!("{}:{}", lab.path("bin").display(), std::env::var("PATH").unwrap());
        command.arg(env!("CARGO_BIN_EXE_cutover")).args(args).env("PATH", path);
        command.env_remove("CUTOVER_AUTH_TOKEN");
        Launch::start(command).end().exits(0)
    };
    left_open(&["run", "plan.csv", "--endpoint", &sandbox.url, "--yes", "--profile", "p"]);
    lab.cutover(&["plan", "plan.csv", "-o", "sealed.plan", "--as", "Ada", "--endpoint", &sandbox.url]).exits(0);
    left_open(&["approve", "sealed.plan", "--as", "Bob", "--key", "bob"]);
    // What the caller means for us is read as before.
    left_open(&["check", "/dev/fd/13"]);
    for name in ["of_hook", "of_notice", "of_credentials", "of_key"] {
        let seen = std::fs::read_to_string(lab.path(name)).unwrap();
        assert!(seen.contains("/proc/") && !seen.contains("secret") && !seen.contains("hunter2"), "{name}: {seen}");
    }
}
