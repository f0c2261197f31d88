//! Signatures: their purpose, their signer, and their verification.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use sha2::{Digest as _, Sha256};
use ssh_key::public::{EcdsaPublicKey, KeyData};
use ssh_key::{Algorithm, HashAlg, PublicKey, SshSig};

/// Limit in bytes, more than any signature has; an RSA key of 16,384 bits makes 6 KiB.
const LONGEST: usize = 64 << 10;
/// Length of flags and counter behind the signature of a FIDO key.
const TRAILER: usize = 5;

#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    #[error("there is no `ssh-keygen` to sign with")]
    NoProgram,
    #[error("`ssh-keygen` did not sign: {0}")]
    NotMade(String),
    #[error("it is no SSH signature")]
    NoSignature,
    #[error(
        "it is by a key of the kind `{0}`, and only ed25519, ecdsa (256, 384), rsa and FIDO keys (sk-) are known here"
    )]
    OtherKind(String),
    #[error("the signature is for `{found}` and not for `{wanted}`")]
    OtherPurpose { found: String, wanted: String },
    #[error("the signature is not of this {of}")]
    Differs { of: &'static str },
}

/// Purpose of a signature, so that it is valid for nothing else: `ssh-keygen -n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The head of a journal.
    Head,
    /// The manifest of a bundle of evidence.
    Bundle,
    /// Approval of a sealed plan.
    Approval,
}

impl Purpose {
    #[must_use]
    pub fn namespace(self) -> &'static str {
        match self {
            Purpose::Head => "cutover-head",
            Purpose::Bundle => "cutover-bundle",
            Purpose::Approval => "cutover-approval",
        }
    }

    pub(crate) fn differs(self) -> SignatureError {
        let of = match self {
            Purpose::Head => "head: the journal is another one, was altered, or went on since it was signed",
            Purpose::Bundle => "manifest: the bundle is another one, or was altered since it was signed",
            Purpose::Approval => "approval",
        };
        SignatureError::Differs { of }
    }
}

/// Key that signed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Signer {
    /// Fingerprint as `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// Key as in a file of public keys, without its comment.
    pub public_key: String,
}

/// Verifies a signature of this text, and returns its signer.
pub fn verify(text: &str, purpose: Purpose, signature: &str) -> Result<Signer, SignatureError> {
    let signed = Some(signature).filter(|text| text.len() <= LONGEST).and_then(|text| SshSig::from_pem(text).ok());
    let signed = signed.ok_or(SignatureError::NoSignature)?;
    if signed.namespace() != purpose.namespace() {
        let (found, wanted) = (signed.namespace().to_owned(), purpose.namespace().to_owned());
        return Err(SignatureError::OtherPurpose { found, wanted });
    }
    let data = SshSig::signed_data(purpose.namespace(), signed.hash_alg(), text.as_bytes());
    let data = data.map_err(|_| SignatureError::NoSignature)?;
    if is_signed(&signed, &data).ok_or_else(|| other_kind(&signed))? {
        Ok(signer(&PublicKey::from(signed.public_key().clone())))
    } else {
        Err(purpose.differs())
    }
}

fn other_kind(signed: &SshSig) -> SignatureError {
    SignatureError::OtherKind(signed.public_key().algorithm().as_str().to_owned())
}

