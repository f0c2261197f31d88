//! Tests of whole plans: rows, digests and problems, in every format.

use std::convert::Infallible;

use super::*;
use crate::model::Row;
use crate::model::dialect::Dialect;
use crate::model::state::PairCompletion;

const LENIENT: Reading = Reading {
    allow_unknown: false,
    allow_empty: false,
    allow_outside: false,
    strict: false,
    dialect: Dialect::Auto,
    completion: PairCompletion::FromLook,
    encoding: None,
};

/// Returns the rows that were handed over, and the result of the reading.
fn read_all(source: &Source, reading: Reading) -> (Vec<Row>, Result<Checked, PlanError>) {
    let mut rows = Vec::new();
    let checked = match check(source, &reading) {
        Ok(checked) => checked,
        Err(error) => return (rows, Err(error)),
    };
    let read = read(source, &reading, &checked, |planned| {
        rows.push(planned.row);
        Ok::<(), Infallible>(())
    });
    match read {
        Ok(again) => {
            assert_eq!((again.digest, again.n_rows), (checked.digest, checked.n_rows));
            (rows, Ok(checked))
        }
        Err(ReadError::Plan(error)) => (rows, Err(error)),
        Err(ReadError::Each(never)) => match never {},
    }
}

fn rows_and_checked(name: &str, content: impl AsRef<[u8]>) -> (Vec<Row>, Checked) {
    let (rows, checked) = read_all(&Source::holding(name, content.as_ref()), LENIENT);
    (rows, checked.unwrap())
}

