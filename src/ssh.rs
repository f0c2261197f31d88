//! SSH signatures over our texts, and the lists of keys that count: with keys that people have anyway, checkable by `ssh-keygen -Y
//! verify` without any program of ours.
//!
//! Signatures are verified here: `ssh-key` parses, `ring`, which TLS brings, does the arithmetic. Signing is left to `ssh-keygen`,
//! which uses the agent (`SSH_AUTH_SOCK`), asks for passphrases itself, and supports FIDO keys: no private key is read by this program.
//!
//! source: PROTOCOL.sshsig and PROTOCOL.u2f of OpenSSH

pub mod allowed;
pub mod keygen;
pub mod signature;
