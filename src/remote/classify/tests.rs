use super::*;
use crate::event::outcome::StatedQuota;
use crate::model::SourceId;
use crate::remote::reads::{listed, shown};
use crate::remote::service::SourceShown;

pub(in crate::remote) fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        content_type: Some("application/json".to_owned()),
        retry_after: None,
        location: None,
        request_id: None,
        server: None,
        encoding: None,
        date: Some(jiff::Timestamp::UNIX_EPOCH),
        body: Body::Whole(body.as_bytes().to_vec()),
        secrets: Secrets::new(vec!["s3cret".into()]),
    }
}

pub(in crate::remote) fn html(status: u16, body: &str) -> Answer {
    Answer { content_type: Some("text/html".to_owned()), ..answer(status, body) }
}

pub(in crate::remote) fn failing(status: u16, code: &str) -> Answer {
    answer(status, &format!(r#"{{"error_code":"{code}","error_msg":"because"}}"#))
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::remote) enum Is {
    Accepted,
    Rejected,
    Unauthenticated,
    Barred,
    Throttled,
    Lost,
}

pub(in crate::remote) fn kind(outcome: &Outcome) -> Is {
    match outcome {
        Outcome::Accepted { .. } => Is::Accepted,
        Outcome::Rejected { .. } => Is::Rejected,
        Outcome::Unauthenticated { .. } => Is::Unauthenticated,
        Outcome::Barred { .. } => Is::Barred,
        Outcome::Throttled { .. } => Is::Throttled,
        Outcome::Unsent { .. } | Outcome::Disclaimed { .. } => panic!("an answer is neither: {outcome}"),
        Outcome::Lost { .. } => Is::Lost,
    }
}

pub(in crate::remote) fn look(answer: &Answer) -> SourceShown {
    shown(answer, &SourceId::new("vm-1").unwrap())
}

/// Written down from the documentation, not from the table: status, outcome, codes.
const CODES: &[(u16, Is, &[&str])] = &[
    (400, Is::Rejected, &["SMS.9001", "SMS.0204", "SMS.6010"]),
    (403, Is::Rejected, &["SMS.9004", "SMS.2002", "SMS.2248"]),
    (400, Is::Unauthenticated, &["SMS.0202", "SMS.0205", "SMS.0219"]),
    (403, Is::Unauthenticated, &["SMS.0202", "SMS.0219"]),
    (400, Is::Barred, &["SMS.6526", "SMS.6528"]),
    (403, Is::Barred, &["SMS.6526", "SMS.6528"]),
    (500, Is::Lost, &["SMS.6526", "APIGW.0302", "APIGW.0301"]),
    (400, Is::Lost, &["SMS.6301", "SMS.0201", "SMS.0203", "SMS.0208"]),
    (400, Is::Rejected, &["SMS.6001", "SMS.6002", "SMS.6003", "SMS.6004", "SMS.6005", "SMS.6006"]),
    (400, Is::Rejected, &["SMS.6031", "SMS.6032", "SMS.6033", "SMS.6102", "SMS.6302", "SMS.6303", "SMS.6306"]),
    (400, Is::Rejected, &["SMS.6603", "SMS.6602", "SMS.6562", "SMS.7101", "SMS.7111", "SMS.7605", "SMS.7703"]),
    (400, Is::Rejected, &["SMS.7711", "SMS.7719", "SMS.8115", "SMS.9007", "SMS.0007"]),
    (400, Is::Rejected, &["SMS.0206", "SMS.0207", "SMS.6504", "SMS.6509", "SMS.6511", "SMS.6517", "SMS.6533"]),
    (400, Is::Rejected, &["SMS.6537", "SMS.6563", "SMS.6564", "SMS.6616", "SMS.6617", "SMS.6531"]),
    (400, Is::Rejected, &["SMS.0210", "SMS.0211", "SMS.0303", "SMS.0304", "SMS.1807", "SMS.2802", "SMS.3802"]),
    (400, Is::Rejected, &["SMS.3803", "SMS.3804", "SMS.3805", "SMS.3806", "SMS.0212", "SMS.1414", "SMS.0410"]),
    (400, Is::Rejected, &["SMS.0412", "SMS.0515", "SMS.0601", "SMS.1104", "SMS.1105", "SMS.1106", "SMS.1113"]),
    (400, Is::Rejected, &["SMS.0609", "SMS.1204", "SMS.1205", "SMS.1351", "SMS.1352", "SMS.1353", "SMS.1402"]),
    (400, Is::Rejected, &["SMS.1404", "SMS.1901", "SMS.1902", "SMS.1904", "SMS.3102", "SMS.3205", "SMS.5102"]),
    (400, Is::Rejected, &["SMS.5105", "SMS.5108", "SMS.5112", "SMS.5113", "SMS.0805", "SMS.0806", "SMS.0807"]),
    (401, Is::Rejected, &["SMS.2003", "SMS.2004", "SMS.2005", "SMS.2006", "SMS.2013"]),
    (500, Is::Lost, &["SMS.2007", "SMS.9001"]),
    (400, Is::Lost, &["SMS.2007"]),
    (401, Is::Unauthenticated, &["SMS.6301", "SMS.9004", "SMS.9001", "SMS.2009", "SMS.1038", "SMS.9999"]),
    (400, Is::Rejected, &["SMS.2009", "SMS.2015", "SMS.2206", "SMS.2216", "SMS.1038", "SMS.1039", "SMS.1040"]),
    (404, Is::Rejected, &["SMS.2252", "APIGW.0101", "APIGW.0103"]),
    (400, Is::Rejected, &["APIGW.0104", "APIGW.0105", "APIGW.0106", "APIGW.0204", "APIGW.0602", "APIGW.0201"]),
    (413, Is::Rejected, &["APIGW.0201"]),
    (414, Is::Rejected, &["APIGW.0201"]),
    (494, Is::Rejected, &["APIGW.0201"]),
    (500, Is::Lost, &["APIGW.0201", "APIGW.0601", "APIGW.0605", "APIGW.0606", "APIGW.0705"]),
    (502, Is::Lost, &["APIGW.0201"]),
    (503, Is::Lost, &["APIGW.0613"]),
    (504, Is::Lost, &["APIGW.0201"]),
    (400, Is::Lost, &["APIGW.0601", "APIGW.0605", "APIGW.0606", "APIGW.0705", "APIGW.0613"]),
    (401, Is::Unauthenticated, &["APIGW.0301", "APIGW.0307", "APIGW.0303", "APIGW.0305"]),
    (400, Is::Unauthenticated, &["APIGW.0301", "APIGW.0307"]),
    (403, Is::Barred, &["APIGW.0302", "APIGW.0310", "APIGW.0401", "APIGW.0402", "APIGW.0802"]),
    (403, Is::Rejected, &["APIGW.0306"]),
    (405, Is::Rejected, &["APIGW.0501", "APIGW.0502"]),
    (429, Is::Throttled, &["APIGW.0308", "SMS.9001", "429"]),
    (403, Is::Throttled, &["APIGW.0308"]),
    (500, Is::Lost, &["APIGW.0308"]),
];

#[test]
fn each_known_code_ends_as_its_documentation_reads() {
    for (status, is, codes) in CODES {
        for code in *codes {
            for code in [(*code).to_owned(), code.replace("APIGW.", "APIG."), code.to_lowercase()] {
                let outcome = change(&failing(*status, &code));
                assert_eq!(kind(&outcome), *is, "{status} {code}");
                if *is != Is::Throttled {
                    assert_eq!(outcome.code(), Some(code.as_str()));
                    assert_eq!(outcome.status(), Some(*status));
                }
                assert_eq!(outcome.message(), Some("because"));
            }
        }
    }
}

#[test]
fn no_code_of_the_table_is_without_an_expectation() {
    for code in codes::all() {
        assert!(CODES.iter().any(|(_, _, codes)| codes.contains(&code.as_str())), "{code}");
    }
}

/// A body, and which columns of [`ANSWERS`] it stands in.
const BODIES: [&str; 9] = [
    r#"{"error_code":"SMS.9001","error_msg":"m"}"#,
    r#"{"error_code":"SMS.6526","error_msg":"m"}"#,
    r#"{"error_code":"APIGW.0301","error_msg":"m"}"#,
    r#"{"error_code":"APIGW.0308","error_msg":"m"}"#,
    r#"{"error_code":"SMS.6301","error_msg":"m"}"#,
    r#"{"error_code":"SMS.9999","error_msg":"m"}"#,
    "<html><title>m</title></html>",
    "",
    "m",
];

/// Meanings of each status and body for a change:
///
/// | cell | the row | the lane |
/// |---|---|---|
/// | `ok` | accepted, to be proven | goes on |
/// | `no` | refused for good | goes on |
/// | `?`  | in doubt: looked at before anything else | goes on |
/// | `?5` | in doubt | stops after five in a row |
/// | `?~` | in doubt | slows down |
/// | `?!` | in doubt | new credentials, or stops |
/// | `~`  | due again, unharmed | waits and slows down |
/// | `!`  | due again | new credentials, or stops |
/// | `!!` | due again | stops at once |
///
/// A read means the same for the lane, and for its row that nothing was learned; `no` is said to the read alone.
#[rustfmt::skip]
const ANSWERS: [(&[u16], [&str; 9]); 8] = [
    //       9001  6526  0301  0308   6301  9999  page  empty text
    (&[],   ["?",  "?5", "?5", "?~",  "?",  "?",  "?",  "ok", "ok"]), // 2xx
    (&[],   ["?5", "?5", "?5", "?5~", "?5", "?5", "?5", "?5", "?5"]), // 3xx
    (&[401],["!",  "!!", "!",  "~",   "!",  "!",  "?!", "?!", "?!"]),
    (&[429],["~",  "~",  "~",  "~",   "~",  "~",  "~",  "~",  "~"]),
    (&[407, 408, 418, 421, 425, 444, 460, 463, 495, 496, 497, 498, 499],
            ["?5", "?5", "?5", "?5~", "?5", "?5", "?5", "?5", "?5"]),
    (&[],   ["no", "!!", "!",  "~",   "?",  "no", "?5", "?5", "?5"]), // 4xx
    (&[511],["?",  "?5", "?5", "?~",  "?",  "?",  "?5", "?5", "?5"]),
    (&[],   ["?",  "?5", "?5", "?~",  "?",  "?",  "?",  "?",  "?"]), // 5xx and beyond
];

fn row_of(status: u16) -> &'static [&'static str; 9] {
    let named = ANSWERS.iter().find(|(statuses, _)| statuses.contains(&status));
    let by_class = match status {
        200..300 => 0,
        300..400 => 1,
        400..500 => 5,
        _ => 7,
    };
    &named.unwrap_or(&ANSWERS[by_class]).1
}

fn cell(outcome: &Outcome) -> String {
    let row = match kind(outcome) {
        Is::Accepted => "ok",
        Is::Rejected => "no",
        Is::Unauthenticated => return "!".to_owned(),
        Is::Barred => return "!!".to_owned(),
        Is::Throttled => return "~".to_owned(),
        Is::Lost => "?",
    };
    let lane = match outcome {
        _ if outcome.refuses_us() => "!",
        _ if between::Strange::from_outcome(outcome).is_some() => "5",
        _ => "",
    };
    let pace = if codes::throttled_in_doubt(outcome).is_some() { "~" } else { "" };
    format!("{row}{lane}{pace}")
}

#[test]
fn what_each_status_and_body_means_for_row_and_lane() {
    for status in (200..600).chain([600, 999]) {
        for (body, expected) in BODIES.iter().zip(row_of(status)) {
            let answer = answer(status, body);
            assert_eq!(cell(&change(&answer)), *expected, "change: {status} {body}");
            let (read, expected) = match (look(&answer), *expected) {
                // The service's own, with a code that says nothing else.
                (SourceShown::Absent, expected) => {
                    assert!(status == 404 && body.contains("SMS.9999"), "{status} {body}");
                    ("no".to_owned(), expected)
                }
                // A success without a source shows nothing.
                (SourceShown::Failed(outcome), "ok") => (cell(&outcome), "?"),
                (SourceShown::Failed(outcome), expected) => (cell(&outcome), expected),
                (SourceShown::Seen(_), _) => panic!("{status} {body}"),
            };
            assert_eq!(read, expected, "read: {status} {body}");
        }
    }
}

#[test]
fn an_answer_that_is_not_the_services_own_says_what_it_is_and_from_whom() {
    let told = |answer: Answer| change(&answer).to_string();
    let by = |answer: Answer, server: &str| Answer { server: Some(server.to_owned()), ..answer };
    let to = |status, location: &str| Answer { location: Some(location.to_owned()), ..answer(status, "") };
    let moved = "redirected to login.example.com; redirects are not followed";
    for (answer, expected) in [
        (by(html(403, "<title>403 Forbidden</title>"), "nginx"), "(403): a page from `nginx`: 403 Forbidden"),
        (by(answer(404, "default backend - 404"), "s3cret"), "(404): a plain text from `[redacted]`: default backend"),
        (answer(403, " \n"), "(403): an empty body"),
        (by(html(407, "<h1>Log in</h1>"), "squid/5.7"), "(407): a proxy on the way from `squid/5.7` wants a user"),
        (html(418, "<title>Blocked</title>"), "(418): a page: Blocked"),
        (to(302, "https://login.example.com/x?token=abc"), &format!("(302): {moved}")),
        (to(307, "/elsewhere"), "(307): redirected; redirects are not followed"),
        (to(304, "https://login.example.com/"), "(304): not modified, which nobody had asked for"),
        (failing(408, "SMS.9001"), "(408 SMS.9001): because"),
        (html(401, "<title>Who?</title>"), "(401): a page: Who?"),
    ] {
        let told = told(answer);
        assert!(told.contains(expected), "{told}\n{expected}");
    }
}

#[test]
fn a_no_in_json_is_the_services_own_however_it_is_labelled_or_marked() {
    for body in [r#"{"error_code":"SMS.9001"}"#, "{}", "\u{feff}{\"error_msg\":\"no\"}", " {\"status\":409}"] {
        assert_eq!(kind(&change(&html(409, body))), Is::Rejected, "{body}");
    }
    for body in ["[]", "null", "\"no\"", "{", "no", "{\"a\":1} trailing"] {
        assert_eq!(kind(&change(&answer(409, body))), Is::Lost, "{body}");
    }
    assert_eq!(kind(&change(&Answer { body: Body::TooLarge, ..answer(409, "") })), Is::Lost);
}

#[test]
fn success_is_judged_by_the_status_whatever_harmless_text_comes_with_it() {
    for status in [200, 201, 202, 204] {
        for body in ["", "{ }", "\"success\"", "ok", "null", "[]", r#"{"code":200,"message":"ok"}"#, "\u{feff}{}"] {
            assert_eq!(change(&answer(status, body)), Outcome::Accepted { status }, "{body}");
        }
    }
    let plain = Answer { content_type: Some("text/plain".to_owned()), ..answer(200, "done") };
    assert_eq!(kind(&change(&plain)), Is::Accepted);
    assert_eq!(kind(&change(&Answer { content_type: None, ..answer(200, "{ }") })), Is::Accepted);
    assert_eq!(kind(&change(&html(200, ""))), Is::Accepted);
}

#[test]
fn a_page_a_flood_or_an_error_with_200_is_not_success() {
    for doubtful in [
        answer(200, " <!DOCTYPE html><title>Login</title>"),
        html(200, "welcome"),
        failing(200, "SMS.9004"),
        answer(200, r#"{"error":{"code":500,"message":"no"}}"#),
        Answer { body: Body::TooLarge, ..answer(200, "") },
        Answer { body: Body::CutOff { cause: "reset".to_owned() }, ..answer(200, "") },
    ] {
        let outcome = change(&doubtful);
        assert_eq!((kind(&outcome), outcome.status()), (Is::Lost, Some(200)), "{outcome}");
    }
    assert_eq!(change(&failing(200, "SMS.9004")).code(), Some("SMS.9004"));
    assert!(change(&answer(200, "<title>Login</title>")).to_string().contains("Login"));
}

#[test]
fn a_refusal_that_was_cut_off_might_have_said_later() {
    let cut = |status| {
        let body = Body::CutOff { cause: "reset".to_owned() };
        kind(&change(&Answer { body, ..answer(status, "") }))
    };
    assert_eq!((cut(400), cut(403), cut(500)), (Is::Lost, Is::Lost, Is::Lost));
    // These two need no body for the lane, in which trying on would lock the key.
    assert_eq!((cut(401), cut(429)), (Is::Lost, Is::Throttled));
    let body = Body::CutOff { cause: "reset".to_owned() };
    assert!(change(&Answer { body, ..answer(401, "") }).refuses_us());
}

#[test]
fn a_throttled_answer_tells_how_long_and_how_fast() {
    let said = r#"{"error_code":"APIGW.0308","error_msg":"policy user over ratelimit,limit:60,time:1 minute"}"#;
    let outcome = change(&Answer { retry_after: Some("7".to_owned()), ..answer(429, said) });
    assert_eq!(
        outcome,
        Outcome::Throttled {
            status: None,
            retry_after_ms: Some(7_000),
            quota: Some(StatedQuota { calls: 60, period_ms: 60_000 }),
            message: "policy user over ratelimit,limit:60,time:1 minute".to_owned(),
        }
    );
    let bare = Outcome::Throttled { status: None, retry_after_ms: None, quota: None, message: "no text".to_owned() };
    assert_eq!(change(&answer(429, "")), bare);
    let with_another_status = change(&answer(403, said));
    assert!(matches!(with_another_status, Outcome::Throttled { .. }) && with_another_status.status() == Some(403));
    // The figure counts even where the message is too long to keep.
    let long = format!("{} limit:5,time:1 second", "x".repeat(600));
    let Outcome::Throttled { quota, message, .. } = change(&answer(429, &long)) else { panic!() };
    assert_eq!((quota.map(|quota| quota.calls), message.chars().count()), (Some(5), 500));
}

#[test]
fn a_page_is_reduced_to_what_it_says() {
    let page = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";
    assert_eq!(change(&html(502, page)).message(), Some("502 Bad Gateway"));
    assert_eq!(change(&answer(502, "<h1>Down</h1>\n<p>back soon</p>")).message(), Some("Down back soon"));
    assert_eq!(change(&answer(502, "\u{1b}]0;down\u{7}")).message(), Some("]0;down"));
    assert_eq!(change(&answer(502, "\"quoted\"")).message(), Some("quoted"));
}

#[test]
fn no_text_repeats_a_secret() {
    let echo = r#"{"error_code":"X.s3cret","error_msg":"bad header x-auth-token: s3cret","request_id":"s3cret"}"#;
    for status in [200, 302, 400, 401, 403, 404, 429, 500] {
        let mut answer = answer(status, echo);
        answer.location = Some("https://s3cret.example.com/".to_owned());
        answer.request_id = (status == 403).then(|| "s3cret".to_owned());
        let source = SourceId::new("vm-1").unwrap();
        let texts = format!(
            "{:?} {:?} {:?} {:?}",
            change(&answer),
            shown(&answer, &source),
            listed(&answer),
            request_id(&answer),
        );
        assert!(!texts.contains("s3cret"), "{texts}");
        assert!(!format!("{answer:?} {:?}", answer.secrets).contains("s3cret"));
    }
}

#[test]
fn the_request_id_is_the_headers_or_else_the_errors() {
    let body = r#"{"error_code":"APIGW.0301","error_msg":"m","request_id":"from-body"}"#;
    let with = |header: Option<&str>, status| Answer { request_id: header.map(str::to_owned), ..answer(status, body) };
    assert_eq!(request_id(&with(Some("from-header"), 401)).as_deref(), Some("from-header"));
    assert_eq!(request_id(&with(None, 401)).as_deref(), Some("from-body"));
    assert_eq!(request_id(&with(None, 200)), None);
    assert_eq!(request_id(&with(Some(" a\tb☃ "), 200)).as_deref(), Some("ab"));
    assert_eq!(request_id(&with(Some(&"x".repeat(300)), 200)).map(|id| id.len()), Some(128));
    assert_eq!(request_id(&with(Some(" "), 200)), None);
}
