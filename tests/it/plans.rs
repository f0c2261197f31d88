//! Bad plans: all problems are reported, and nothing is sent.

use std::path::Path;

use crate::lab::home::Lab;
use crate::lab::machine::shared;
use crate::lab::{id, plan};

#[test]
fn thirty_mistakes_are_thirty_lines_and_nothing_is_sent() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("good.csv", &plan(3, "stopped,syncing"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/plans");
    std::fs::copy(folder.join("thirty_mistakes.csv"), lab.path("thirty_mistakes.csv")).unwrap();
    let expected = std::fs::read_to_string(folder.join("thirty_mistakes.txt")).unwrap();
    assert_eq!(expected.lines().count(), 30);
    let sandbox = lab.serve("good.csv", "");
    let run = lab.launch(&sandbox, &["run", "thirty_mistakes.csv"]).exits(2);
    let check = lab.cutover(&["check", "thirty_mistakes.csv"]).exits(2);
    for ended in [run, check] {
        let found: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("thirty_mistakes.csv:")).collect();
        assert_eq!(found, expected.lines().collect::<Vec<_>>());
        assert_eq!(ended.stdout, "");
    }
    assert_eq!(sandbox.ledger().len(), 0);
    assert!(!lab.path("cutover.db").exists());
}

const A: &str = "31814532-99b1-585b-90f0-98b19be2161b";
const B: &str = "3e721f75-4a4b-5b94-9d3e-cf8223be8b10";

