//! Credentials in variables with fixed names, or in files that stand for them.

use secrecy::SecretString;

use super::places::{SearchPlaces, SearchResult};
use crate::credentials::identity::Credentials;
use crate::credentials::proof::Keys;

/// Variables in which a token is looked for.
const TOKENS: [&str; 2] = ["CUTOVER_AUTH_TOKEN", "HW_AUTH_TOKEN"];

/// Families of names for a key pair. sources: huaweicloud-sdk-python-v3 `huaweicloudsdkcore/auth/provider.py`;
/// terraform-provider-huaweicloud `docs/index.md`.
const KEY_PAIRS: [KeyPairNames; 2] = [
    KeyPairNames {
        access: "HUAWEICLOUD_SDK_AK",
        secret: "HUAWEICLOUD_SDK_SK",
        security_token: "HUAWEICLOUD_SDK_SECURITY_TOKEN",
        project: "HUAWEICLOUD_SDK_PROJECT_ID",
    },
    KeyPairNames {
        access: "HW_ACCESS_KEY",
        secret: "HW_SECRET_KEY",
        security_token: "HW_SECURITY_TOKEN",
        project: "HW_PROJECT_ID",
    },
];

struct KeyPairNames {
    access: &'static str,
    secret: &'static str,
    security_token: &'static str,
    project: &'static str,
}

impl SearchPlaces<'_> {
    pub(super) fn token(&self) -> SearchResult {
        for name in TOKENS {
            if let Some(found) = self.plain(name)? {
                let origin = found.told();
                return Ok(Some(Credentials::token(&SecretString::from(found.text), origin)?.into()));
            }
        }
        Ok(None)
    }

    pub(super) fn key_pair(&self) -> SearchResult {
        for names in KEY_PAIRS {
            let (access, secret) = match (self.plain(names.access)?, self.plain(names.secret)?) {
                (None, None) => continue,
                (Some(access), Some(secret)) => (access, secret),
                (Some(access), None) => return Err(access.without(names.secret)),
                (None, Some(secret)) => return Err(secret.without(names.access)),
            };
            let security_token = self.plain(names.security_token)?.map(|found| SecretString::from(found.text).into());
            let project = self.plain(names.project)?.map(|found| found.text);
            let origin = access.origin_with(&secret);
            let keys = Keys { access: access.text, secret: SecretString::from(secret.text).into(), security_token };
            return Ok(Some(self.fixed_keys(origin, keys, project).into()));
        }
        Ok(None)
    }
}
