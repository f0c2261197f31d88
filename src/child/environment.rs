//! Environment of children: our own, without secrets.
//!
//! A list of what is withheld, and none of what is passed on: a hook or a command that gets credentials needs variables of its own
//! (`VAULT_ADDR`, `KUBECONFIG`, a proxy, a locale), and nobody can list these. Secrets of this program have names that are known, or
//! that its settings name. Of the families of variables that the vendor's tools and this program read, only those stay that are known
//! to hold no secret, so that a name the vendor adds tomorrow is withheld today.

use std::ffi::{OsStr, OsString};

/// Beginnings of the names that the vendor's tools read credentials from.
const VENDOR: [&str; 3] = ["HUAWEICLOUD_", "HW_", "HC_"];

/// Parts of the vendor's names that say where something is, and prove nothing.
const HARMLESS: [&str; 4] = ["REGION", "PROJECT", "DOMAIN", "ENDPOINT"];

/// Beginning of this program's own names, most of which are settings.
const OURS: &str = "CUTOVER_";

/// Ends of the names among those that are secrets.
const SECRET_ENDS: [&str; 6] = ["TOKEN", "SECRET", "PASSWORD", "KEY", "_AK", "_SK"];

/// Name that ends like a secret and is none: the key of a run names it.
const RUN_KEY: &str = "CUTOVER_RUN_KEY";

/// Variables that children do not get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Withheld {
    /// Names that settings have for secrets, beside the fixed ones.
    named: Vec<String>,
}

impl Withheld {
    pub(crate) const fn new(named: Vec<String>) -> Self {
        Self { named }
    }

    pub(super) fn among(&self, names: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
        names.filter(|name| self.holds(name))
    }

    /// Values of the withheld variables that are secrets themselves.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let is_secret = |name: &OsStr| {
            let name = name.to_string_lossy();
            self.holds(OsStr::new(&*name)) && (self.is_named(&name) || is_secret(&name))
        };
        let secrets = std::env::vars_os().filter(|(name, value)| is_secret(name) && !value.is_empty());
        secrets.filter_map(|(_, value)| value.into_string().ok()).collect()
    }

    fn is_named(&self, name: &str) -> bool {
        self.named.iter().any(|named| named == name)
    }

    fn holds(&self, name: &OsStr) -> bool {
        let name = name.to_string_lossy();
        let is_vendors = VENDOR.iter().any(|beginning| name.starts_with(beginning));
        is_vendors && (is_secret(&name) || !HARMLESS.iter().any(|part| name.contains(part)))
            || name.starts_with(OURS) && is_secret(&name)
            || self.is_named(&name)
    }
}

fn is_secret(name: &str) -> bool {
    name != RUN_KEY && SECRET_ENDS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_withheld_and_all_else_is_passed_on() {
        let withheld = Withheld::new(vec!["MY_TOKEN".to_owned()]);
        for name in [
            "CUTOVER_AUTH_TOKEN",
            "CUTOVER_SERVE_TOKEN",
            "CUTOVER_SANDBOX_TOKEN",
            "CUTOVER_SANDBOX_AK",
            "CUTOVER_SANDBOX_SK",
            "CUTOVER_SANDBOX_SECURITY_TOKEN",
            "HW_AUTH_TOKEN",
            "HW_ACCESS_KEY",
            "HW_SECRET_KEY",
            "HW_SECURITY_TOKEN",
            "HW_USER_NAME",
            "HW_PASSWORD",
            "HW_PROJECT_TOKEN",
            "HUAWEICLOUD_SDK_AK",
            "HUAWEICLOUD_SDK_SK",
            "HUAWEICLOUD_SDK_SECURITY_TOKEN",
            "HUAWEICLOUD_SDK_CREDENTIALS_FILE",
            "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "HC_CONTAINER_CREDENTIALS_FULL_URI",
            "MY_TOKEN",
        ] {
            assert!(withheld.holds(name.as_ref()), "{name}");
        }
        for name in [
            "PATH",
            "HOME",
            "LANG",
            "TZ",
            "VAULT_ADDR",
            "OTHER_TOKEN",
            "my_token",
            "CUTOVER_JOURNAL",
            "CUTOVER_RATE",
            "CUTOVER_RUN_KEY",
            "HW_REGION_NAME",
            "HW_DOMAIN_NAME",
            "HUAWEICLOUD_SDK_PROJECT_ID",
            "HUAWEICLOUD_SDK_IAM_ENDPOINT",
        ] {
            assert!(!withheld.holds(name.as_ref()), "{name}");
        }
    }
}
