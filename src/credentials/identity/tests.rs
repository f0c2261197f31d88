//! Tests against real servers on loopback, and real commands.

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::credentials::chain::find;
use crate::credentials::chain::places::FoundCredentials;
use crate::credentials::chain::spec::Spec;
use crate::transport::request::HeaderValue;
use crate::transport::settings::TransportSettings;

fn undressed() -> Request<'static> {
    Request {
        method: "GET",
        host: "sms.example.com",
        path: "/",
        query: &[],
        headers: Vec::new(),
        hidden: Vec::new(),
        body: b"",
    }
}

fn authenticated(credentials: &Credentials) -> String {
    let mut request = undressed();
    credentials.authenticate(&mut request).unwrap();
    assert!(!format!("{request:?} {credentials:?}").contains("s3cret"), "a secret is printed");
    match &request.headers[..] {
        [Header { name: "x-auth-token", value: HeaderValue::Secret(token) }] => token.expose_secret().to_owned(),
        other => panic!("{other:?}"),
    }
}

fn token(text: &str) -> Result<Credentials, CredentialsError> {
    Credentials::token(&SecretString::from(text), "HERE")
}

#[test]
fn one_trailing_line_break_is_not_part_of_a_token() {
    for text in ["s3cret", "s3cret\n", "s3cret\r\n"] {
        assert_eq!(authenticated(&token(text).unwrap()), "s3cret");
    }
}

#[test]
fn a_bad_token_is_an_error_that_names_where_it_stands_and_not_the_token() {
    let origin = || "HERE".to_owned();
    let n_bytes = MAX_TOKEN_CHARS + 1;
    for (text, error) in [
        ("", CredentialsError::Empty { origin: origin() }),
        ("\n", CredentialsError::Empty { origin: origin() }),
        ("s3cret\n\n", CredentialsError::NotVisible { origin: origin() }),
        ("s3 cret", CredentialsError::NotVisible { origin: origin() }),
        ("s3crét", CredentialsError::NotVisible { origin: origin() }),
        ("\"s3cret\"", CredentialsError::NotVisible { origin: origin() }),
        (&"s".repeat(n_bytes), CredentialsError::TooLong { origin: origin(), n_bytes }),
    ] {
        let found = token(text).unwrap_err();
        assert_eq!(found, error);
        assert!(found.to_string().contains("HERE") && !format!("{found} {found:?}").contains("s3"));
    }
    assert!(token(&"s".repeat(MAX_TOKEN_CHARS)).is_ok());
}

/// Starts a server that answers each request with what `answer` makes of its head; the heads come through the channel.
async fn serve(
    answer: impl Fn(usize, &str) -> String + Send + Sync + 'static,
) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (heads, seen) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for n in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            while !is_whole(&String::from_utf8_lossy(&bytes)) {
                if stream.read_buf(&mut bytes).await.unwrap() == 0 {
                    break;
                }
            }
            let head = String::from_utf8_lossy(&bytes).into_owned();
            let answer = answer(n, &head);
            _ = heads.send(head);
            _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, seen)
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse().unwrap())
}

