//! Output for people: whatever a plan, a service, a journal, settings, a lock, a file name or an argument contains, nothing
//! of it moves the cursor, reverses or breaks a line, or hides in it, on either stream, as text and as JSON.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt as _;
use std::process::Stdio;

use rusqlite::Connection;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthChar as _;

use crate::lab::home::Lab;
use crate::lab::launch::{Ended, Launch};
use crate::lab::machine::shared;
use crate::lab::{id, plan};
use crate::service::{Asked, Server, Service, TARGET};
use crate::tools;

/// One character of each kind that must not be shown unchanged, and a line that looks like one of ours.
const ODD: &str = "w\u{1}e\u{8}\u{1b}[31m\u{7f}\u{85}\u{9b}2J\u{202e}b\u{2066}x\u{2069}\u{200e}\u{61c}\u{200b}\u{200d}\u{feff}\
                   \u{2060}\u{ad}\u{34f}\u{180e}\u{3164}\u{fe0f}\u{e0041}\u{e000}\u{378}\u{2028}\u{2029}\u{a0}\r\nforged: line\tq";

/// Tells whether a line of ours must not contain this character, by a list of its own and not by the code that it checks.
fn is_odd(character: char) -> bool {
    character != '\n' && character.is_control()
        || matches!(character,
            '\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{378}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffc}' | '\u{e0000}'..='\u{10ffff}')
}

#[track_caller]
fn is_clean(what: &str, ended: &Ended) {
    for (stream, text) in [("standard output", &ended.stdout), ("standard error", &ended.stderr)] {
        if let Some(found) = text.chars().find(|character| is_odd(*character)) {
            panic!("{what}: {found:?} on {stream}: {text:?}");
        }
        assert!(!text.lines().any(|line| line.trim_start().starts_with("forged")), "{what}, {stream}: {text}");
    }
    assert!(!ended.stderr.contains("panicked"), "{what}: {}", ended.stderr);
}

/// Checks a table for programs: values are unchanged except for control characters, since a terminal may be behind the
/// program.
#[track_caller]
fn is_clean_as_a_table(what: &str, ended: &Ended) {
    let acts = |character: &char| {
        character.is_control() && !matches!(character, '\n' | '\t')
            || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if let Some(found) = ended.stdout.chars().find(acts) {
        panic!("{what}: {found:?} on standard output: {:?}", ended.stdout);
    }
    is_clean(what, &Ended { code: ended.code, stdout: String::new(), stderr: ended.stderr.clone() });
}

/// Tells whether a verb with these arguments prints a table.
fn is_a_table(args: &[&str]) -> bool {
    let has = |words: &[&str]| args.windows(words.len()).any(|window| window == words);
    has(&["--format", "csv"]) || args.starts_with(&["rollback"]) || args.starts_with(&["sources", "plan"])
}

/// Returns the verbs that the program lists, including nested ones.
fn verbs(lab: &Lab, of: &[String]) -> Vec<Vec<String>> {
    let mut args: Vec<&str> = of.iter().map(String::as_str).collect();
    args.push("--help");
    let help = lab.cutover(&args).exits(0);
    is_clean("help", &help);
    if !help.stdout.lines().any(|line| line.starts_with("Usage:") && line.ends_with("<COMMAND>")) {
        return Vec::new();
    }
    let listed =
        help.stdout.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   ")).map(|line| {
        let name = line.split_whitespace().next().unwrap().to_owned();
        [of, &[name]].concat()
    });
    names
        .flat_map(|verb| {
            let below = verbs(lab, &verb);
            if below.is_empty() { vec![verb] } else { below }
        })
        .collect()
}

/// Returns a TOML string with this text; control characters are written by number.
fn in_toml(text: &str) -> String {
    let numbers = text.chars().fold(String::new(), |all, character| {
        if character.is_ascii_graphic() && !matches!(character, '"' | '\\') {
            all + &character.to_string()
        } else {
            all + &format!("\\U{:08X}", u32::from(character))
        }
    });
    format!("\"{numbers}\"")
}

