//! Secret that the servers are opened with, and the certificates that they are believed by.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use async_nats::ConnectOptions;
use secrecy::zeroize::Zeroizing;

use super::servers::EngineSettings;

/// Way in at the servers.
#[derive(Default)]
pub(super) struct ServerAccess {
    secret: Option<EngineSecret>,
    ca: Option<PathBuf>,
}

enum EngineSecret {
    /// Content of a `.creds` file: a token of the user, and the seed of its key.
    Creds(Zeroizing<String>),
    /// Seed of a key.
    Seed(Zeroizing<String>),
}

impl ServerAccess {
    /// Reads the files that settings name. The error names the file, and has nothing of it.
    pub(super) fn read(settings: &EngineSettings) -> Result<Self, String> {
        let unread = |path: &Path, why: &dyn Display| format!("`{}` {why}", path.display());
        let secret = settings.credentials.as_deref().map(|path| {
            let text = crate::texts::read(path).map_err(|error| unread(path, &format!("cannot be read: {error}")))?;
            EngineSecret::from_text(Zeroizing::new(text)).map_err(|problem| unread(path, &problem))
        });
        if let Some(path) = &settings.ca {
            let text = crate::texts::read(path).map_err(|error| unread(path, &format!("cannot be read: {error}")))?;
            if !text.contains("-----BEGIN CERTIFICATE-----") {
                return Err(unread(path, &"has no certificate in PEM"));
            }
        }
        Ok(Self { secret: secret.transpose()?, ca: settings.ca.clone() })
    }

    pub(super) fn add_to(&self, options: ConnectOptions) -> ConnectOptions {
        let options = match &self.ca {
            Some(path) => options.add_root_certificates(path.clone()),
            None => options,
        };
        match &self.secret {
            Some(EngineSecret::Creds(text)) => options.credentials(text).expect("it was read as such before"),
            Some(EngineSecret::Seed(seed)) => options.nkey(seed.to_string()),
            None => options,
        }
    }
}

impl EngineSecret {
    fn from_text(text: Zeroizing<String>) -> Result<Self, &'static str> {
        /// Length of a seed: two letters of its kind, 32 bytes and a sum, in base 32.
        const SEED: usize = 58;
        if ConnectOptions::new().credentials(&text).is_ok() {
            return Ok(EngineSecret::Creds(text));
        }
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let is_seed = |line: &&str| {
            line.len() == SEED
                && line.starts_with("SU")
                && line.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
        };
        match (lines.next().filter(is_seed), lines.next()) {
            (Some(seed), None) => Ok(EngineSecret::Seed(Zeroizing::new(seed.to_owned()))),
            (_, _) => Err("is neither a NATS .creds file nor the seed of a user's nkey (SU…)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";

    #[test]
    fn a_secret_is_a_seed_or_a_creds_file_and_no_error_repeats_it() {
        let kind = |text: &str| match EngineSecret::from_text(Zeroizing::new(text.to_owned())) {
            Ok(EngineSecret::Creds(_)) => "creds",
            Ok(EngineSecret::Seed(_)) => "seed",
            Err(_) => "none",
        };
        let creds = format!(
            "-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{SEED}\n------END USER NKEY SEED------\n"
        );
        assert_eq!(kind(&creds), "creds");
        assert_eq!(kind(SEED), "seed");
        assert_eq!(kind(&format!("# of the night\n{SEED}\n")), "seed");
        for none in
            ["", "hunter2", &SEED[1..], &format!("{SEED}\n{SEED}"), &SEED.to_lowercase(), "-----BEGIN USER NKEY"]
        {
            assert_eq!(kind(none), "none", "{none}");
        }
    }
}