/// Checks the arithmetic; `None` for a key of an unknown kind, or of another kind than the signature.
fn is_signed(signed: &SshSig, data: &[u8]) -> Option<bool> {
    let (algorithm, bytes) = (signed.signature().algorithm(), signed.signature_bytes());
    let holds = match (signed.public_key(), algorithm) {
        (KeyData::Ed25519(key), Algorithm::Ed25519) => is_by(&ED25519, &key.0, data, bytes),
        (KeyData::SkEd25519(key), Algorithm::SkEd25519) => {
            let (bytes, trailer) = bytes.split_at_checked(bytes.len().checked_sub(TRAILER)?)?;
            is_by(&ED25519, &key.public_key().0, &of_device(key.application(), trailer, data), bytes)
        }
        (KeyData::Ecdsa(EcdsaPublicKey::NistP256(key)), Algorithm::Ecdsa { .. }) => {
            is_by(&ECDSA_P256_SHA256_FIXED, key.as_bytes(), data, &fixed::<32>(bytes)?)
        }
        (KeyData::Ecdsa(EcdsaPublicKey::NistP384(key)), Algorithm::Ecdsa { .. }) => {
            is_by(&ECDSA_P384_SHA384_FIXED, key.as_bytes(), data, &fixed::<48>(bytes)?)
        }
        (KeyData::SkEcdsaSha2NistP256(key), Algorithm::SkEcdsaSha2NistP256) => {
            let (bytes, trailer) = bytes.split_at_checked(bytes.len().checked_sub(TRAILER)?)?;
            let data = of_device(key.application(), trailer, data);
            is_by(&ECDSA_P256_SHA256_FIXED, key.ec_point().as_bytes(), &data, &fixed::<32>(bytes)?)
        }
        (KeyData::Rsa(key), Algorithm::Rsa { hash: Some(hash) }) => {
            let algorithm = match hash {
                HashAlg::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
                HashAlg::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
                _ => return None,
            };
            let (n, e) = (key.n.as_positive_bytes()?, key.e.as_positive_bytes()?);
            RsaPublicKeyComponents { n, e }.verify(algorithm, data, bytes).is_ok()
        }
        _ => return None,
    };
    Some(holds)
}

fn is_by(algorithm: &'static dyn VerificationAlgorithm, key: &[u8], data: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(algorithm, key).verify(data, signature).is_ok()
}

/// Returns the bytes that a FIDO device signs: it sees only hashes, and adds its flags and its counter.
fn of_device(application: &str, trailer: &[u8], data: &[u8]) -> Vec<u8> {
    [&Sha256::digest(application)[..], trailer, &Sha256::digest(data)[..]].concat()
}

/// Converts `r` and `s` of an ECDSA signature, each preceded by its length, to numbers of one fixed length.
fn fixed<const N: usize>(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut both = Vec::with_capacity(2 * N);
    let mut rest = bytes;
    for _ in 0..2 {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let (number, behind) = behind.split_at_checked(u32::from_be_bytes(*length).try_into().ok()?)?;
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        both.resize(both.len() + N.checked_sub(number.len())?, 0);
        both.extend_from_slice(number);
        rest = behind;
    }
    rest.is_empty().then_some(both)
}

/// Tells whether a line of a file of public keys holds this signer's key.
#[must_use]
pub fn is_of(signer: &Signer, public_key: &str) -> bool {
    PublicKey::from_openssh(public_key.trim()).is_ok_and(|key| self::signer(&key) == *signer)
}

/// Refuses a signer whose key is not among these public keys, one on a line.
pub(crate) fn is_among(signer: &Signer, public_keys: &str) -> Result<(), String> {
    if public_keys.lines().any(|key| is_of(signer, key)) {
        return Ok(());
    }
    Err(format!("the signature is by {}, which is none of the keys that were named", signer.fingerprint))
}

