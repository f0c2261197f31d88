//! Signing with `ssh-keygen -Y sign`, by a private key, or by a public one whose private half the agent or a FIDO key holds.

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use super::signature::{Purpose, SignatureError, Signer, verify};

const PROGRAM: &str = "ssh-keygen";

/// Variables that it needs to find the agent and to ask for a passphrase or a touch. Others are withheld: they may hold our secrets.
const VARIABLES: [&str; 14] = [
    "PATH",
    "HOME",
    "TERM",
    "LANG",
    "LC_ALL",
    "SSH_AUTH_SOCK",
    "SSH_ASKPASS",
    "SSH_ASKPASS_REQUIRE",
    "SSH_SK_PROVIDER",
    "SSH_SK_HELPER",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
];

/// Signs a text; returns the signature and its key. May wait for a person: a passphrase, a touch.
#[expect(clippy::disallowed_methods, reason = "it asks its questions itself, and nobody else's words are in them")]
pub fn sign(text: &str, purpose: Purpose, key: &Path) -> Result<(String, Signer), SignatureError> {
    let mut command = Command::new(PROGRAM);
    command.args(["-q", "-Y", "sign", "-n", purpose.namespace(), "-f"]).arg(key).env_clear();
    command.envs(VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    // A person at a terminal reads the questions of `ssh-keygen`; otherwise its last line is the reason of a failure.
    let is_attended = std::io::stderr().is_terminal();
    command.stderr(if is_attended { Stdio::inherit() } else { Stdio::piped() });
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => SignatureError::NoProgram,
        _ => SignatureError::NotMade(error.to_string()),
    })?;
    let mut input = child.stdin.take().expect("it was asked for");
    // A program that ended early gives the reason itself.
    _ = input.write_all(text.as_bytes());
    drop(input);
    let ended = child.wait_with_output().map_err(|error| SignatureError::NotMade(error.to_string()))?;
    let signature = String::from_utf8_lossy(&ended.stdout).into_owned();
    if !ended.status.success() || signature.trim().is_empty() {
        let said = String::from_utf8_lossy(&ended.stderr);
        let why = said.lines().map(str::trim).rfind(|line| !line.is_empty());
        return Err(SignatureError::NotMade(why.unwrap_or("it gave no reason").to_owned()));
    }
    let signer = verify(text, purpose, &signature)?;
    Ok((signature, signer))
}
