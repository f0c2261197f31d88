//! A secret, and what is needed to find it again in a text that somebody else wrote.

use std::fmt;
use std::sync::{Arc, OnceLock};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::clothes;

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
/// takes a dozen steps where a comparison would take thousands.
pub(super) struct Shape {
    bytes: Zeroizing<Vec<u8>>,
    grams: Zeroizing<Vec<u64>>,
}

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
            let visible = Shape::new(clothes::normal(self.expose_secret()));
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
        Self { bytes, grams }
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
        self.grams.binary_search(&u64::from_le_bytes(*gram)).ok()?;
        let begins = self.bytes.array_windows().enumerate().filter(|(_, part)| *part == gram);
        let longest = begins.map(|(at, _)| common(&self.bytes[at..], text)).max()?;
        (longest >= least.min(self.bytes.len())).then_some(longest)
    }
}

fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}
