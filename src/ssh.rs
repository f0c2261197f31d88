//! SSH signatures over texts of ours, and who may give them: the keys that people have anyway, and `ssh-keygen -Y verify` for
//! whoever believes no program of ours.
//!
//! Checking is done here: `ssh-key` reads, `ring`, which TLS brings, does the arithmetic. Signing is left to `ssh-keygen`, which has
//! the agent (`SSH_AUTH_SOCK`), asks for passphrases itself, and speaks to FIDO keys: no private key is ever read by this program.
//!
//! source: PROTOCOL.sshsig and PROTOCOL.u2f of OpenSSH

pub mod allowed;
pub mod keygen;
pub mod signature;