fn answered(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

fn token_until(expires_at: &str, token: &str) -> String {
    let body = format!(r#"{{"token":{{"expires_at":"{expires_at}","issued_at":"2020-01-04T09:05:22.701000Z"}}}}"#);
    answered(201, &format!("X-Subject-Token: {token}\r\n"), &body)
}

fn transport() -> TransportSettings {
    let wait = Duration::from_secs(20);
    TransportSettings { timeout: wait, connect_timeout: wait, read_timeout: None, ca_bundle: None, leaves_within: None }
}

type Variables = &'static [(&'static str, &'static str)];

fn search(spec: &Spec, variables: &[(&str, &str)]) -> Result<Option<FoundCredentials>, CredentialsError> {
    let variables: HashMap<String, OsString> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
    find(spec, &transport(), &|name| variables.get(name).cloned())
}

fn found(variables: &[(&str, &str)]) -> Credentials {
    search(&Spec::default(), variables).unwrap().unwrap().credentials
}

fn user_at(address: SocketAddr) -> Credentials {
    found(&[
        ("HW_USER_NAME", "ops"),
        ("HW_PASSWORD", "s3cret"),
        ("HW_DOMAIN_NAME", "acme"),
        ("HW_AUTH_URL", &format!("http://{address}/v3")),
    ])
}

fn kind(credentials: &Credentials) -> String {
    let mut request = undressed();
    credentials.authenticate(&mut request).unwrap();
    let names: Vec<&str> = request.headers.iter().map(|header| header.name).collect();
    names.join(" ")
}

#[tokio::test]
async fn fifty_callers_share_one_log_in() {
    let (address, mut seen) = serve(|_, _| token_until("2099-01-01T00:00:00.000000Z", "t0ken")).await;
    let credentials = Arc::new(user_at(address));
    let calls: Vec<_> =
        (0..50).map(|_| Arc::clone(&credentials)).map(|one| tokio::spawn(async move { one.ready().await })).collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(seen.len(), 1);
    let head = seen.recv().await.unwrap();
    assert!(head.starts_with("POST /v3/auth/tokens?nocatalog=true HTTP/1.1"), "{head}");
    assert_eq!(kind(&credentials), "x-auth-token");
    assert_eq!(credentials.identity(), Some("acme"));
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    let body = r#"{"error":{"code":401,"message":"The username or password s3cret is wrong.","title":"Unauthorized"}}"#;
    let (address, seen) = serve(move |_, _| answered(401, "", body)).await;
    let credentials = user_at(address);
    for _ in 0..3 {
        let error = credentials.ready().await.unwrap_err();
        let text = "HW_USER_NAME in the environment: answered 401: the user, its account or the password is wrong";
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn a_token_is_renewed_ahead_of_its_expiry_and_serves_on_while_nobody_can_be_reached() {
    let soon = Timestamp::now() + Duration::from_secs(8);
    let answers = move |n: usize, _: &str| match n {
        0 => token_until(&soon.to_string(), "first"),
        1 => answered(503, "", ""),
        _ => token_until("2099-01-01T00:00:00Z", "second"),
    };
    let (address, seen) = serve(answers).await;
    let credentials = user_at(address);
    credentials.ready().await.unwrap();
    credentials.ready().await.unwrap();
    assert_eq!(seen.len(), 1, "it is fresh");
    // The time of renewal is moved, so that nothing has to wait for it.
    credentials.held().renew_at = Some(Timestamp::now());
    credentials.ready().await.unwrap();
    assert_eq!((seen.len(), dressed_in(&credentials).as_str()), (2, "first"));
    credentials.ready().await.unwrap();
    assert_eq!(seen.len(), 2, "who cannot be reached is left alone for a while");
    credentials.held().not_before = None;
    credentials.ready().await.unwrap();
    assert_eq!((seen.len(), dressed_in(&credentials).as_str()), (3, "second"));
}

fn dressed_in(credentials: &Credentials) -> String {
    let mut request =
        Request { method: "GET", host: "h", path: "/", query: &[], headers: Vec::new(), hidden: Vec::new(), body: b"" };
    credentials.authenticate(&mut request).unwrap();
    match &request.headers[0].value {
        HeaderValue::Secret(text) => text.expose_secret().to_owned(),
        HeaderValue::Sealed(text) => text.expose_secret().to_owned(),
        HeaderValue::Plain(text) => panic!("{text} is no secret"),
    }
}

#[tokio::test]
async fn what_was_refused_is_renewed_once_for_all_and_not_again_until_it_was_accepted() {
    let (address, seen) = serve(|n, _| token_until("2099-01-01T00:00:00Z", &format!("t{n}"))).await;
    let credentials = Arc::new(user_at(address));
    credentials.ready().await.unwrap();
    let first = credentials.held().generation;
    let calls: Vec<_> = (0..20)
        .map(|_| Arc::clone(&credentials))
        .map(|one| tokio::spawn(async move { one.renew(first).await }))
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), Renewal::Renewed);
    }
    assert_eq!(seen.len(), 2);
    let second = credentials.held().generation;
    assert!(matches!(credentials.renew(second).await, Renewal::Refused(Some(_))));
    assert_eq!(seen.len(), 2);
    credentials.accepted(second);
    assert_eq!(credentials.renew(second).await, Renewal::Renewed);
    assert_eq!(seen.len(), 3);
    let token = token("s3cret").unwrap();
    assert_eq!(token.renew(Generation(1)).await, Renewal::Refused(None));
}

#[tokio::test]
async fn the_scope_is_the_project_before_the_domain() {
    let bodies = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&bodies);
    let (address, _heads) = serve(move |_, request| {
        seen.lock().unwrap().push(request.to_owned());
        token_until("2099-01-01T00:00:00Z", "t")
    })
    .await;
    let base = [
        ("HW_USER_NAME", "ops"),
        ("HW_PASSWORD", "s3cret"),
        ("HW_DOMAIN_NAME", "acme"),
        ("HUAWEICLOUD_SDK_IAM_ENDPOINT", &*format!("http://{address}")),
    ];
    for (more, scope) in [
        (&[][..], r#""scope":{"domain":{"name":"acme"}}"#),
        (&[("HW_PROJECT_NAME", "ap-southeast-3")][..], r#""scope":{"project":{"name":"ap-southeast-3"}}"#),
        (&[("HW_PROJECT_NAME", "x"), ("HW_PROJECT_ID", "p-1")][..], r#""scope":{"project":{"id":"p-1"}}"#),
    ] {
        found(&[&base[..], more].concat()).ready().await.unwrap();
        let body = bodies.lock().unwrap().pop().unwrap();
        assert!(body.contains(scope), "{body}");
    }
}

#[test]
fn the_first_that_is_there_counts() {
    let home = tempfile::tempdir().unwrap();
    let at_home = home.path().to_str().unwrap();
    std::fs::create_dir(home.path().join(".huaweicloud")).unwrap();
    std::fs::write(home.path().join(".huaweicloud/credentials"), "[basic]\nak = FILE\nsk = s3cret\n").unwrap();
    let mut variables = vec![
        ("CUTOVER_AUTH_TOKEN", "a"),
        ("HW_AUTH_TOKEN", "b"),
        ("HUAWEICLOUD_SDK_AK", "SDK"),
        ("HUAWEICLOUD_SDK_SK", "s3cret"),
        ("HW_ACCESS_KEY", "TF"),
        ("HW_SECRET_KEY", "s3cret"),
        ("HW_USER_NAME", "ops"),
        ("HW_PASSWORD", "s3cret"),
        ("HW_DOMAIN_NAME", "acme"),
        ("HOME", at_home),
    ];
    let mut origins = Vec::new();
    for n_gone in [1, 1, 2, 2, 3, 0] {
        origins.push(found(&variables).origin().replace(at_home, "~"));
        variables.drain(..n_gone);
    }
    let expected = [
        "CUTOVER_AUTH_TOKEN",
        "HW_AUTH_TOKEN",
        "HUAWEICLOUD_SDK_AK in the environment",
        "HW_ACCESS_KEY in the environment",
        "HW_USER_NAME in the environment",
        "`~/.huaweicloud/credentials` [basic]",
    ];
    assert_eq!(origins, expected);
    assert!(search(&Spec::default(), &[("HOME", "/nowhere")]).unwrap().is_none());
    let agency = Spec { metadata_endpoint: Some("http://169.254.169.254".to_owned()), ..Spec::default() };
    let last = search(&agency, &[]).unwrap().unwrap();
    assert_eq!((last.is_last_resort, last.credentials.origin()), (true, "the ECS agency of this machine"));
}

#[test]
fn a_profiles_own_credentials_go_before_the_environment_and_its_command_where_there_are_several() {
    let environment = [("HW_AUTH_TOKEN", "theirs"), ("MINE", "s3cret")];
    let own = Spec { profile: Some("p".into()), token_env: Some("MINE".into()), ..Spec::default() };
    let origin = |spec: &Spec| search(spec, &environment).unwrap().unwrap().credentials.origin().to_owned();
    assert_eq!(origin(&own), "MINE in the environment of the profile `p`");
    let mut command = Spec { profile: Some("p".into()), credential_command: Some("x".into()), ..Spec::default() };
    assert_eq!(origin(&command), "HW_AUTH_TOKEN");
    command.one_of_several = true;
    assert_eq!(origin(&command), "`credential_command` of the profile `p`");
}

#[test]
fn what_cannot_be_credentials_is_named_without_a_secret() {
    let spec = |change: fn(&mut Spec)| {
        let mut spec = Spec { profile: Some("p".to_owned()), ..Spec::default() };
        change(&mut spec);
        spec
    };
    let none = Spec::default();
    let cases: [(Spec, Variables, &str); 16] = [
        (none.clone(), &[("HUAWEICLOUD_SDK_AK", "A")], "HUAWEICLOUD_SDK_AK is set, and HUAWEICLOUD_SDK_SK is not"),
        (none.clone(), &[("HW_SECRET_KEY", "s3cret")], "HW_SECRET_KEY is set, and HW_ACCESS_KEY is not"),
        (none.clone(), &[("HW_USER_NAME", "u")], "HW_USER_NAME is set, and HW_PASSWORD is not"),
        (
            none.clone(),
            &[("HW_USER_NAME", "u"), ("HW_PASSWORD", "s3cret")],
            "HW_DOMAIN_NAME (the account it belongs to)",
        ),
        (none, &[("HC_CONTAINER_CREDENTIALS_FULL_URI", "https://x")], "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE is not"),
        (
            spec(|spec| {
                spec.token_env = Some("T".into());
                spec.credential_command = Some("c".into());
            }),
            &[],
            "of the profile `p` are of two kinds, `token_env` and `credential_command`",
        ),
        (
            spec(|spec| {
                spec.secret_key_env = Some("S".into());
                spec.agency = true;
            }),
            &[],
            "two kinds, `secret_key_env` and `agency`",
        ),
        (spec(|spec| spec.token_env = Some("T".into())), &[], "T is not set (`token_env` of the profile `p`)"),
        (spec(|spec| spec.token_env = Some("s3cret-token".into())), &[], "is to be the name of a variable"),
        (spec(|spec| spec.access_key_env = Some("A".into())), &[("A", "x")], "`secret_key_env` is missing"),
        (spec(|spec| spec.token_file = Some("s3cret".into())), &[], "no file of the name that `token_file` of the"),
        (spec(|spec| spec.credentials_file = Some("/nowhere/s3cret".into())), &[], "that `credentials_file` of the"),
        (spec(|spec| spec.token_file = Some("s3cret".repeat(50))), &[], "no file of the name that `token_file` of the"),
        (spec(|spec| spec.token_file = Some("/dev/zero".into())), &[], "`/dev/zero` cannot be read: it is a device"),
        (spec(|spec| spec.credentials_file = Some("/dev/zero".into())), &[], "`/dev/zero` cannot be read: it is a"),
        (spec(|spec| spec.user_name = Some("u".into())), &[], "`domain_name` is missing"),
    ];
    for (spec, variables, says) in cases {
        let error = search(&spec, variables).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
}

/// Variables for each kind of credentials, with those that go with it, and whether the text is a name that people choose.
const OF_US: [(&str, Variables, bool); 13] = [
    ("CUTOVER_AUTH_TOKEN", &[], false),
    ("HW_AUTH_TOKEN", &[], false),
    ("HUAWEICLOUD_SDK_AK", &[("HUAWEICLOUD_SDK_SK", "s")], false),
    ("HUAWEICLOUD_SDK_SK", &[("HUAWEICLOUD_SDK_AK", "a")], false),
    ("HUAWEICLOUD_SDK_SECURITY_TOKEN", &[("HUAWEICLOUD_SDK_AK", "a"), ("HUAWEICLOUD_SDK_SK", "s")], false),
    ("HUAWEICLOUD_SDK_PROJECT_ID", &[("HUAWEICLOUD_SDK_AK", "a"), ("HUAWEICLOUD_SDK_SK", "s")], false),
    ("HW_ACCESS_KEY", &[("HW_SECRET_KEY", "s")], false),
    ("HW_SECRET_KEY", &[("HW_ACCESS_KEY", "a")], false),
    ("HW_PASSWORD", &[("HW_USER_NAME", "u"), ("HW_DOMAIN_NAME", "d")], false),
    ("HW_PROJECT_ID", &[("HW_USER_NAME", "u"), ("HW_DOMAIN_NAME", "d"), ("HW_PASSWORD", "p")], false),
    ("HW_USER_NAME", &[("HW_PASSWORD", "p"), ("HW_DOMAIN_NAME", "d")], true),
    ("HW_DOMAIN_NAME", &[("HW_PASSWORD", "p"), ("HW_USER_NAME", "u")], true),
    ("HW_PROJECT_NAME", &[("HW_USER_NAME", "u"), ("HW_DOMAIN_NAME", "d"), ("HW_PASSWORD", "p")], true),
];

#[test]
fn a_variable_with_a_line_break_a_blank_or_a_quotation_mark_is_an_error_that_names_it() {
    for (variable, beside, is_name) in OF_US {
        for (text, says) in [
            ("s3cret\n", "has a line break in it"),
            ("s3cret\r", "has a line break in it"),
            ("s3\ncret", "has a line break in it"),
            (" s3cret", "has a blank in it"),
            ("s3cret ", "has a blank in it"),
            ("s3\tcret", "has a blank in it"),
            ("\"s3cret\"", "has a quotation mark in it"),
            ("'s3cret'", "has a quotation mark in it"),
        ] {
            let variables = [beside, &[(variable, text)]].concat();
            let found = search(&Spec::default(), &variables);
            if is_name && text == "s3\tcret" {
                continue;
            }
            let error = found.err().map(|error| format!("{error}|{error:?}")).unwrap_or_default();
            assert!(error.starts_with(&format!("{variable} {says}|")), "{variable} {text:?}: {error}");
            assert!(!error.contains("s3"), "{error}");
        }
        let as_it_should_be = [beside, &[(variable, "s3cret")]].concat();
        assert!(search(&Spec::default(), &as_it_should_be).unwrap().is_some(), "{variable}");
    }
}

#[test]
fn what_is_empty_is_not_set() {
    for names in [&["CUTOVER_AUTH_TOKEN", "HW_AUTH_TOKEN"][..], &["HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK"]] {
        let empty: Vec<(&str, &str)> = names.iter().map(|name| (*name, "")).collect();
        assert!(search(&Spec::default(), &empty).unwrap().is_none());
        let variables = [&empty[..], &[("HW_ACCESS_KEY", "A"), ("HW_SECRET_KEY", "s3cret")]].concat();
        assert_eq!(found(&variables).origin(), "HW_ACCESS_KEY in the environment");
    }
    let keys = [("HUAWEICLOUD_SDK_AK", "A"), ("HUAWEICLOUD_SDK_SK", "s3cret"), ("HUAWEICLOUD_SDK_PROJECT_ID", "")];
    assert_eq!(found(&keys).origin(), "HUAWEICLOUD_SDK_AK in the environment");
}

#[test]
fn a_home_that_is_a_file_has_no_credentials_and_files_with_bad_ones_are_named() {
    assert!(search(&Spec::default(), &[("HOME", "/dev/null")]).unwrap().is_none());
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".huaweicloud")).unwrap();
    let path = home.path().join(".huaweicloud/credentials");
    std::fs::write(&path, "[basic]\nak = A\nsk = s3 cret\n").unwrap();
    let error = search(&Spec::default(), &[("HOME", home.path().to_str().unwrap())]).unwrap_err().to_string();
    assert_eq!(error, format!("the secret key in `{}` [basic] has a blank in it", path.display()));
}

#[test]
fn an_expired_temporary_key_is_not_used() {
    let keys = Keys { access: "A".into(), secret: "s3cret".into(), security_token: Some("t".into()) };
    let at = "2020-01-01T00:00:00Z".parse().unwrap();
    let expired = Credentials::fixed("HERE".into(), None, None, IdentityProof::Keys(keys), Some(at));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(expired.ready()).unwrap_err();
    assert_eq!(error.to_string(), "the credentials in HERE expired at 2020-01-01T00:00:00Z");
}

fn command(text: &str) -> Credentials {
    let spec = Spec { credential_command: Some(text.to_owned()), ..Spec::default() };
    search(&spec, &[]).unwrap().unwrap().credentials
}

#[tokio::test]
async fn a_command_prints_a_token_or_keys_and_its_failures_are_named() {
    let good = command(r#"echo '{"token":"s3cret"}'"#);
    good.ready().await.unwrap();
    assert_eq!(authenticated(&good), "s3cret");
    let keys = command(r#"echo '{"access":"A","secret":"s3cret","securitytoken":"t"}'"#);
    keys.ready().await.unwrap();
    assert_eq!(kind(&keys), "x-sdk-date x-security-token authorization");
    for (text, says) in [
        (
            "echo s3cret; echo 's3cret is no token' >&2; exit 3",
            "it ended with 3; what it says to standard error is shown on a terminal alone",
        ),
        ("set -x; : s3cret; yes s3cret | head -c 200000 >&2; exit 4", "it ended with 4; what it says"),
        ("kill -9 $$", "it was ended by signal 9"),
        ("echo s3cret", "no JSON of credentials"),
        ("head -c 70000 /dev/zero", "it printed more than 64 KiB"),
        (r#"echo '{"token":"s3cret","expires_at":"2020-01-01T00:00:00Z"}'"#, "expired at 2020-01-01T00:00:00Z"),
    ] {
        let error = command(text).ready().await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

/// Starts a metadata service that answers each of its two paths by how often it was asked.
async fn metadata(
    token: fn(usize) -> (u16, &'static str),
    key: fn(usize, &str) -> (u16, &'static str),
) -> (Credentials, mpsc::UnboundedReceiver<String>) {
    let (n_tokens, n_keys) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (address, seen) = serve(move |_, head| {
        let (status, body) = if head.starts_with("PUT /meta-data/latest/api/token") {
            assert!(head.contains("x-metadata-token-ttl-seconds: 21600"), "{head}");
            token(n_tokens.fetch_add(1, Ordering::Relaxed))
        } else {
            assert!(head.starts_with("GET /openstack/latest/securitykey"), "{head}");
            key(n_keys.fetch_add(1, Ordering::Relaxed), head)
        };
        answered(status, "", body)
    })
    .await;
    let metadata_endpoint = Some(format!("http://{address}"));
    let spec = Spec { agency: true, metadata_endpoint, ..Spec::default() };
    (search(&spec, &[]).unwrap().unwrap().credentials, seen)
}

const KEY: &str =
    r#"{"credential":{"access":"A","secret":"s3cret","securitytoken":"t","expires_at":"2099-01-01T00:00:00.000000Z"}}"#;

#[tokio::test]
async fn the_agency_is_asked_with_a_token_and_on_old_hosts_without() {
    let with_token = |_, head: &str| if head.contains("x-metadata-token: m3ta") { (200, KEY) } else { (401, "") };
    let (credentials, seen) = metadata(|_| (200, "m3ta"), with_token).await;
    credentials.ready().await.unwrap();
    assert_eq!((kind(&credentials).as_str(), seen.len()), ("x-sdk-date x-security-token authorization", 2));

    for status in [404, 405, 503] {
        let old: fn(usize) -> (u16, &'static str) = match status {
            404 => |_| (404, ""),
            405 => |_| (405, ""),
            _ => |_| (503, ""),
        };
        let (credentials, seen) = metadata(old, |_, head| {
            assert!(!head.contains("x-metadata-token"), "{head}");
            (200, KEY)
        })
        .await;
        credentials.ready().await.unwrap();
        assert_eq!(seen.len(), 2);
        // Within a day the host is not asked for a token again.
        let generation = credentials.held().generation;
        assert_eq!(credentials.renew(generation).await, Renewal::Renewed);
        assert_eq!(seen.len(), 3, "{status}");
    }
}

#[tokio::test]
async fn a_metadata_token_that_is_too_old_is_renewed_once_and_a_missing_agency_is_final() {
    let renewed = |n: usize, _: &str| if n == 0 { (401, "token expired") } else { (200, KEY) };
    let (credentials, seen) = metadata(|_| (200, "m3ta"), renewed).await;
    credentials.ready().await.unwrap();
    assert_eq!(seen.len(), 4);

    let (credentials, seen) = metadata(|_| (200, "m3ta"), |_, _| (401, "still no s3cret")).await;
    let error = credentials.ready().await.unwrap_err();
    assert!(matches!(error, CredentialsError::Denied { .. }) && !error.to_string().contains("s3cret"), "{error}");
    assert_eq!(seen.len(), 4);

    let none = |_, _: &str| (401, "Please configure Cloud Service Agency first");
    let (credentials, seen) = metadata(|_| (200, "m3ta"), none).await;
    let error = credentials.ready().await.unwrap_err().to_string();
    assert!(error.contains("Please configure Cloud Service Agency first"), "{error}");
    assert_eq!(seen.len(), 2);

    let (credentials, _seen) = metadata(|_| (500, ""), |_, _| (200, KEY)).await;
    assert!(matches!(credentials.ready().await, Err(CredentialsError::Unreachable { .. })));
    let (credentials, _seen) = metadata(|_| (200, "m3ta"), |_, _| (404, "")).await;
    assert!(matches!(credentials.ready().await, Err(CredentialsError::Denied { .. })));
}

#[tokio::test]
async fn a_containers_identity_is_asked_with_the_token_of_its_file() {
    let (address, mut seen) = serve(|_, _| answered(200, "", KEY)).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "p0d\n").unwrap();
    let uri = format!("http://{address}/v1/credentials");
    let variables = [
        ("HC_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
        ("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.path().to_str().unwrap()),
    ];
    let credentials = found(&variables);
    credentials.ready().await.unwrap();
    let head = seen.recv().await.unwrap();
    assert!(head.starts_with("POST /v1/credentials HTTP/1.1") && head.contains("authorization: p0d"), "{head}");
    let elsewhere = [("HC_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/x"), variables[1]];
    let error = search(&Spec::default(), &elsewhere).unwrap_err().to_string();
    assert!(error.contains("loopback only"), "{error}");
}

#[tokio::test]
async fn nothing_that_holds_a_secret_prints_it() {
    let (address, _seen) = serve(|_, _| token_until("2099-01-01T00:00:00Z", "t0ken-s3cret")).await;
    let user = user_at(address);
    user.ready().await.unwrap();
    let keys = found(&[("HW_ACCESS_KEY", "A"), ("HW_SECRET_KEY", "s3cret"), ("HW_SECURITY_TOKEN", "t0ken-s3cret")]);
    let (agency, _seen) = metadata(|_| (200, "m3ta-s3cret"), |_, _| (200, KEY)).await;
    agency.ready().await.unwrap();
    let printer = command(r#"cat "$SECRET_FILE""#);
    let fetched = crate::credentials::json::read(br#"{"token":"s3cret"}"#, "HERE").unwrap();
    let shown = format!("{user:?} {keys:?} {agency:?} {printer:?} {fetched:?} {:?}", token("s3cret").unwrap());
    assert!(shown.contains("[redacted]") && !shown.contains("s3cret"), "{shown}");
}
