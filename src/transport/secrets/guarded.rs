//! Secret, and its forms by which it is found in a text that somebody else wrote.

use std::fmt;
use std::sync::{Arc, OnceLock};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::signs;

/// Length in bytes of the parts that are indexed; shorter ones are too common.
const GRAM: usize = 8;

/// Secret that is hidden in whatever a peer says. Clones share it, so that it is in memory once; it is zeroed with the
/// last of them.
#[derive(Clone)]
pub struct Guarded(Arc<Inner>);

struct Inner {
    secret: SecretString,
    forms: OnceLock<NormalForms>,
}

/// Normal forms of a secret.
pub(super) struct NormalForms {
    /// Visible characters, in lower case.
    pub(super) visible: NormalForm,
    /// Letters and digits alone; `None` if it has no other characters.
    bare: Option<NormalForm>,
}

impl NormalForms {
    /// Returns its letters and digits alone; `None` if they are too few to recognize it by.
    pub(super) fn bare(&self) -> Option<&NormalForm> {
        self.bare.as_ref().or(Some(&self.visible)).filter(|form| form.len() >= GRAM)
    }
}

/// Normal form of a secret, with its parts of [`GRAM`] bytes, sorted, and a filter of their hashes. Every answer is searched for
/// them, and a token is long: with one of 3,000 characters a change takes four times the instructions if each part is compared, and
/// 1.5 % more without the filter (benches/README.md, "Instructions").
pub(super) struct NormalForm {
    bytes: Zeroizing<Vec<u8>>,
    grams: Zeroizing<Vec<u64>>,
    /// Filter with one bit for each part, among [`FILTER_BITS`] times as many.
    filter: Zeroizing<Vec<u64>>,
}

/// Bits of the filter for each part: one in eight of all other parts passes, too.
const FILTER_BITS: usize = 8;

impl Guarded {
    #[must_use]
    pub fn new(secret: SecretString) -> Self {
        Self(Arc::new(Inner { secret, forms: OnceLock::new() }))
    }

    #[must_use]
    pub fn expose_secret(&self) -> &str {
        self.0.secret.expose_secret()
    }

    pub(super) fn forms(&self) -> &NormalForms {
        self.0.forms.get_or_init(|| {
            let visible = NormalForm::new(signs::normal(self.expose_secret()));
            let bare: Vec<u8> = visible.bytes.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
            let bare = (bare.len() < visible.bytes.len()).then(|| NormalForm::new(bare));
            NormalForms { visible, bare }
        })
    }
}

impl From<SecretString> for Guarded {
    fn from(secret: SecretString) -> Self {
        Self::new(secret)
    }
}

impl From<&str> for Guarded {
    fn from(secret: &str) -> Self {
        Self::new(SecretString::from(secret))
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl NormalForm {
    fn new(bytes: Vec<u8>) -> Self {
        let bytes = Zeroizing::new(bytes);
        let mut grams = Zeroizing::new(Vec::with_capacity(bytes.len()));
        grams.extend(bytes.array_windows().map(|gram: &[u8; GRAM]| u64::from_le_bytes(*gram)));
        grams.sort_unstable();
        grams.dedup();
        let mut filter = Zeroizing::new(vec![0; (grams.len() * FILTER_BITS).div_ceil(64).next_power_of_two()]);
        for gram in grams.iter() {
            let (word, bit) = filter_bit(*gram, filter.len());
            filter[word] |= bit;
        }
        Self { bytes, grams, filter }
    }

    fn has(&self, gram: u64) -> bool {
        let (word, bit) = filter_bit(gram, self.filter.len());
        self.filter[word] & bit != 0 && self.grams.binary_search(&gram).is_ok()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the length of the longest part of the secret that a text begins with: at least `least` bytes, or the whole secret
    /// where that is shorter.
    pub(super) fn part_at(&self, text: &[u8], least: usize) -> Option<usize> {
        let least = least.max(GRAM);
        if self.bytes.len() < GRAM {
            return (!self.bytes.is_empty() && text.starts_with(&self.bytes)).then_some(self.bytes.len());
        }
        let (gram, _) = text.split_first_chunk::<GRAM>()?;
        if !self.has(u64::from_le_bytes(*gram)) {
            return None;
        }
        let begins = self.bytes.array_windows().enumerate().filter(|(_, part)| *part == gram);
        let longest = begins.map(|(at, _)| common(&self.bytes[at..], text)).max()?;
        (longest >= least.min(self.bytes.len())).then_some(longest)
    }
}

/// Returns the word of a filter of so many words (a power of two), and the bit in it.
fn filter_bit(gram: u64, n_words: usize) -> (usize, u64) {
    // Fibonacci hashing: 2^64 over the golden ratio; the upper bits of the product depend on all bits of the part.
    let hash = gram.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let word = usize::try_from(hash >> 6).expect("26 bits") & (n_words - 1);
    (word, 1 << (hash & 63))
}

fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}
