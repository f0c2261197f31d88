//! A secret, and what is needed to find it again in a text that somebody else wrote.

use std::fmt;
use std::sync::{Arc, OnceLock};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::signs;

/// Parts shorter than this are too common to say anything.
const GRAM: usize = 8;

/// A secret that is hidden from whatever a peer says. Clones share it, so that it stands in memory once; it is zeroed with the
/// last of them.
#[derive(Clone)]
pub struct Guarded(Arc<Inner>);

struct Inner {
    secret: SecretString,
    shapes: OnceLock<Shapes>,
}

/// Normal forms of a secret.
pub(super) struct Shapes {
    /// Every character that can be seen, in lower case.
    pub(super) visible: Shape,
    /// Its letters and digits alone, where it has others, too.
    bare: Option<Shape>,
}

impl Shapes {
    /// Its letters and digits alone. None: they are too few to know it by.
    pub(super) fn bare(&self) -> Option<&Shape> {
        self.bare.as_ref().or(Some(&self.visible)).filter(|shape| shape.len() >= GRAM)
    }
}

/// One normal form, and its parts of [`GRAM`] bytes in order. They are looked for in every answer, and a token is long: a look-up
/// takes a dozen steps where a comparison would take thousands, and one where a sieve of their hashes lets nothing through.
pub(super) struct Shape {
    bytes: Zeroizing<Vec<u8>>,
    grams: Zeroizing<Vec<u64>>,
    /// One bit of [`SIEVE`] for each part.
    sieve: Zeroizing<Vec<u64>>,
}

/// Bits for each part: one in eight of all others passes, too.
const SIEVE: usize = 8;

impl Guarded {
    #[must_use]
    pub fn new(secret: SecretString) -> Self {
        Self(Arc::new(Inner { secret, shapes: OnceLock::new() }))
    }

    #[must_use]
    pub fn expose_secret(&self) -> &str {
        self.0.secret.expose_secret()
    }

    pub(super) fn shapes(&self) -> &Shapes {
        self.0.shapes.get_or_init(|| {
            let visible = Shape::new(signs::normal(self.expose_secret()));
            let bare: Vec<u8> = visible.bytes.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
            let bare = (bare.len() < visible.bytes.len()).then(|| Shape::new(bare));
            Shapes { visible, bare }
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

impl Shape {
    fn new(bytes: Vec<u8>) -> Self {
        let bytes = Zeroizing::new(bytes);
        let mut grams = Zeroizing::new(Vec::with_capacity(bytes.len()));
        grams.extend(bytes.array_windows().map(|gram: &[u8; GRAM]| u64::from_le_bytes(*gram)));
        grams.sort_unstable();
        grams.dedup();
        let mut sieve = Zeroizing::new(vec![0; (grams.len() * SIEVE).div_ceil(64).next_power_of_two()]);
        for gram in grams.iter() {
            let (word, bit) = hole(*gram, sieve.len());
            sieve[word] |= bit;
        }
        Self { bytes, grams, sieve }
    }

    fn has(&self, gram: u64) -> bool {
        let (word, bit) = hole(gram, self.sieve.len());
        self.sieve[word] & bit != 0 && self.grams.binary_search(&gram).is_ok()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Length of the longest part of the secret that a text begins with: of at least `least` bytes, or the whole secret where
    /// that is shorter.
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

/// The word of a sieve of so many (a power of two), and the bit in it.
fn hole(gram: u64, n_words: usize) -> (usize, u64) {
    // Multiplied by 2^64 over the golden ratio, whose upper bits depend on all of what is multiplied.
    let hash = gram.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let word = usize::try_from(hash >> 6).expect("26 bits") & (n_words - 1);
    (word, 1 << (hash & 63))
}

fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}