/// File name, content and flags of a plan, the exit code of `check`, and the beginning of each line about a place in the
/// plan, or of any line where there is none.
type Case = (&'static str, Vec<u8>, &'static [&'static str], i32, &'static [&'static str]);

#[track_caller]
fn hold(cases: impl IntoIterator<Item = Case>) {
    let _machine = shared();
    for (name, content, flags, exit, says) in cases {
        let lab = Lab::new();
        std::fs::write(lab.path(name), &content).unwrap();
        let ended = lab.cutover(&[&["check", name], flags].concat());
        let shown = format!("{name} {flags:?}: {}\n{}{}", content.escape_ascii(), ended.stdout, ended.stderr);
        let place = format!("{name}:");
        let placed: Vec<&str> = ended.stderr.lines().filter_map(|line| line.strip_prefix(&place)).collect();
        let all = ended.stderr.lines().chain(ended.stdout.lines());
        let said: Vec<&str> = if placed.is_empty() { all.collect() } else { placed.clone() };
        assert_eq!(ended.code, Some(exit), "{shown}");
        for say in says {
            assert!(said.iter().any(|line| line.starts_with(say)), "{say:?} is not said of {shown}");
        }
        assert!(placed.is_empty() || placed.len() == says.len(), "{shown}");
    }
}

fn odd(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/plans/odd").join(name)).unwrap()
}

/// Fills in the ids for `A` and `B`.
fn text(plan: &str) -> Vec<u8> {
    plan.replace('A', A).replace('B', B).into_bytes()
}

fn utf16(text: &[u8], bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
    str::from_utf8(text).unwrap().encode_utf16().flat_map(bytes_of).collect()
}

const ONE_ROW: &[&str] = &["p.csv: 1 row, "];
const STRICT: &[&str] = &["--strict"];

#[test]
fn nothing_that_looks_like_a_row_is_dropped_in_silence() {
    const IN_COMMENT: &str = "3:1: warning: this comment looks like a row, and is none: \"#N/A,stopped,syncing,web-2\"";
    const OF_A_SHEET: &str = "3:1: warning: this comment looks like a row, and is none: \"#REF!;stopped\" (a spreadsheet \
                              writes this where a look-up fails)";
    const NO_SHEET: &str =
        "3:1: warning: this comment looks like a row, and is none: \"#vm-2,stopped\" (take the # away";
    const IN_QUOTES: &str =
        "3:1: warning: this line looks like a row, and is part of the text that the quote on line 2 opens: \"3e721f75";
    let quoted = "id,state,name\nA,stopped,\"web-1\nB,stopped,web-2\nc,error,web-3\"\nd,stopped,web-4\n";
    hold([
        ("p.csv", odd("look-up-failed.csv"), &[][..], 0, &[IN_COMMENT, "5:1: warning: this comment looks"][..]),
        ("p.csv", odd("look-up-failed.csv"), STRICT, 2, &["3:1: error: this comment", "5:1: error: this comment"]),
        // With any separator, in any language of the spreadsheet, and with the id in any column.
        ("p.csv", text("id;state\nA;stopped\n#NV;stopped\n#BEZUG!;stoped\n"), &[], 0, &["3:1: warn", "4:1: warn"]),
        ("p.tsv", text("name\tid\tstate\nx\tB\tstopped\n#1 web\tA\tstopped\n"), &[], 0, &["3:1: warning: "]),
        ("p.csv", text("#N/V,stopped\nid,state\nA,stopped\n"), &[], 0, &["1:1: warning: "]),
        ("p.csv", text("sep=;\nid;state\r\n #WERT!;stopped\r\nA;stopped\r\n"), &[], 0, &["3:1: warning: "]),
        ("p.csv", text("id,state\nA,stopped\n#N/V,#N/V\n#DIV/0!\n"), &[], 0, &["3:1: warning: ", "4:1: warning: "]),
        ("p.csv", text("id,state\nA,stopped\n#REF!;stopped\n"), &[], 0, &[OF_A_SHEET]),
        ("p.csv", text("id,state\nA,stopped\n#vm-2,stopped\n"), &[], 0, &[NO_SHEET]),
        ("p.csv", text("id,state\nA,stopped\n# old,gone\n"), STRICT, 2, &["3:1: error: this comment looks like"]),
        // In quotes it is a row, with an invalid id.
        ("p.csv", text("id,state\nA,stopped\n\"#REF!\",stopped\n"), &[], 0, &["3:1: warning: the source id is what"]),
        (
            "p.csv",
            b"id,state\n\"#N/A\",stopped\n".to_vec(),
            &[],
            2,
            &["2:1: error: the source id has a `/`", "2:1: warning: the source id is what"],
        ),
        ("p.csv", text("id,state,wave\nA,stopped,#NV\n"), &[], 0, &["2:46: warning: \"#NV\" is what a spreadsheet"]),
        (
            "p.jsonl",
            text("# one a line\n\n#{\"id\":\"x\",\"state\":\"stopped\"}\n{\"id\":\"A\",\"state\":\"stopped\"}\n"),
            &[],
            0,
            &["3:1: warning: this comment looks like a row"],
        ),
        // An unintended quote takes the following rows for one text.
        ("p.csv", text(quoted), &[], 0, &[IN_QUOTES, "4:1: warning: this line"]),
        // After a ragged row, and after a file end that was filled up in copying.
        (
            "p.csv",
            text("id,state\nA,stopped,\nb\n\0\0\0"),
            &[],
            2,
            &[
                "2:46: error: the row has 3 fields",
                "3:1: error: the row has 1 field",
                "4:1: error: the row has 1 field",
            ],
        ),
        // Prose is no row, whatever its commas; nor is a sheet's comment in its first cell, or a second header.
        ("p.csv", text("# pilots first,,\nid,state,name\nA,stopped,\"a\nb, c, d\"\n"), STRICT, 0, ONE_ROW),
        (
            "p.csv",
            text("id,state,name\nA,stopped,x\n# one, two, and three, four\n#\n# first and, b, c\n"),
            &[],
            0,
            ONE_ROW,
        ),
        ("p.csv", text("id,state,name\nA,stopped,x\n# pilots,,\n# id,state,name\n\n,,\n"), STRICT, 0, ONE_ROW),
        ("p.csv", text("id,state\n# a real comment, with a comma\nA,stopped\n"), STRICT, 0, ONE_ROW),
    ]);
}

#[test]
fn the_first_line_names_the_delimiter_is_the_header_or_is_said_to_be_none() {
    const NONE: &str = "1:1: error: the first line is no header: a plan begins with the names of its columns";
    const BELOW: &str = "1:1: error: the first line is no header, and line 3 is one";
    hold([
        ("p.csv", odd("sep.csv"), &[][..], 0, ONE_ROW),
        // Under a name without an extension, and as spreadsheets save it again.
        ("p", odd("sep.csv"), STRICT, 0, &["p: 1 row, "]),
        ("p.csv", text("\u{FEFF}\"SEP=,\"\r\nid,state\r\nA,stopped\r\n"), STRICT, 0, ONE_ROW),
        ("p.csv", text("sep=\\t\nid\tstate\nA\tstopped\n"), STRICT, 0, ONE_ROW),
        ("p.csv", text("sep=\t\nid\tstate\nA\tstopped\n"), STRICT, 0, ONE_ROW),
        ("p.csv", text("sep=|\nid|state\nA|stopped\n"), STRICT, 0, ONE_ROW),
        ("p.csv", text("sep=;;\n\n# c\nid;state\nA;stopped\n"), STRICT, 0, ONE_ROW),
        ("p.csv", utf16(&text("\u{FEFF}sep=;\nid;state\nA;stopped\n"), u16::to_le_bytes), STRICT, 0, ONE_ROW),
        (
            "p.csv",
            text("sep=;\nid,state\nA,stopped\n"),
            &[],
            2,
            &["2:1: error: the first line is no header by `;`, and one by `,`"],
        ),
        ("p.csv", text("sep=\nid,state\nA,stopped\n"), &[], 2, &["1:1: error: this line names no delimiter"]),
        ("p.csv", text("sep=;\n"), &[], 2, &["1:1: error: the file is empty, not even a header"]),
        ("p.csv", odd("no-header.csv"), &[], 2, &[NONE]),
        ("p.csv", text("A;stopped;syncing\nB;stopped;syncing\n"), &[], 2, &[NONE]),
        ("p.csv", text("web-1,A,stopped,name\n"), &[], 2, &[NONE]),
        ("p.csv", text("foo,bar\n1,2\n"), &[], 2, &[NONE]),
        ("p.csv", text(",,\n;;\nid;state\nA;stopped\n"), STRICT, 0, ONE_ROW),
        ("p.csv", text("id,\"state\"s\nA,stopped\n"), &[], 2, &["1:11: error: text after the closing quote"]),
        ("p.csv", odd("titles-above.csv"), &[], 2, &[BELOW]),
        ("p.csv", text("Cutover night;;\nTarget;;\nid;state;name\nA;stopped;x\n"), &[], 2, &[BELOW]),
        ("p.csv", text("Wave\tName\n\nid\tstate\nA\tstopped\n"), &[], 2, &[BELOW]),
        ("p.csv", text("\u{FEFF}A,stopped\r\n\r\nid,state\r\n"), &[], 2, &[BELOW]),
        (
            "p.csv",
            text("#id,state\nA,stopped\n"),
            &[],
            2,
            &["2:1: error: the first line is no header, and line 1 is one"],
        ),
    ]);
}

#[test]
fn an_id_that_only_looks_right_is_spelt_out_and_two_spellings_are_one_id() {
    hold([(
        "p.csv",
        odd("looks-right.csv"),
        &[][..],
        2,
        &[
            "2:1: warning: the source id has characters that do not print or are not ASCII: \"31814532\\u{2011}99b1-",
            "3:1: warning: the source id has characters that do not print or are not ASCII: \"3e721f75\\u{200b}-4a4b-",
            "4:1: warning: the source id has characters that do not print or are not ASCII: \"2ed1989b-7fb5\\u{a0}-5f",
            "3:1: error: the source id has 37 characters",
            "4:1: error: the source id has 37 characters",
            "6:1: error: \"443E10CB-2439-597A-AED4-772070F8CB5B\" (in whatever case) is on line 5 and on line 6, with",
        ][..],
    )]);
    for c in ['\u{AD}', '\u{FEFF}', '\u{2060}', 'а', '１', 'é', '\u{202E}'] {
        let plan = format!("id,state\nvm{c}1,stopped\n").into_bytes();
        hold([("p.csv", plan, STRICT, 2, &["2:1: error: the source id has characters"][..])]);
    }
    let many = |n: u32| (0..n).fold("id,state\n".to_owned(), |plan, n| format!("{plan}vm☃{n},stopped\n")).into_bytes();
    hold([
        // Blanks around an id do not count, and quotes that spreadsheets and scripts put around it are reported.
        ("p.csv", text("id,state\n \u{A0}A\u{3000} ,stopped\n"), STRICT, 0, ONE_ROW),
        (
            "p.csv",
            text("id,state\n{A},stopped\n\"=\"\"A\"\"\",stopped\n"),
            &[],
            2,
            &[
                "2:1: error: the source id has 38 characters, at most 36 are allowed (did you mean \"31814532-",
                "2:1: warning: the source id has blanks, quotes or brackets in it: \"{31814532",
                "3:1: error: the source id has 39 characters, at most 36 are allowed (did you mean \"31814532-",
                "3:1: warning: the source id has blanks, quotes",
            ],
        ),
        ("p.csv", text("id,state\n'vm-1',stopped\n"), &[], 0, &["2:1: warning: the source id has blanks, quotes"]),
        // The same row twice, with another spelling.
        (
            "p.csv",
            [&text("id,state\nA,stopped\n")[..], A.to_uppercase().as_bytes(), b",stopped\n"].concat(),
            &[],
            0,
            &["3:1: warning: \"31814532-99B1-585B-90F0-98B19BE2161B\" is on line 2 already, all else equal"],
        ),
        // From the fourth on they are one line.
        ("p.csv", many(3), &[], 0, &["2:1: warning: ", "3:1: warning: ", "4:1: warning: "]),
        (
            "p.csv",
            many(2_000),
            &[],
            0,
            &["2:1: warning: ", "3:1: warning: ", "4:1: warning: ", "5:1: warning: 1997 more of this kind (ids with"],
        ),
    ]);
}

#[test]
fn a_sheet_of_very_many_columns_is_read_at_once_and_told_in_a_few_lines() {
    const TOLD: &[&str] = &[
        "1:10: warning: unknown column \"c0\", kept for the reports only",
        "1:13: warning: unknown column \"c1\", kept for the reports only",
        "1:16: warning: unknown column \"c2\", kept for the reports only",
        "1:19: warning: 19997 more of this kind (unknown columns), the last on line 1",
    ];
    let row = |first: &str, cell: &dyn Fn(usize) -> String| {
        (0..20_000).map(cell).fold(first.to_owned(), |row, cell| format!("{row},{cell}")) + "\n"
    };
    let plan = |name: &str, value: &str| {
        let header = row("id,state", &|n| format!("{name}{n}"));
        (header + &row("A,stopped", &|_| value.to_owned()) + &row("B,stopped", &|_| value.to_owned())).into_bytes()
    };
    let begun = std::time::Instant::now();
    hold([
        ("p.csv", plan("c", "1"), &[][..], 0, TOLD),
        ("p.csv", plan("c", "\"1\""), &[], 0, TOLD),
        (
            "p.csv",
            plan("wave", "1"),
            &[],
            0,
            &[
                "1:10: warning: unknown column \"wave0\", kept for the reports only (did you mean \"wave\"?)",
                "1:16: warning: unknown column \"wave1\", kept for the reports only",
                "1:22: warning: unknown column \"wave2\", kept for the reports only",
                "1:28: warning: unknown column \"wave3\", kept for the reports only",
                "1:34: warning: 19996 more of this kind (unknown columns), the last on line 1",
            ],
        ),
    ]);
    // It takes a few seconds in a debug build, and minutes if each column is searched for from the beginning.
    assert!(begun.elapsed() < std::time::Duration::from_secs(90), "{:?}", begun.elapsed());
}

#[test]
fn a_column_that_asks_rows_to_wait_is_refused_in_every_format() {
    let refused = |at: &str, name: &str| format!("{at}: error: the column \"{name}\" asks rows to wait, and no row");
    for name in ["after", "depends_on", "Not Before", "not-before"] {
        let (csv, json) = (refused("1:10", name), refused(&format!("1:{}", 33 + name.len()), name));
        let (csv, json): (&'static str, &'static str) = (csv.leak(), json.leak());
        let (csv, json): (&'static [_], &'static [_]) = (vec![csv].leak(), vec![json].leak());
        hold([
            ("p.csv", format!("id,state,{name}\nvm-1,stopped,\n").into_bytes(), &[][..], 2, csv),
            (
                "p.jsonl",
                format!("{{\"id\":\"vm\",\"state\":\"stopped\",\"{name}\":\"x\"}}\n").into_bytes(),
                &[],
                2,
                json,
            ),
        ]);
    }
    let toml = "[[rows]]\nid = 'vm-1'\nstate = 'stopped'\nafter = 'vm-2'\n";
    hold([("p.toml", text(toml), &[][..], 2, &["4:9: error: the column \"after\" asks rows to wait"][..])]);
}

#[test]
fn an_id_that_is_there_twice_is_told_with_what_differs() {
    let plan = "id,state,name,note,rack\nA,stopped,web,x,1\nA,stopped,db,x,1\nA,stopped,web,,2\nA,stopped,web,x,1\n";
    hold([(
        "p.csv",
        text(plan),
        &[][..],
        0,
        &[
            "1:20: warning: unknown column \"rack\"",
            "3:1: warning: \"31814532-99b1-585b-90f0-98b19be2161b\" is on line 2 already, and here with another name; this",
            "4:1: warning: \"31814532-99b1-585b-90f0-98b19be2161b\" is on line 2 already, and here with another note and \
             other values in unknown columns; this row is left out",
            "5:1: warning: \"31814532-99b1-585b-90f0-98b19be2161b\" is on line 2 already, all else equal; this row",
        ][..],
    )]);
}

#[test]
fn a_plan_is_read_in_its_encoding_or_called_what_it_is() {
    const OTHERS: &str = "2:46: error: this is not UTF-8 (byte 0xC9): --encoding gb18030 reads it as \"上海-数据库-01\", --encoding big5";
    let plan = text("id,state\nA,stopped\n");
    let cr_alone = |plan: &str| text(&plan.replace('\n', "\r"));
    let toml = "name = 'x'\n[[rows]]\nid = 'A'\nstate = 'stopped'\n";
    hold([
        ("p.csv", odd("gb18030.csv"), &[][..], 2, &[OTHERS][..]),
        ("p.csv", odd("gb18030.csv"), &["--encoding", "gb18030"], 0, ONE_ROW),
        ("p.csv", odd("gb18030.csv"), &["--encoding", "cp936", "--strict"], 0, ONE_ROW),
        ("p.csv", odd("gb18030.csv"), &["--encoding", "utf-32"], 2, &["error: invalid value 'utf-32' for '--encoding"]),
        ("p.csv", odd("cr-only.csv"), STRICT, 0, ONE_ROW),
        (
            "p.csv",
            cr_alone("sep=;\n# c\nid;state;note\nA;eror;\"x\ny\"\n"),
            &[],
            2,
            &["4:38: error: unknown copystate"],
        ),
        ("p.toml", cr_alone(toml), STRICT, 0, &["p.toml: 1 row"]),
        ("p.jsonl", cr_alone("{\"id\":\"A\",\"state\":\"stopped\"}\n# c\n"), STRICT, 0, &["p.jsonl: 1 row"]),
        // A byte order mark is dropped in each format, and determines the encoding of the rest.
        ("p", [b"\xEF\xBB\xBF", &text(toml)[..]].concat(), STRICT, 0, &["p: 1 row"]),
        ("p", utf16(&[b"\xEF\xBB\xBF", &text(toml)[..]].concat(), u16::to_be_bytes), STRICT, 0, &["p: 1 row"]),
        ("p", text("\u{FEFF}{\"id\":\"A\",\"state\":\"stopped\"}\n"), STRICT, 0, &["p: 1 row"]),
        ("p.csv", utf16(&plan, u16::to_le_bytes), &[], 2, &["1:2: error: a NUL character: UTF-16 text without"]),
        ("p.csv", utf16(&plan, u16::to_le_bytes), &["--encoding", "utf-16le"], 0, ONE_ROW),
        ("p.toml", b"name = 'caf\xE9'\n".to_vec(), &[], 2, &["1:12: error: this is not UTF-8 (byte 0xE9): --encoding"]),
        (
            "p.csv",
            b"\xFF\xFE\0\0i\0\0\0".to_vec(),
            &[],
            2,
            &["error: the plan `p.csv` is UTF-32 text: save it as UTF-8"],
        ),
        ("p.csv", b"\x1F\x8B\x08\0".to_vec(), &[], 2, &["error: the plan `p.csv` is a gzip archive: unpack it first"]),
        (
            "p.csv",
            b"%PDF-1.7\n".to_vec(),
            &[],
            2,
            &["error: the plan `p.csv` is a PDF document: a plan has to be text"],
        ),
        ("p.toml", b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1".to_vec(), &[], 2, &["error: the plan `p.toml` is an old Excel"]),
        (
            "p.csv",
            b"<!DOCTYPE html>\n<html>".to_vec(),
            &[],
            2,
            &["error: the plan `p.csv` is an HTML page: a log-in page"],
        ),
        ("p.csv", Vec::new(), &[], 2, &["1:1: error: the file is empty, not even a header"]),
    ]);
}

#[test]
fn a_header_may_be_chinese() {
    let console = "源端名称,源端ID,目标状态,目标阶段,批次,备注\n上海,A,stopped,syncing,试点,无\n";
    hold([
        ("p.csv", text(console), STRICT, 0, &["p.csv: 1 row, 1 wave, "][..]),
        ("p.csv", text("主机名,ＩＤ,状态\n上海,A,stopped\n"), STRICT, 0, ONE_ROW),
    ]);
}

#[test]
fn a_report_of_ours_is_a_plan() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let served = lab.serve("plan.csv", "");
    lab.launch(&served, &["run", "plan.csv", "--report", "report.csv"]).exits(0);
    let check = lab.cutover(&["check", "report.csv"]).exits(0);
    assert!(check.stdout.starts_with("report.csv: 3 rows, "), "{}", check.stdout);
    let told: Vec<&str> = check.stderr.lines().filter(|line| line.contains(": warning: ")).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[3].contains(" more of this kind (unknown columns)"), "{told:?}");
    lab.launch(&served, &["run", "report.csv"]).exits(0);
    assert_eq!(served.changes().len(), 3);
}

#[test]
fn a_wave_or_target_that_the_plan_does_not_have_is_told_once_with_those_that_it_has() {
    const FILES: &str = "files = [\"rows.csv\"]\n";
    let _machine = shared();
    let lab = Lab::new();
    let rows = |column: &str, value: &str| {
        plan(40, "stopped,syncing")
            .replace("syncing\n", &format!("syncing,{value}\n"))
            .replace("cycle\n", &format!("cycle,{column}\n"))
    };
    let waves = "[[waves]]\nname = \"pilot\"\n[[waves]]\nname = \"rest\"\n";
    let cases = [
        (
            FILES,
            waves.to_owned(),
            rows("wave", "all"),
            "2:26: error: the plan has no wave \"all\": it has \"pilot\", \"rest\" (and 39 more rows like it)",
        ),
        (
            FILES,
            waves.to_owned(),
            rows("wave", "pilott"),
            "2:26: error: the plan has no wave \"pilott\": it has \"pilot\", \"rest\" (and 39 more rows like it) (did you mean \"pilot\"?)",
        ),
        (
            FILES,
            waves.to_owned(),
            plan(40, "stopped,syncing"),
            "2:1: error: the row names no wave, and the plan has waves: a column `wave` names one of \"pilot\", \"rest\" (and 39 more rows like it)",
        ),
        (
            FILES,
            String::new(),
            rows("wave", "all"),
            "2:26: error: the plan has no wave \"all\": a table `[[waves]]` with that `name` makes it (and 39 more rows like it)",
        ),
        (
            FILES,
            "[targets.a]\n[targets.b]\n".to_owned(),
            rows("target", "zeus"),
            "2:26: error: the plan has no target \"zeus\": it has \"a\", \"b\" (and 39 more rows like it)",
        ),
        (
            "",
            "[[waves]]\nname = \"pilot\"\nfiles = [\"rows.csv\"]\n".to_owned(),
            rows("wave", "all"),
            "2:26: error: these are rows of the wave \"pilot\", and this one names \"all\" (and 39 more rows like it)",
        ),
    ];
    for (files, terms, rows, says) in cases {
        lab.write("rows.csv", &rows);
        lab.write("plan.toml", &format!("{files}{terms}"));
        let told = lab.cutover(&["check", "plan.toml"]).exits(2).says("error: the plan has 1 error\n");
        let errors: Vec<&str> = told.stderr.lines().filter(|line| line.starts_with("rows.csv:")).collect();
        assert_eq!(errors, [format!("rows.csv:{says}")], "{}", told.stderr);
    }
}

#[test]
fn what_is_no_file_is_said_to_be_none() {
    let _machine = shared();
    let lab = Lab::new();
    std::fs::create_dir(lab.path("folder.csv")).unwrap();
    for (plan, says) in [
        ("folder.csv", "Is a directory"),
        ("/dev/zero", "it is a device"),
        ("nowhere.csv", "No such file"),
        ("/dev/null", "the file is empty, not even a header"),
    ] {
        let ended = lab.cutover(&["check", plan]).exits(2);
        assert!(ended.stderr.contains(says), "{plan}: {}", ended.stderr);
    }
}

/// The plan has capitals, and the service spells the ids its own way.
#[test]
fn a_page_shows_a_row_however_its_id_is_spelt() {
    let _machine = shared();
    let lab = Lab::new();
    let ids: Vec<String> = (1..=300).map(|n| format!("31814532-99b1-585b-90f0-{n:012x}")).collect();
    let plan = ids.iter().fold("id,state,cycle\n".to_owned(), |plan, id| plan + id + ",stopped,syncing\n");
    lab.write("estate.csv", &plan);
    lab.write("plan.csv", &plan.to_uppercase());
    let served = lab.serve("estate.csv", "");
    lab.launch(&served, &["run", "plan.csv"]).exits(0);
    assert_eq!((served.changes().len(), lab.journal().tally()["applied"]), (300, 300));
    let by_id = served.ledger().into_iter().filter(|request| !request.is_change() && request.source_id.is_some());
    assert_eq!(by_id.count(), 0);
}

/// Text that a plan may have about a row, and that must not reach a terminal unchanged.
const ODD: &str = "w\0e\u{1b}[31m\u{202e}b\u{2066}\u{2028}\u{9b}\r\nforged: line";

#[test]
fn no_text_of_a_plan_reaches_the_terminal_or_turns_a_line_of_json_around() {
    let _machine = shared();
    let lab = Lab::new();
    let header = "id,state,cycle,name,note,wave,\"rack\u{202e}\"\n".to_owned();
    let rows = (1..=2).fold(header, |plan, i| {
        let wave = if i == 1 { ODD } else { "second" };
        format!("{plan}{},stopped,syncing,\"{ODD}\",\"{ODD}\",\"{wave}\",\"{ODD}\"\n", id(i))
    });
    lab.write("od\u{202e}d.csv", &rows);
    lab.write("plan.csv", &plan(2, "stopped,syncing"));
    let sandbox = lab.serve("plan.csv", "");
    let at = ["--endpoint", sandbox.url.as_str()];
    let launched = |args: &[&str]| lab.cutover(&[args, &at].concat());
    let odd = "od\u{202e}d.csv";
    let ended = [
        lab.cutover(&["check", odd]),
        lab.cutover(&["check", odd, "--json"]),
        launched(&["plan", odd]),
        launched(&["plan", odd, "--json"]),
        launched(&["run", odd, "--yes", "--rate", "off"]),
        lab.cutover(&["status"]),
        lab.cutover(&["status", "--json"]),
        lab.cutover(&["explain", &id(1)]),
        lab.cutover(&["explain", &id(1), "--json"]),
        lab.cutover(&["report", "--format", "json"]),
        lab.cutover(&["report", "--format", "md"]),
        lab.cutover(&["rollback", "--json"]),
        lab.cutover(&["runs"]),
        lab.cutover(&["runs", "--json"]),
        launched(&["resume", "--yes", "--events", "--json"]),
        lab.cutover(&["check", "ab\u{1b}[31msent.csv", "--log-format", "json"]),
    ];
    let moves =
        |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
    for (n, ended) in ended.iter().enumerate() {
        for text in [&ended.stdout, &ended.stderr] {
            assert!(!text.contains(moves), "{n}: {text:?}");
            assert!(!text.lines().any(|line| line.starts_with("forged")), "{n}: {text}");
        }
    }
    let told: serde_json::Value = serde_json::from_str(&ended[8].stdout).unwrap();
    assert_eq!(told["plan"]["name"], ODD, "an escape is the same value");
}