/// Starts a service whose texts all have odd characters.
fn odd_service(ids: &[&str]) -> Service {
    Service::start(ids, |server: &mut Server, id, asked| {
        let seen = |server: &Server| {
            let mut body = server.body(id);
            let more = json!({"name": ODD, "hostname": ODD, "ip": ODD, "os_version": ODD, ODD: ODD,
                "current_task": {"name": ODD, "state": ODD},
                "checks": [{"name": ODD, "result": ODD, "error_code": ODD, "error_or_warn": ODD}]});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        match (id, asked) {
            ("vm-00001", Asked::Change) => (400, json!({"error_code": ODD, "error_msg": ODD})),
            ("vm-00002", Asked::Change) => {
                server.is_now((ODD, ODD));
                (200, json!({ODD: ODD}))
            }
            ("vm-00003", Asked::Change) => (403, json!({"error_code": "SMS.0001", "error_msg": ODD})),
            ("vm-00004", Asked::Change) => (500, json!({"error": {"message": ODD, "title": ODD}})),
            (_, Asked::Change) => {
                server.is_now(TARGET);
                (200, json!({}))
            }
            (_, Asked::Show | Asked::List) => (200, seen(server)),
        }
    })
}

/// Makes a lab with an odd plan and a finished run.
fn odd_lab() -> (Lab, Service, String) {
    let lab = Lab::new();
    let ids: Vec<String> = (1..=6).map(id).collect();
    let service = odd_service(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let header = format!("id,state,cycle,name,note,wave,\"{}\"\n", ODD.replace('"', ""));
    let rows = ids.iter().fold(header, |plan, id| {
        format!("{plan}{id},{},{},\"{ODD}\",\"{ODD}\",\"{ODD}\",\"{ODD}\"\n", TARGET.0, TARGET.1)
    });
    let name = format!("{ODD}.csv");
    lab.write(&name, &rows);
    let at = ["--endpoint", &service.url, "--yes", "--rate", "off", "--verify-timeout", "1s", "--attempts", "2"];
    let ran = lab.cutover(&[&["run", &name, "--max-failed", "90%"][..], &at].concat());
    is_clean("the night", &ran);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    (lab, service, name)
}

/// Returns arguments for a verb, more than any real call has.
fn cases<'a>(verb: &str, name: &'a str, url: &'a str) -> Vec<Vec<&'a str>> {
    let at = ["--endpoint", url, "--rate", "off"];
    let at = |args: &[&'a str]| [args, &at].concat();
    match verb {
        "check" => vec![vec![name], vec!["bad.csv"], vec!["bad.toml"], vec!["waves.toml"], vec!["bad.jsonl"]],
        "plan" => vec![at(&[name]), at(&["waves.toml"]), at(&[name, "-o", "sealed.plan", "--force"])],
        "run" => {
            vec![at(&[name, "--yes", "--new", "--events"]), at(&["waves.toml", "--yes", "--dry-run"]), at(&[name])]
        }
        "resume" => vec![at(&["--yes"])],
        "retry" => vec![at(&["--yes", "--events"]), at(&["--yes", "--only", ODD])],
        "reconcile" => vec![at(&[])],
        "approve" => vec![vec!["sealed.plan", "--as", ODD], vec!["bad.csv", "--as", "a"]],
        "explain" => (1..=4).map(|n| vec![["vm-00001", "vm-00002", "vm-00003", "vm-00004"][n - 1]]).collect(),
        "report" => ["csv", "json", "md", "junit", "html"].into_iter().map(|form| vec!["--format", form]).collect(),
        "rehearse" => vec![vec![name], at(&[name, "--from-live"])],
        "rollback" => vec![vec![], vec!["-o", "back.csv", "--force"]],
        "control" => {
            vec![vec!["skip", ODD], vec!["skip", "vm-00001", "--reason", ODD], vec!["rate", ODD], vec!["release", ODD]]
        }
        "doctor" => vec![at(&[]), at(&["--profile", ODD])],
        "sources list" => vec![at(&[]), at(&["--format", "csv"]), at(&["--name", ODD])],
        "sources show" => vec![at(&["vm-00001"]), at(&["vm-0"]), at(&[ODD])],
        "sources plan" => vec![at(&["--to-state", "stopped"])],
        "audit export" => vec![vec!["-o", ODD], vec!["-o", "a\u{202e}b.zip"]],
        "audit sign" => vec![vec!["--key", ODD], vec!["--key", "bad.csv"]],
        "serve" => vec![vec!["--token-file", ODD], vec!["--listen", "192.0.2.1:1"]],
        "sandbox" => vec![vec!["--plan", ODD], vec!["--plan", "bad.csv"], vec!["--scenario", ODD]],
        // A verb that takes no names.
        _ => vec![vec![]],
    }
}

/// Tells whether a verb goes on until it is stopped.
fn never_ends(verb: &str) -> bool {
    matches!(verb, "serve" | "sandbox")
}

#[test]
fn no_verb_shows_what_nobody_would_see_in_text_or_in_json() {
    let _machine = shared();
    let (lab, service, name) = odd_lab();
    lab.write(
        "bad.csv",
        &format!("id,state,{0}\nvm\u{202e}1,{0},x\n,stopped,\n\"{0}\",stopped,\n", ODD.replace(['\r', '\n'], "")),
    );
    lab.write("bad.jsonl", &format!("{}\n{{\"id\": \"a\"\u{202e}\n", json!({"id": ODD, "state": ODD, ODD: 1})));
    let text = in_toml(ODD);
    lab.write(
        "bad.toml",
        &format!("files = [{text}]\n{text} = 1\n[[waves]]\nname = {text}\n[targets]\n{text} = {text}\n"),
    );
    lab.write(
        "waves.toml",
        &format!("rows = [{{source_id = \"vm-00001\", copystate = \"stopped\", wave = {text}, name = {text}}}]\n[[waves]]\nname = {text}\n"),
    );
    let all = verbs(&lab, &[]);
    assert!(all.len() > 20, "{all:?}");
    for verb in &all {
        let path = verb.join(" ");
        let verb: Vec<&str> = verb.iter().map(String::as_str).collect();
        let unknown = format!("--{ODD}");
        let mut args = vec![vec![ODD], vec![ODD, ODD], vec![unknown.as_str()], vec!["--journal", ODD, "x"]];
        args.extend(
            cases(&path, &name, &service.url).into_iter().filter(|args| !never_ends(&path) || !args.is_empty()),
        );
        for args in args {
            for form in [&[][..], &["--json"], &["--log-format", "json", "-v"], &["-q"]] {
                let args = [&verb, &args[..], form].concat();
                let mut command = lab.command(&args);
                command.env("CUTOVER_VERIFY_TIMEOUT", "1s").env("CUTOVER_ATTEMPTS", "1");
                let ended = Launch::start(command).end();
                let look = if is_a_table(&args) { is_clean_as_a_table } else { is_clean };
                look(&format!("{args:?}"), &ended);
                let (form, json) = (form.first(), ended.stdout.lines().collect::<Vec<_>>().join(""));
                // Some verbs print a table or a program in every format.
                let is_document = form == Some(&"--json") && !args.contains(&"--events") && json.starts_with('{');
                assert!(!is_document || serde_json::from_str::<Value>(&json).is_ok(), "{args:?}: {}", ended.stdout);
            }
        }
    }
    let told: Value = serde_json::from_str(&lab.cutover(&["explain", "vm-00001", "--json"]).exits(0).stdout).unwrap();
    assert_eq!(
        (&told["plan"]["name"], &told["plan"]["note"]),
        (&ODD.into(), &ODD.into()),
        "an escape is the same value"
    );
}

#[test]
fn no_settings_and_no_variable_are_shown_as_they_stand() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let text = in_toml(ODD);
    let verbs = [&["config", "show"][..], &["doctor"], &["runs"], &["plan", "plan.csv", "--endpoint", "sandbox"]];
    for settings in [
        format!("{text} = 1"),
        format!("rate = {text}"),
        format!("journal = {text}"),
        format!("endpoint = {text}"),
        format!("scenario = {text}"),
        format!("timezone = {text}\nwindow = {text}"),
        format!("[profiles.{text}]\nendpoint = \"http://127.0.0.1:1\"\ntoken_env = {text}"),
        format!("[profiles.{text}]\n{text} = 1"),
        format!("rate = \u{202e}{ODD}"),
    ] {
        lab.write("cutover.toml", &settings);
        for verb in verbs {
            for form in [&[][..], &["--json"]] {
                is_clean(&settings, &lab.cutover(&[verb, form].concat()));
                // A settings file that is named explicitly may set anything.
                let named = Launch::start({
                    let mut command = lab.command(&[verb, form].concat());
                    command.env("CUTOVER_CONFIG", lab.path("cutover.toml"));
                    command
                });
                is_clean(&settings, &named.end());
            }
        }
    }
    std::fs::remove_file(lab.path("cutover.toml")).unwrap();
    let no_text = OsString::from_vec(b"w\x1b[31m\xff\x9b\xe2\x80".to_vec());
    for (name, value) in [
        ("CUTOVER_RATE".to_owned(), ODD.into()),
        ("CUTOVER_JOURNAL".to_owned(), ODD.into()),
        ("CUTOVER_ENDPOINT".to_owned(), ODD.into()),
        (format!("CUTOVER_{ODD}"), ODD.into()),
        ("CUTOVER_AUTH_TOKEN".to_owned(), ODD.into()),
        ("CUTOVER_JOURNAL".to_owned(), no_text.clone()),
        ("HTTPS_PROXY".to_owned(), ODD.into()),
        ("XDG_CONFIG_HOME".to_owned(), no_text),
    ] {
        for verb in verbs {
            for form in [&[][..], &["--json"]] {
                let mut command = lab.command(&[verb, form].concat());
                command.env(&name, &value);
                is_clean(&format!("{name:?}"), &Launch::start(command).end());
            }
        }
    }
}

/// Returns the columns of text that the schema does not restrict.
fn texts_of(conn: &Connection) -> Vec<(String, String)> {
    let mut columns = conn
        .prepare(
            "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.type = 'TEXT' \
             AND m.name IN ('run', 'lane', 'row', 'event', 'control')",
        )
        .unwrap();
    let columns = columns.query_map([], |column| Ok((column.get(0)?, column.get(1)?))).unwrap();
    columns.map(Result::unwrap).collect()
}

#[test]
fn no_journal_and_no_lock_says_anything_that_is_not_seen() {
    let _machine = shared();
    let (lab, service, _) = odd_lab();
    let columns = texts_of(&Connection::open(lab.path("cutover.db")).unwrap());
    assert!(columns.len() > 20, "{columns:?}");
    for (table, column) in columns {
        std::fs::copy(lab.path("cutover.db"), lab.path("odd.db")).unwrap();
        let conn = Connection::open(lab.path("odd.db")).unwrap();
        let triggers: Vec<String> = {
            let mut all = conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").unwrap();
            all.query_map([], |name| name.get(0)).unwrap().map(Result::unwrap).collect()
        };
        for name in triggers {
            conn.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
        }
        conn.execute_batch("PRAGMA ignore_check_constraints = on").unwrap();
        let mut text = ODD.to_owned();
        if conn.execute(&format!("UPDATE {table} SET {column} = ?1 WHERE {column} IS NOT NULL"), [&text]).is_err() {
            text = Value::from(ODD).to_string();
            conn.execute(
                &format!("UPDATE {table} SET {column} = ?1 WHERE rowid IN (SELECT min(rowid) FROM {table})"),
                [&text],
            )
            .ok();
        }
        drop(conn);
        for verb in [
            &["status"][..],
            &["runs"],
            &["explain", "vm-00001"],
            &["audit", "verify"],
            &["report", "--format", "csv"],
            &["rollback"],
            &["resume", "--yes", "--json"],
            &["explain", "vm-00001", "--json"],
        ] {
            let ended = lab.cutover(&[verb, &["--journal", "odd.db"]].concat());
            let look = if is_a_table(verb) { is_clean_as_a_table } else { is_clean };
            look(&format!("{table}.{column}, {verb:?}"), &ended);
        }
    }
    // A lock names its holder.
    let run = lab.journal().text("SELECT id FROM run");
    let lock = File::create(lab.path(&format!("cutover.db.{run}.lock"))).unwrap();
    let owner = json!({"pid": 1, "host": ODD, "since": "2026-01-01T00:00:00Z", "journal": ODD});
    std::io::Write::write_all(&mut &lock, owner.to_string().as_bytes()).unwrap();
    lock.lock().unwrap();
    for form in [&[][..], &["--json"], &["-q"]] {
        let ended = lab.cutover(&[&["retry", "--yes", "--endpoint", &service.url][..], form].concat());
        is_clean("a lock", &ended);
        assert_eq!(ended.code, Some(6), "{}", ended.stderr);
        assert!(ended.stderr.contains("\\u{202e}"), "{}", ended.stderr);
    }
}

/// Splits a text into the lines of a screen of this width, which breaks longer lines.
fn on_screen(text: &str, width: usize) -> Vec<String> {
    let mut screen = Vec::new();
    for line in text.lines() {
        let (mut shown, mut at) = (String::new(), 0);
        for character in line.chars() {
            let takes = character.width().unwrap_or(0);
            if at + takes > width {
                screen.push(std::mem::take(&mut shown));
                at = 0;
            }
            shown.push(character);
            at += takes;
        }
        screen.push(shown);
    }
    screen
}

/// Returns the output on a terminal with this many columns, with `n` as the answer to a question.
fn on_terminal(lab: &Lab, columns: u16, args: &str) -> String {
    let run = format!("stty cols {columns} rows 50; exec {} {args}", env!("CARGO_BIN_EXE_cutover"));
    let mut command = lab.command_of("script", &["-qec", &run, "/dev/null"]);
    let mut child = command.stdin(Stdio::piped()).env("TERM", "xterm").spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"n\n").unwrap();
    let ended = child.wait_with_output().unwrap();
    String::from_utf8(ended.stdout).unwrap().replace("\r\n", "\n")
}

#[test]
fn the_list_that_is_agreed_to_shows_its_rows_and_no_others() {
    if tools::lack(&["script"]) {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    let forged = |blank: &str| format!("vm-test-9{}only a test", blank.repeat(29));
    // Different texts that push the forged line to where a row begins: blanks of each kind, a quotation, one long word.
    let names = [
        format!("ok{}{}", "\u{a0}".repeat(40), forged("\u{a0}")),
        format!("ok{}{}", " ".repeat(40), forged(" ")),
        format!("`{}{}`", " ".repeat(41), forged(" ")),
        format!("ok{}{}", "\u{3000}".repeat(20), forged(" ")),
        format!("{}    {}", "x".repeat(38), forged(" ")),
        format!("\u{1b}[2K\r    {}", forged(" ")),
        format!("\u{8}\u{8}\u{8}\n    {}", forged(" ")),
    ];
    let rows = names.iter().enumerate().fold("id,state,cycle,name\n".to_owned(), |plan, (n, name)| {
        format!("{plan}vm-PROD-{n},stopped,syncing,\"{name}\"\n")
    });
    lab.write("plan.csv", &rows);
    for columns in [40, 60, 80, 120] {
        let text = on_terminal(&lab, columns, "run plan.csv --endpoint sandbox");
        assert!(text.contains("Go on? [y/N]") && text.contains("not agreed to"), "{text}");
        if let Some(found) = text.chars().find(|character| is_odd(*character)) {
            panic!("{found:?} in {text:?}");
        }
        let (list, _) = text.split_once("Go on?").unwrap();
        let lines = on_screen(list, columns.into());
        let begun: Vec<_> =
            lines.iter().filter(|line| line.starts_with("    ") && !line.starts_with("     ")).collect();
        assert_eq!(begun.len(), 6, "five rows and a count of the others: {lines:#?}");
        assert!(begun[..5].iter().all(|line| line.starts_with("    vm-PROD-")), "{lines:#?}");
    }
}

#[test]
fn a_table_that_is_kept_or_given_to_a_program_has_the_values_that_were_written() {
    let _machine = shared();
    let lab = Lab::new();
    let odd = "web\u{a0}1 \u{200d}\u{e000}\u{2003}\nline";
    lab.write(
        "plan.csv",
        &format!("id,state,cycle,name\nvm\u{200b}1,stopped,syncing,\"{odd}\"\nvm-2,stopped,syncing,b\n"),
    );
    lab.cutover(&["run", "plan.csv", "--yes", "--endpoint", "sandbox"]).exits(0);
    let piped = lab.cutover(&["report", "--format", "csv"]).exits(0).stdout;
    lab.cutover(&["report", "--format", "csv", "-o", "kept.csv"]).exits(0);
    assert_eq!(piped, std::fs::read_to_string(lab.path("kept.csv")).unwrap());
    assert!(piped.contains("vm\u{200b}1") && piped.contains(odd), "{piped}");
    // On a terminal the same table has only visible characters.
    let shown = on_terminal(&lab, 200, "report --format csv");
    assert!(shown.contains("web\\u{a0}1 \\u{200d}\\u{e000}\\u{2003}\\nline"), "{shown}");
}

#[test]
fn a_name_in_any_script_stays_readable() {
    let _machine = shared();
    let lab = Lab::new();
    let names = ["服务器－一号", "naïve-Ærø", "חומה-3", "خادم", "👩\u{200d}💻 ops", "साइट", "ไซต์"];
    let rows = names
        .iter()
        .enumerate()
        .fold("id,state,cycle,name\n".to_owned(), |plan, (n, name)| format!("{plan}vm-{n},stopped,syncing,{name}\n"));
    lab.write("plan.csv", &rows);
    let ended = lab.cutover(&["plan", "plan.csv", "--endpoint", "sandbox"]).exits(0);
    for name in names {
        let shown = name.replace('\u{200d}', "\\u{200d}");
        assert!(ended.stdout.contains(&shown), "{shown}: {}", ended.stdout);
    }
}

#[test]
fn what_goes_on_is_shown_on_a_terminal_by_the_same_rule() {
    if tools::lack(&["script"]) {
        return;
    }
    let _machine = shared();
    let lab = Lab::new();
    let text = in_toml(ODD);
    lab.write("rows.csv", &plan(3, "stopped,syncing"));
    let waves = format!("files = [\"rows.csv\"]\n[[waves]]\nname = {text}\nfiles = [\"rows.csv\"]\napproval = true\n");
    lab.write("waves.toml", &waves.replacen("files = [\"rows.csv\"]\n", "", 1));
    let run = "run waves.toml --endpoint sandbox --yes --approval-timeout 2s";
    let shown = on_terminal(&lab, 100, run);
    assert!(shown.contains("released"), "{shown}");
    // The progress bar moves the cursor on purpose.
    let moves = |character: char| matches!(character, '\u{1b}' | '\r');
    if let Some(found) = shown.chars().find(|character| is_odd(*character) && !moves(*character)) {
        panic!("{found:?} in {shown:?}");
    }
    assert!(!shown.contains("\u{1b}[31m") && !shown.lines().any(|line| line.starts_with("forged")), "{shown:?}");
}
