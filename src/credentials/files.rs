//! Credentials in files: those of the SDKs, and KooCLI's where they are not encrypted.

use std::io;
use std::path::Path;

use secrecy::zeroize::Zeroizing;
use serde_json::Value;

use super::error::CredentialsError;
use super::proof::Keys;
use crate::transport::secrets::guarded::Guarded;
use crate::wording::shell::shell_path;

mod ini;

/// Credentials of a file.
pub(super) struct InFile {
    pub(super) keys: Keys,
    pub(super) project: Option<String>,
    /// Name of the section or profile that they are from.
    pub(super) part: String,
}

/// Reads a file; `None` if there is none.
fn read(path: &Path) -> Result<Option<Zeroizing<String>>, CredentialsError> {
    match crate::texts::read(path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CredentialsError::Malformed(format!("`{}` cannot be read: {error}", path.display()))),
    }
}

/// Returns a warning if a file with secrets can be read by others than its owner.
pub(crate) fn readable_by_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| {
        format!(
            "`{}` can be read by others (mode {:03o}): chmod 600 {}",
            path.display(),
            mode & 0o777,
            shell_path(path)
        )
    })
}

/// Reads the INI file of the SDKs. source: `huaweicloudsdkcore/auth/provider.py` (`[basic]`, `[global]`).
pub(super) fn sdk(path: &Path) -> Result<Option<InFile>, CredentialsError> {
    let Some(text) = read(path)? else { return Ok(None) };
    of_sdk(&text).map(Some).map_err(|what| CredentialsError::Malformed(format!("`{}` {what}", path.display())))
}

fn of_sdk(text: &str) -> Result<InFile, String> {
    let sections = ini::sections(text)?;
    let found = ["basic", "global"].into_iter().find_map(|name| Some((name, sections.get(name)?)));
    let Some((name, section)) = found else {
        let of_a_shell = |line: &str| line.trim_start().starts_with("export ");
        let hint =
            if text.lines().any(of_a_shell) { ", but lines of a shell (`export`): load it there with `.`" } else { "" };
        return Err(format!("has neither [basic] nor [global]{hint}"));
    };
    let value = |key: &str| match section.get(key) {
        Some(entry) => entry.plain(key).map(|value| Some(value).filter(|value| !value.is_empty())),
        None => Ok(None),
    };
    let (access, secret) = match (value("ak")?, value("sk")?) {
        (Some(access), Some(secret)) => (access.to_owned(), Guarded::from(secret)),
        (None, None) if section.contains_key("idp_id") => {
            return Err(format!("[{name}] names an identity provider, which is not supported here"));
        }
        (access, _) => {
            let missing = if access.is_none() { "ak" } else { "sk" };
            return Err(format!("[{name}] has no `{missing}`"));
        }
    };
    let security_token = value("security_token")?.map(Guarded::from);
    let project = value("project_id")?.map(str::to_owned);
    let keys = Keys { access, secret, security_token };
    Ok(InFile { keys, project, part: format!("[{name}]") })
}

