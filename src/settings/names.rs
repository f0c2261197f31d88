//! Names beside those of settings: keys of a profile's credentials, secrets that belong in no settings file, and variables that
//! are no settings.

use super::hooks::TIMEOUT_KEY;
use super::key::Risk;

/// Keys of a profile about its credentials, each with its risk and help. They name users and places, and never hold a secret.
pub(crate) const CREDENTIAL_KEYS: [(&str, Risk, &str); 15] = [
    ("token_env", Risk::Reads, "the variable that holds a ready IAM token"),
    ("token_file", Risk::Reads, "the file that holds one"),
    ("access_key_env", Risk::Reads, "the variable that holds the access key"),
    ("secret_key_env", Risk::Reads, "the variable that holds the secret key"),
    ("security_token_env", Risk::Reads, "the variable that holds a temporary key's security token"),
    ("credentials_file", Risk::Reads, "a file such as ~/.huaweicloud/credentials"),
    ("user_name", Risk::Redirects, "the IAM user that gets tokens"),
    ("domain_name", Risk::Redirects, "the account that the user belongs to"),
    ("password_env", Risk::Reads, "the variable that holds the user's password"),
    ("password_file", Risk::Reads, "the file that holds it"),
    ("credential_command", Risk::Executes, "a command that prints credentials as JSON"),
    ("agency", Risk::Redirects, "on: the ECS agency of this machine, and nothing else"),
    ("project_id", Risk::Redirects, "the project that requests are signed and tokens are scoped for"),
    ("project_name", Risk::Redirects, "the project by its name"),
    ("iam_endpoint", Risk::Redirects, "where tokens come from"),
];

/// Keys of a receiver of notices, each with its risk and help. They name places, and hold no secret but a URL.
pub(crate) const RECEIVER_KEYS: [(&str, Risk, &str); 11] = [
    ("kind", Risk::Redirects, "webhook, smn, command or ping (a dead-man's switch)"),
    ("on", Risk::Redirects, "the occasions: start, waiting, halt, end; without it all that the kind has words for"),
    ("format", Risk::Redirects, "of a webhook: generic, slack, feishu or dingtalk"),
    ("url", Risk::Redirects, "the address of a webhook or a ping, which is a secret where others read this file"),
    ("url_env", Risk::Reads, "the variable that holds it"),
    ("url_file", Risk::Reads, "the file that holds it"),
    ("secret_env", Risk::Reads, "the variable that holds the secret that a webhook is signed with"),
    ("secret_file", Risk::Reads, "the file that holds it"),
    (
        "topic_urn",
        Risk::Redirects,
        "the topic of the notification service, which is written to with the run's credentials",
    ),
    ("endpoint", Risk::Redirects, "where that service is, if not in the topic's region"),
    (
        "command",
        Risk::Executes,
        "a command that reads the notice as JSON on standard input; after five seconds it is ended",
    ),
];

/// Keys of the table of hooks, each with its risk and help.
pub(crate) const HOOK_KEYS: [(&str, Risk, &str); 5] = [
    ("before_run", Risk::Executes, "directly before the first change of a launch; its failure is a veto"),
    ("before_wave", Risk::Executes, "directly before the first change of a wave; its failure is a veto"),
    ("after_wave", Risk::Executes, "once the last row of a wave is settled"),
    ("after_run", Risk::Executes, "at the end of a launch that came as far as its first wave"),
    (TIMEOUT_KEY, Risk::Executes, "the time that each may take: 60s"),
];

/// Keys that are refused with a hint, because who writes one is about to put a secret into a settings file.
pub(crate) const SECRETS: [&str; 12] = [
    "token",
    "auth_token",
    "access_key",
    "ak",
    "secret_key",
    "sk",
    "password",
    "security_token",
    "secret",
    "access_key_id",
    "secret_access_key",
    "credentials",
];

/// Variable that names a settings file.
pub(crate) const CONFIG: &str = "CUTOVER_CONFIG";

/// Variable that names the slot of a schedule, as `--run-key` does. No setting, because in a file it would name every slot.
pub(crate) const RUN_KEY: &str = "CUTOVER_RUN_KEY";

/// Flag that names a settings file, without dashes; it is no setting.
pub(crate) const CONFIG_FLAG: &str = "config";

/// The program's own variables that are no settings: secrets, the settings file, the run key, and credentials of the sandbox.
pub(crate) const VARIABLES: [&str; 9] = [
    CONFIG,
    RUN_KEY,
    "CUTOVER_AUTH_TOKEN",
    "CUTOVER_SERVE_TOKEN",
    "CUTOVER_SANDBOX_TOKEN",
    "CUTOVER_SANDBOX_AK",
    "CUTOVER_SANDBOX_SK",
    "CUTOVER_SANDBOX_SECURITY_TOKEN",
    "CUTOVER_SANDBOX_PROJECT",
];

#[cfg(test)]
mod tests {
    use super::super::key::OURS;
    use super::*;

    /// Every name of a variable that the sources ask the environment for.
    fn asked_for(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                asked_for(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let product = text.split("#[cfg(test)]").next().unwrap_or_default();
            let quoted = product.split('"').skip(1).step_by(2);
            let names = quoted.filter(|text| text.starts_with(OURS) && *text != OURS && !text.contains(' '));
            found.extend(names.filter(|_| !path.ends_with("tests.rs")).map(str::to_owned));
        }
    }

    #[test]
    fn every_variable_that_is_asked_for_is_known() {
        let mut found = Vec::new();
        asked_for(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert!(found.len() > VARIABLES.len(), "{found:?}");
        for name in found.iter().filter(|name| !name.contains('{')) {
            assert!(VARIABLES.contains(&name.as_str()), "{name}");
        }
    }
}