fn problems_under(reading: Reading, name: &str, content: impl AsRef<[u8]>) -> Vec<String> {
    let source = Source::holding(name, content.as_ref());
    let problems = match read_all(&source, reading).1 {
        Ok(checked) => checked.warnings,
        Err(PlanError::Problems { problems, .. }) => *problems,
        Err(error @ (PlanError::Unreadable { .. } | PlanError::Unsupported { .. } | PlanError::Edited { .. })) => {
            panic!("{error}")
        }
    };
    let mut out = Vec::new();
    problems.render(source.name(), &mut crate::wording::printout::Printout::new(&mut out)).unwrap();
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

fn problems(name: &str, content: impl AsRef<[u8]>) -> Vec<String> {
    problems_under(LENIENT, name, content)
}

#[test]
fn thirty_mistakes_are_told_in_thirty_lines() {
    let plan = include_bytes!("../../tests/it/plans/thirty_mistakes.csv");
    let expected = include_str!("../../tests/it/plans/thirty_mistakes.txt");
    let found = problems("thirty_mistakes.csv", plan);
    assert_eq!(found.join("\n"), expected.trim_end());
    assert_eq!(found.len(), 30);
}

const EMPTY: &str = "1:1: error: the file is empty, not even a header (`--allow-empty` takes a header without rows)";

/// A plan of one header and one row, and the one line that is reported about it.
const MISTAKES: &[(&str, &str)] = &[
    // The plan as a whole.
    ("", EMPTY),
    ("\n# nothing\n", EMPTY),
    (" ,;\n", EMPTY),
    ("\nid,state\n", "2:1: error: the plan has no rows (`--allow-empty` takes such a plan)"),
    // The header.
    ("name,state\nweb,stopped\n", "1:1: error: a column \"source_id\" is needed"),
    (
        "# \nsorce_id,state\na,stopped\n",
        "2:1: error: a column \"source_id\" is needed, and the header has \"sorce_id\" (did you mean \"source_id\"?)",
    ),
    ("id,wave\na,one\n", "1:1: error: a column \"copystate\" or \"migrationcycle\" is needed"),
    (
        "id,status\na,stopped\n",
        concat!(
            "1:1: error: a column \"copystate\" or \"migrationcycle\" is needed, and the header has \"status\"",
            " (did you mean \"copystate\"?)"
        ),
    ),
    ("id,state,wave,wave\na,stopped,,\n", "1:15: error: the column \"wave\" is there twice"),
    ("id,state,Server-Id\na,stopped,\n", "1:10: error: the columns \"id\" and \"Server-Id\" are one"),
    (
        "i\0d\0,\0\n",
        "1:2: error: a NUL character: UTF-16 text without a byte-order mark is read with --encoding utf-16le or utf-16be",
    ),
    (
        "id,state,wve\na,stopped,\n",
        "1:10: warning: unknown column \"wve\", kept for the reports only (did you mean \"wave\"?)",
    ),
    ("id,state,\na,stopped,\n", "1:10: warning: a column without a name, kept for the reports as \"column 3\""),
    (
        "id,\"state\"s\na,stopped\n",
        "1:11: error: text after the closing quote (a quote inside quotes is written as two)",
    ),
    // Ids.
    ("id,state\n\"\",stopped\n", "2:1: error: the source id is empty"),
    ("state,id\nstopped,  a/b\n", "2:11: error: the source id has a `/`: \"a/b\""),
    // State words.
    ("id,state\na, \"runing\"\n", "2:4: error: unknown copystate \"runing\""),
    ("id,note,state\na,☃☃,STOPED\n", "2:6: error: unknown copystate \"STOPED\" (did you mean \"stopped\"?)"),
    ("id,cycle\na,replicate\n", "2:3: error: \"replicate\" is a copystate, not a migrationcycle"),
    ("id,cycle,state\na,,\n", "2:4: error: the row has no target state"),
    (
        "id,cycle,from_state\na,setting,seting\n",
        "2:11: error: unknown copystate \"seting\", near to the migrationcycle \"setting\"",
    ),
    // The shape of a row.
    ("id,state\na\n", "2:1: error: the row has 1 field, and the header has 2"),
    ("id,state\na,stopped,x,y\n", "2:11: error: the row has 4 fields, and the header has 2"),
    ("id,state\n\"a,stopped\n", "2:1: error: this quote is never closed"),
];

#[test]
fn every_mistake_is_told_with_its_place() {
    for (plan, expected) in MISTAKES {
        let found = problems("p", plan);
        assert_eq!(found, [format!("p:{expected}")], "{plan}");
    }
}

#[test]
fn a_row_gets_all_its_problems_in_the_order_of_its_fields() {
    let plan = "cycle,id,state\nsyncin,,finishd\n";
    let expected = [
        "p:2:1: error: unknown migrationcycle \"syncin\" (did you mean \"syncing\"?)",
        "p:2:8: error: the source id is empty",
        "p:2:9: error: unknown copystate \"finishd\" (did you mean \"finished\"?)",
    ];
    assert_eq!(problems("p", plan), expected);
    // Two causes, two warnings.
    assert_eq!(problems("p", "id,state\na,premiging\n").len(), 2);
}

#[test]
fn an_unknown_column_is_warned_of_once_and_may_be_there_only_once() {
    let expected = [
        "p:1:15: error: the columns \"rack\" and \"RACK\" are one",
        "p:1:4: warning: unknown column \"rack\", kept for the reports only",
    ];
    assert_eq!(problems("p", "id,rack,state,RACK\na,1,stopped,\nb,2,stopped,\n"), expected);
}

#[test]
fn without_a_needed_column_the_rest_is_judged_all_the_same() {
    let found = problems("p", "id,name\na,x\n,y\n");
    assert_eq!(found.len(), 2);
    assert_eq!(found[1], "p:3:1: error: the source id is empty");
    let (rows, _) = read_all(&Source::holding("p", b"id,name\na,x\n"), LENIENT);
    assert_eq!(rows, []);
}

#[test]
fn what_is_wrong_with_an_object_is_told_with_its_place() {
    let cases = [
        ("{\"id\":\"a\",\"state\":\"stopped\"", "1:27: error: not a JSON object: EOF while parsing an object"),
        ("{\"id\":\"a\" \"state\":1}", "1:11: error: not a JSON object: expected `,` or `}`"),
        ("{\"id\": 7, \"state\":\"stopped\"}", "1:8: error: the value of \"id\" must be a string, and is a number"),
        ("{\"id\":\"a\",\"state\":true}", "1:19: error: the value of \"state\" must be a string, and is a boolean"),
        (
            "{\"id\":\"a\",\"note\":{\"state\":[]},\"state\":\"error\"}",
            "1:18: error: the value of \"note\" must be a string, and is an object",
        ),
        (
            "{\"id\":\"a\",\"name\":\"}:\\\"\",\"state\":\"eror\"}",
            "1:33: error: unknown copystate \"eror\" (did you mean \"error\"?)",
        ),
        ("{\"id\":\"ñ\",\"state\":\"error\",\"ID\":\"b\"}", "1:32: error: the columns \"id\" and \"ID\" are one"),
        ("{\"state\":\"error\"}", "1:1: error: the source id is empty"),
        ("{\"id\":\"a\"}", "1:1: error: the row has no target state"),
        (
            "{\"id\":\"a\",\"state\":\"error\",\"os\":\"x\",\"os\":\"y\"}",
            "1:41: error: the column \"os\" is there twice",
        ),
        (
            "{\"id\":\"a\",\"state\":\"error\",\"wve\":\"x\"}",
            "1:33: warning: unknown column \"wve\", kept for the reports only (did you mean \"wave\"?)",
        ),
    ];
    for (plan, expected) in cases {
        let found = problems("p", plan);
        assert!(found.contains(&format!("p:{expected}")), "{plan}: {found:?}");
    }
    let found = problems("p.jsonl", "# objects\n\"id\"\n");
    assert!(found[0].starts_with("p.jsonl:2:4: error: not a JSON object: invalid type"), "{found:?}");
}

#[test]
fn keys_without_end_end_the_reading() {
    let row = |n: u32| format!("{{\"id\":\"vm-{n}\",\"state\":\"error\",\"key {n}\":1}}\n");
    let plan: String = (0..2_000).map(row).collect();
    let found = problems("p", plan);
    assert_eq!(found[0], "p:999:1: error: more than 1000 different columns; nothing after this row was read");
}

#[test]
fn one_plan_has_one_digest_in_every_format_and_encoding() {
    let csv = "# c\nSource-ID,State,wave,note,rack\r\nvm-1,STOPPED,one,\"a \"\"b\"\"; c\",7\r\n\nvm-2,Error,,ñ☃,\r\n";
    let tsv =
        "source_id\twave\tcopystate\tnote\track\nvm-1\tone\tstopped\t\"a \"\"b\"\"; c\"\t7\nvm-2\t\terror\tñ☃\t\n";
    let semicolons = "rack;id;state;wave;note\n7;vm-1;stopped;one;\"a \"\"b\"\"; c\"\n;vm-2;error;;ñ☃";
    let json = concat!(
        "{\"rack\": 7, \"id\": \"vm-1\", \"state\": \"stopped\", \"wave\": \"one\", \"note\": \"a \\\"b\\\"; c\"}\n",
        "\n{\"id\": \"vm-2\", \"state\": \"error\", \"rack\": null, \"note\": \"\\u00f1☃\"}\n"
    );
    let utf16 = |bytes_of: fn(u16) -> [u8; 2]| -> Vec<u8> {
        std::iter::once(0xFEFF).chain(csv.encode_utf16()).flat_map(bytes_of).collect()
    };
    let (rows, checked) = rows_and_checked("plan.csv", csv);
    assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [3, 5]);
    assert_eq!(rows[0].note.as_deref(), Some("a \"b\"; c"));
    assert_eq!(rows[0].extra, [("rack".to_owned(), "7".to_owned())]);
    assert_eq!((rows[1].id.0, rows[1].wave.as_deref(), rows[1].extra.len()), (2, None, 0));
    assert_eq!((checked.n_rows, checked.waves), (2, vec!["one".to_owned()]));
    let others = [
        tsv.as_bytes().to_vec(),
        semicolons.as_bytes().to_vec(),
        json.as_bytes().to_vec(),
        format!("\u{FEFF}{csv}").into_bytes(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
    ];
    for other in others {
        assert_eq!(rows_and_checked("plan", &other).1.digest, checked.digest, "{}", String::from_utf8_lossy(&other));
    }
    let edited = csv.replace("one", "two");
    assert_ne!(rows_and_checked("plan", edited).1.digest, checked.digest);
}

#[test]
fn line_numbers_are_those_of_the_file() {
    let plan =
        "\r\n# comment\n\nid,note,state\n# comment\na,\"two\nlines, \"\"x\"\"\",stopped\n \t\n  # c\nb,,stoped\n,,\n";
    assert_eq!(problems("p", plan), ["p:10:4: error: unknown copystate \"stoped\" (did you mean \"stopped\"?)"]);
    // A field that starts on a record's second line is reported there.
    let plan = "id,note,state\na,\"two\nlines\",stoped\n";
    assert_eq!(problems("p", plan), ["p:3:8: error: unknown copystate \"stoped\" (did you mean \"stopped\"?)"]);
}

#[test]
fn a_lone_quote_does_not_hide_the_rows_after_it() {
    let plan = "id,state,note\na,error,\"lone\nb,eror,\nc,error,\"x\"\nd,error,\"lone\ne,eror,\n";
    let expected = [
        "p:2:9: error: this quote is closed by the one on line 4, and text follows there",
        "p:3:3: error: unknown copystate \"eror\" (did you mean \"error\"?)",
        "p:5:9: error: this quote is never closed",
        "p:6:3: error: unknown copystate \"eror\" (did you mean \"error\"?)",
    ];
    assert_eq!(problems("p", plan), expected);
}

#[test]
fn what_is_too_long_is_an_error_and_the_rest_is_read() {
    let long = "x".repeat(65 * 1024);
    let plan = format!("id,state,note\na,error,{long}\nb,error,{}\nc,eror,\n", long.repeat(20));
    let found = problems("p", &plan);
    assert_eq!(found[0], "p:2:9: error: the note is longer than 64 KiB");
    assert_eq!(found[1], "p:3:1: error: the row is longer than 1 MiB");
    assert!(found[2].starts_with("p:4:3: "));
    let plan = format!("id,state\n{}\nc,eror\n", " ".repeat(2_000_000));
    let found = problems("p", &plan);
    assert_eq!(found[0], "p:2:1: error: the row is longer than 1 MiB");
    assert!(found[1].starts_with("p:3:3: "));
    let plan =
        format!("{{\"id\":\"a\",\"state\":\"error\",\"note\":\"{long}\"}}\n{{\"id\":\"{}\n{{}}", long.repeat(20));
    let found = problems("p", &plan);
    assert_eq!(found[0], "p:1:34: error: the value of \"note\" is longer than 64 KiB");
    assert_eq!(found[1], "p:2:1: error: the row is longer than 1 MiB");
    assert_eq!(found[2], "p:3:1: error: the source id is empty");
}

#[test]
fn an_id_on_two_lines_is_one_row_or_an_error() {
    let plan = "id,state,name\na,error,x\nb,error,\na,ERROR,y\n";
    let (rows, checked) = rows_and_checked("p", plan);
    assert_eq!(rows.iter().map(|row| (row.id.0, row.line)).collect::<Vec<_>>(), [(1, 2), (2, 3)]);
    assert_eq!((checked.n_rows, checked.warnings.n_warnings()), (2, 1));
    assert_eq!(checked.digest, rows_and_checked("p", "id,state,name\na,error,x\nb,error,\n").1.digest);

    let plan = "id,state\na,error\nb,error\na,stopped\n";
    assert_eq!(problems("p", plan), ["p:4:1: error: \"a\" is on line 2 and on line 4, with another target state"]);
}

#[test]
fn strict_makes_errors_of_warnings_and_unknown_words_may_be_allowed() {
    let strict = Reading { strict: true, ..LENIENT };
    let plan = "id,state,cycle\na,waiting,cutovered\n";
    assert_eq!(problems("p", plan)[0].split(' ').nth(1), Some("warning:"));
    assert_eq!(problems_under(strict, "p", plan)[0].split(' ').nth(1), Some("error:"));
    assert!(read_all(&Source::holding("p", plan.as_bytes()), strict).1.is_err());

    let allowing = Reading { allow_unknown: true, strict: true, ..LENIENT };
    let (rows, checked) = read_all(&Source::holding("p", b"id,state\na,Brand_New\n"), allowing);
    assert_eq!((checked.is_ok(), rows[0].wants.to_string()), (true, "brand_new/*".to_owned()));
    // Unknown words have to be words: not everything is accepted.
    for bad in ["#REF!", "#n/a", "a b", "it's", "\u{1b}[31m", "état", &"x".repeat(65)] {
        for column in ["state", "cycle", "from_state", "from_cycle"] {
            let plan = format!("id,state,{column}\na,error,{bad}\n").replace("state,state", "state");
            let plan = if column == "state" { format!("id,state\na,{bad}\n") } else { plan };
            let found = problems_under(Reading { allow_unknown: true, ..LENIENT }, "p", &plan);
            assert!(found.len() == 1 && found[0].contains(" error: "), "{bad:?} {column}: {found:?}");
        }
        let plan = format!("rows = [{{ id = 'a' }}]\n[defaults]\ncopystate = {bad:?}\n").replace("\\u{1b}", "\\u001b");
        let found = problems_under(Reading { allow_unknown: true, ..LENIENT }, "p.toml", &plan);
        assert!(found.iter().any(|line| line.contains("is no copystate")), "{bad:?}: {found:?}");
    }
}

#[test]
fn what_the_dialect_does_not_have_is_told_with_its_place() {
    let of = |dialect: &str, completion| Reading { dialect: dialect.parse().unwrap(), completion, ..LENIENT };
    let plan = "id,state,cycle\na,premiging,setting\nb,INIT,no_ready\nc,stopped,\nd,premigin,\n";
    let expected = [
        "p:2:3: error: the 2025-11 edition has no copystate \"premiging\"",
        "p:3:8: error: the 2025-11 edition has no migrationcycle \"no_ready\"",
        "p:5:3: error: unknown copystate \"premigin\" (did you mean \"premiged\"?)",
    ];
    for completion in [PairCompletion::FromLook, PairCompletion::Off] {
        assert_eq!(problems_under(of("2025-11", completion), "p", plan), expected);
    }
    let expected = [
        "p:4:11: error: the 2026-01 edition wants both fields, and nothing fills in the migrationcycle",
        "p:5:3: error: unknown copystate \"premigin\" (did you mean \"premiging\"?)",
        "p:5:12: error: the 2026-01 edition wants both fields, and nothing fills in the migrationcycle",
    ];
    let errors = |reading| -> Vec<String> {
        problems_under(reading, "p", plan).into_iter().filter(|line| line.contains(" error: ")).collect()
    };
    assert_eq!(errors(of("2026-01", PairCompletion::Off)), expected);
    assert_eq!(errors(of("2026-01", PairCompletion::FromLook)), expected[1..2]);
    assert_eq!(errors(of("auto", PairCompletion::Off)), expected[1..2]);
    // Without a column for it, the problem is reported at the row itself.
    let found = problems_under(of("2026-01", PairCompletion::Off), "p", "id,state\na,error\n");
    assert_eq!(found, ["p:2:1: error: the 2026-01 edition wants both fields, and nothing fills in the migrationcycle"]);
    // Expected states are not sent, so any edition accepts them; and unknown words are allowed in every dialect.
    let plan = "id,state,cycle,from_cycle\na,brand_new,syncing,tested\n";
    let allowing = Reading { allow_unknown: true, ..of("2025-11", PairCompletion::Off) };
    let found = problems_under(allowing, "p", plan);
    assert_eq!(found, ["p:2:21: warning: reads never show \"tested\": the row will always be refused"]);
}

#[test]
fn an_error_of_the_taker_ends_the_reading_at_once() {
    let source = Source::holding("p", b"id,state\na,error\nb,error\nc,error\n");
    let mut taken = Vec::new();
    let checked = check(&source, &LENIENT).unwrap();
    let read = read(&source, &LENIENT, &checked, |row| {
        taken.push(row.row.source_id.to_string());
        if taken.len() == 2 { Err("full") } else { Ok(()) }
    });
    assert!(matches!(read, Err(ReadError::Each("full"))));
    assert_eq!(taken, ["a", "b"]);
}

#[test]
fn a_file_of_another_kind_is_called_what_it_is() {
    let cases: [(&str, &[u8], &str); 3] = [
        ("plan", b" [{}]", "the plan `plan` is a JSON array: write one object a line (jq -c '.[]'), and give that"),
        (
            "p.XLSX",
            b"",
            "the plan `p.XLSX` is an Excel workbook by its name: save the sheet as \"CSV UTF-8\", and give that",
        ),
        ("p.csv", b"PK\x03\x04", "the plan `p.csv` is a ZIP archive: unpack it first"),
    ];
    for (name, content, expected) in cases {
        let error = read_all(&Source::holding(name, content), LENIENT).1.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn bad_encoding_is_told_once_a_line_with_its_place() {
    assert_eq!(
        problems("p", b"id,state\nb\xE9\xE9,error\n"),
        [concat!(
            "p:2:2: error: this is not UTF-8 (byte 0xE9): --encoding gb18030 reads it as \"b殚\", ",
            "--encoding big5 reads it as \"b澭\", --encoding shift_jis reads it as \"b鳬\", ",
            "--encoding euc-kr reads it as \"b釪\", --encoding windows-1252 reads it as \"béé\""
        )]
    );
    let utf16: Vec<u8> = [0xFEFF]
        .into_iter()
        .chain("id,state\nñ".encode_utf16())
        .chain([0xD800])
        .chain(",error".encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(problems("p", utf16), ["p:2:2: error: this is not UTF-16LE (half a character)"]);
}

#[test]
fn what_joined_files_and_chinese_input_leave_behind_is_called_what_it_is() {
    let again = "this is the header again: files were joined here; take the line away";
    for line in ["ID,state", "\u{feff}ID,state", " ID ,copystate", "\"ID\",\"state\""] {
        let plan = format!("ID,state\na,error\n{line}\nb,error\n");
        assert_eq!(problems("p", &plan), [format!("p:3:1: error: {again}")], "{line:?}");
    }
    for (plan, wide) in [("源端ID，目标状态\na，error\n", "`，` (U+FF0C)"), ("id；state\na；error\n", "`；` (U+FF1B)")]
    {
        let expected = format!(
            "p:1:1: error: the columns are separated by {wide}, which is no delimiter: replace each with a comma"
        );
        assert_eq!(problems("p", plan), [expected]);
    }
    // A name in a header may contain a wide comma.
    assert!(problems("p", "id,state,备注，说明\na,error,x\n").iter().all(|line| line.contains("unknown column")));
}