/// Reads KooCLI's file, if its current profile has a key in plain. `Err` of the inner result is the reason to pass it over.
///
/// No page describes the file; public uses of it agree on `current`, and on `profiles` with `name`, `mode`,
/// `accessKeyId`, `secretAccessKey` and `securityToken`. Unless it was told otherwise, KooCLI encrypts them.
/// source: KooCLI user guide, intl/en-us/usermanual-hcli/hcli_05_01.html (`--cli-auth-encrypt`).
pub(super) fn koocli(path: &Path) -> Result<Option<Result<InFile, String>>, CredentialsError> {
    let Some(text) = read(path)? else { return Ok(None) };
    let passed_over = |why: &str| Ok(Some(Err(format!("`{}` is passed over: {why}", path.display()))));
    let Ok(json) = serde_json::from_str::<Value>(&text) else { return passed_over("it is not JSON") };
    let text_of = |value: &Value, key: &str| {
        value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let current = text_of(&json, "current").unwrap_or_else(|| "default".to_owned());
    let profiles = json.get("profiles").and_then(Value::as_array);
    let profile = profiles.and_then(|all| all.iter().find(|one| text_of(one, "name").as_ref() == Some(&current)));
    let Some(profile) = profile else { return passed_over("it has no current profile") };
    let (Some(access), Some(secret)) = (text_of(profile, "accessKeyId"), text_of(profile, "secretAccessKey")) else {
        return passed_over("its current profile has no access key");
    };
    // Keys in plain are about twenty and forty letters and digits; encrypted ones are longer and have other characters.
    let is_plain =
        |text: &str| text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !is_plain(&access) || !is_plain(&secret) {
        return passed_over(
            "its keys are encrypted (`hcloud configure set --cli-auth-encrypt=false` keeps them plain)",
        );
    }
    let security_token = text_of(profile, "securityToken").as_deref().map(Guarded::from);
    let keys = Keys { access, secret: Guarded::from(secret.as_str()), security_token };
    Ok(Some(Ok(InFile { keys, project: text_of(profile, "projectId"), part: format!("profile `{current}`") })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn the_sdks_file_is_read_and_what_it_lacks_is_named() {
        let good = file("# mine\n[basic]\nak = A\nsk=s3cret\nproject_id = p\nsecurity_token = \n[global]\nak = B\n");
        let found = sdk(good.path()).unwrap().unwrap();
        assert_eq!(
            (found.keys.access.as_str(), found.project.as_deref(), found.part.as_str()),
            ("A", Some("p"), "[basic]")
        );
        assert!(found.keys.security_token.is_none());
        assert!(sdk(Path::new("/nowhere/credentials")).unwrap().is_none());
        for (text, says) in [
            ("[basic]\nak = A\n", "[basic] has no `sk`"),
            ("[basic]\nsk = s3cret\n", "[basic] has no `ak`"),
            ("[basic]\nidp_id = x\n", "identity provider"),
            ("ak = A\nsk = s3cret\n", "has neither [basic] nor [global]"),
            ("export HW_ACCESS_KEY=A\nexport HW_SECRET_KEY=s3cret\n", "but lines of a shell (`export`)"),
        ] {
            let error = sdk(file(text).path()).err().unwrap().to_string();
            assert!(error.contains(says) && !error.contains("s3cret"), "{error}");
        }
    }

    /// Compares, for each file, what the SDKs for Python and Go read with what we read.
    #[test]
    fn an_sdks_file_is_read_as_the_sdks_read_it_and_refused_where_a_key_would_be_wrong() {
        let cases: Vec<Value> = serde_json::from_str(include_str!("../../tests/it/sdk/credentials.json")).unwrap();
        for case in &cases {
            let text = case["file"].as_str().unwrap();
            let path = file(text);
            let found = sdk(path.path());
            if let Some(says) = case["refused"].as_str() {
                let error = found.err().unwrap_or_else(|| panic!("{text:?} is read")).to_string();
                assert!(error.contains(says), "{text:?}: {error}");
                assert!(!error.contains("SECRET"), "{text:?}: {error}");
                continue;
            }
            let found = found.unwrap_or_else(|error| panic!("{text:?}: {error}")).unwrap();
            let token = found.keys.security_token.as_ref().map(|token| token.expose_secret().to_owned());
            let read = serde_json::json!([found.keys.access, found.keys.secret.expose_secret(), found.project, token]);
            assert_eq!(read, case["read"], "{text:?}");
        }
    }

    #[test]
    fn koocli_is_read_where_it_is_plain_and_passed_over_where_not() {
        let text = |secret: &str| {
            format!(
                r#"{{"current":"b","profiles":[{{"name":"a","accessKeyId":"X"}},
                    {{"name":"b","mode":"AKSK","accessKeyId":"AK1","secretAccessKey":"{secret}","securityToken":""}}]}}"#
            )
        };
        let found = koocli(file(&text("s3cret")).path()).unwrap().unwrap().unwrap_or_else(|why| panic!("{why}"));
        assert_eq!((found.keys.access.as_str(), found.part.as_str()), ("AK1", "profile `b`"));
        for (text, says) in [
            (text("c2VjcmV0IGVuY3J5cHRlZA=="), "encrypted"),
            ("{}".to_owned(), "no current profile"),
            ("s3cret".to_owned(), "not JSON"),
        ] {
            let why = koocli(file(&text).path()).unwrap().unwrap().err().unwrap();
            assert!(why.contains(says) && !why.contains("s3cret"), "{why}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_warned_of() {
        use std::os::unix::fs::PermissionsExt;
        let file = file("");
        for (mode, warned) in [(0o600, false), (0o640, true), (0o604, true), (0o400, false)] {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(readable_by_others(file.path()).is_some(), warned, "{mode:o}");
        }
    }
}