pub(super) fn signer(key: &PublicKey) -> Signer {
    let public_key = PublicKey::from(key.key_data().clone());
    Signer {
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        public_key: public_key.to_openssh().expect("a key that was read can be written"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair as _};
    use ssh_key::public::{Ed25519PublicKey, SkEd25519};
    use ssh_key::{LineEnding, Signature};

    use super::*;

    /// Returns a key pair for tests.
    fn pair(seed: u8) -> (Ed25519KeyPair, Ed25519PublicKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public = Ed25519PublicKey::try_from(pair.public_key().as_ref()).unwrap();
        (pair, public)
    }

    fn pem(key: KeyData, purpose: Purpose, signature: Signature) -> String {
        let signed = SshSig::new(key, purpose.namespace(), HashAlg::Sha512, signature);
        signed.and_then(|signed| signed.to_pem(LineEnding::LF)).unwrap()
    }

    /// Signs as `ssh-keygen` would, with the key that is made of this seed.
    pub(crate) fn signed(text: &str, purpose: Purpose, seed: u8) -> String {
        let (pair, public) = pair(seed);
        let data = SshSig::signed_data(purpose.namespace(), HashAlg::Sha512, text.as_bytes()).unwrap();
        let signature = Signature::new(Algorithm::Ed25519, pair.sign(&data).as_ref().to_vec()).unwrap();
        pem(KeyData::Ed25519(public), purpose, signature)
    }

    /// Returns the public half of that key, as it stands in files.
    pub(crate) fn public_key(seed: u8) -> String {
        PublicKey::from(KeyData::Ed25519(pair(seed).1)).to_openssh().unwrap()
    }

    #[test]
    fn a_signature_is_of_its_text_for_one_purpose_and_says_whose_it_is() {
        let signature = signed("head\n", Purpose::Head, 7);
        let signer = verify("head\n", Purpose::Head, &signature).unwrap();
        assert!(is_of(&signer, &public_key(7)) && !is_of(&signer, &public_key(8)));
        assert!(matches!(verify("head", Purpose::Head, &signature), Err(SignatureError::Differs { .. })));
        assert!(matches!(verify("head\n", Purpose::Bundle, &signature), Err(SignatureError::OtherPurpose { .. })));
        for broken in ["x", "", &signature.replacen('A', "B", 3), &"x".repeat(LONGEST + 1)] {
            assert!(verify("head\n", Purpose::Head, broken).is_err());
        }
    }

    /// Makes the signature with flags and a counter, as a device does.
    #[test]
    fn the_signature_of_a_fido_key_is_taken_with_what_its_device_adds() {
        let (pair, public) = pair(9);
        let sign = |text: &str, application: &str, trailer: [u8; TRAILER]| {
            let data = SshSig::signed_data("cutover-head", HashAlg::Sha512, text.as_bytes()).unwrap();
            let bytes = pair.sign(&of_device(application, &trailer, &data)).as_ref().to_vec();
            let signature = Signature::new(Algorithm::SkEd25519, [&bytes[..], &trailer[..]].concat()).unwrap();
            let key = KeyData::SkEd25519(SkEd25519::new(public, "ssh:"));
            pem(key, Purpose::Head, signature)
        };
        let good = sign("head\n", "ssh:", [1, 0, 0, 0, 5]);
        let signer = verify("head\n", Purpose::Head, &good).unwrap();
        assert!(signer.public_key.starts_with("sk-ssh-ed25519@openssh.com "), "{signer:?}");
        assert!(verify("another\n", Purpose::Head, &good).is_err());
        assert!(verify("head\n", Purpose::Head, &sign("head\n", "web:", [1, 0, 0, 0, 5])).is_err());
    }

    #[test]
    fn the_numbers_of_a_signature_are_filled_up_to_their_length_and_nothing_else_is_taken() {
        let both = |one: &[u8], two: &[u8]| -> Vec<u8> {
            [one, two]
                .iter()
                .flat_map(|number| [&u32::try_from(number.len()).unwrap().to_be_bytes()[..], number].concat())
                .collect()
        };
        for (one, two, expected) in [
            (&[1, 2, 3][..], &[4, 5, 6][..], Some(vec![1, 2, 3, 4, 5, 6])),
            // Short numbers, and those with a leading zero that keeps them positive.
            (&[2, 3], &[6], Some(vec![0, 2, 3, 0, 0, 6])),
            (&[0, 0x81, 2, 3], &[0, 0x84], Some(vec![0x81, 2, 3, 0, 0, 0x84])),
            (&[], &[1], Some(vec![0, 0, 0, 0, 0, 1])),
            (&[1, 2, 3, 4], &[1], None),
        ] {
            assert_eq!(fixed::<3>(&both(one, two)), expected, "{one:?} {two:?}");
        }
        let good = both(&[1, 2, 3], &[4, 5, 6]);
        assert_eq!(fixed::<3>(&good[..good.len() - 1]), None, "cut off");
        assert_eq!(fixed::<3>(&[&good[..], &[0]].concat()), None, "something behind it");
        assert_eq!(fixed::<3>(&[255; 8]), None, "a length beyond the end");
    }
}
