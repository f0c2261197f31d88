//! The head of a run as a short text, signed as an SSH signature that `ssh-keygen -Y verify` accepts.
//!
//! source: PROTOCOL.sshsig of OpenSSH. Keys are read and signatures written by `ssh-key`; `ring`, which TLS brings, does
//! the arithmetic.

use std::fmt::Write as _;

use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use ssh_key::private::KeypairData;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, Signature, SshSig};

use crate::journal::chain::hex;
use crate::journal::read::RunRecord;
use crate::journal::{Journal, JournalError};

/// What a signature is for, so that it passes for nothing else: `ssh-keygen -n`.
pub const NAMESPACE: &str = "cutover-head";

/// What is signed: the run, its plan, and the head of each of its chains, which everything before depends on.
pub fn head(journal: &Journal, run: &RunRecord) -> Result<String, JournalError> {
    let mut text = String::from("cutover.head.v1\n");
    _ = writeln!(text, "run {}\nplan {}\nrows {}", run.id, run.plan_digest, run.n_rows);
    _ = writeln!(text, "anchor {}", journal.anchor(run)?);
    for (lane, seq, hash) in journal.heads(run.key)? {
        _ = writeln!(text, "lane {lane} {seq} {}", hex(&hash));
    }
    Ok(text)
}

#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    #[error("it is no private key as `ssh-keygen -t ed25519` writes it")]
    NoKey,
    #[error("the key is protected by a passphrase")]
    Encrypted,
    #[error("it is no SSH signature by an ed25519 key")]
    NoSignature,
    #[error("the signature is for `{0}` and not for `{NAMESPACE}`")]
    OtherPurpose(String),
    #[error(
        "the signature is not of this head: the journal is another one, was altered, or went on since it was signed"
    )]
    Differs,
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Signer {
    /// As `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// As it stands in a file of public keys, without its comment.
    pub public_key: String,
}

/// Signs a head with a private key in OpenSSH's format.
pub fn sign(head: &str, key: &str) -> Result<(String, Signer), SignatureError> {
    let key = PrivateKey::from_openssh(key).map_err(|_| SignatureError::NoKey)?;
    if key.is_encrypted() {
        return Err(SignatureError::Encrypted);
    }
    let KeypairData::Ed25519(pair) = key.key_data() else {
        return Err(SignatureError::NoKey);
    };
    let public = pair.public.0;
    let signing = Ed25519KeyPair::from_seed_and_public_key(&pair.private.to_bytes(), &public);
    let signing = signing.map_err(|_| SignatureError::NoKey)?;
    let data = signed_data(head, HashAlg::Sha512);
    let signature = Signature::new(Algorithm::Ed25519, signing.sign(&data).as_ref().to_vec());
    let public_key = key.public_key().key_data().clone();
    let signed = signature.and_then(|signature| SshSig::new(public_key, NAMESPACE, HashAlg::Sha512, signature));
    let text = signed.and_then(|signed| signed.to_pem(LineEnding::LF)).expect("what was just made can be written");
    Ok((text, signer(key.public_key())))
}

/// Who signed this head, if it is what the signature is of.
pub fn verify(head: &str, signature: &str) -> Result<Signer, SignatureError> {
    let signed = SshSig::from_pem(signature).map_err(|_| SignatureError::NoSignature)?;
    if signed.namespace() != NAMESPACE {
        return Err(SignatureError::OtherPurpose(signed.namespace().to_owned()));
    }
    let public = PublicKey::from(signed.public_key().clone());
    let Some(key) = public.key_data().ed25519() else {
        return Err(SignatureError::NoSignature);
    };
    let data = signed_data(head, signed.hash_alg());
    let verified = UnparsedPublicKey::new(&ED25519, key.0).verify(&data, signed.signature_bytes());
    verified.map_err(|_| SignatureError::Differs)?;
    Ok(signer(&public))
}

/// Whether a line of a file of public keys is of this signer.
#[must_use]
pub fn is_of(signer: &Signer, public_key: &str) -> bool {
    PublicKey::from_openssh(public_key.trim()).is_ok_and(|key| self::signer(&key) == *signer)
}

fn signed_data(head: &str, hash: HashAlg) -> Vec<u8> {
    SshSig::signed_data(NAMESPACE, hash, head.as_bytes()).expect("there is a purpose, and memory")
}

fn signer(key: &PublicKey) -> Signer {
    let public_key = PublicKey::from(key.key_data().clone());
    Signer {
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        public_key: public_key.to_openssh().expect("a key that was read can be written"),
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::KeyPair as _;
    use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey};
    use ssh_key::public::Ed25519PublicKey;

    use super::*;

    /// A key of no worth, and its public half.
    fn key() -> (String, String) {
        let private = Ed25519PrivateKey::from_bytes(&[7; 32]);
        let known = Ed25519KeyPair::from_seed_unchecked(&private.to_bytes()).unwrap();
        let public = Ed25519PublicKey::try_from(known.public_key().as_ref()).unwrap();
        let key = PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair { public, private }), "test").unwrap();
        (key.to_openssh(LineEnding::LF).unwrap().to_string(), key.public_key().to_openssh().unwrap())
    }

    #[test]
    fn a_signature_is_of_its_head_and_says_whose_it_is() {
        let (key, public) = key();
        let (signature, signer) = sign("head\n", &key).unwrap();
        assert!(signature.starts_with("-----BEGIN SSH SIGNATURE-----\n"));
        assert_eq!(verify("head\n", &signature).unwrap(), signer);
        assert!(is_of(&signer, &public) && public.starts_with(&signer.public_key));
        assert!(matches!(verify("head", &signature), Err(SignatureError::Differs)));
        assert!(matches!(verify("head\n", "x"), Err(SignatureError::NoSignature)));
        let broken = signature.replacen('A', "B", 3);
        assert!(verify("head\n", &broken).is_err());
    }

    #[test]
    fn what_is_no_key_of_ours_is_told() {
        assert!(matches!(sign("h", "hello"), Err(SignatureError::NoKey)));
        assert!(matches!(sign("h", &key().1), Err(SignatureError::NoKey)));
    }
}
