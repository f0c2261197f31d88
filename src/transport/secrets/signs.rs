//! What can be seen of a text, in one form for all cases and widths.

use icu_normalizer::ComposingNormalizerBorrowed;

/// A byte of a text as it reads.
pub(super) trait Sign: Copy {
    fn byte(self) -> u8;
    /// A byte that is said by others, from the first to the last of them.
    fn said(byte: u8, first: Self, last: Self) -> Self;
}

/// Alone, which is enough to see that a text says nothing.
impl Sign for u8 {
    fn byte(self) -> u8 {
        self
    }

    fn said(byte: u8, _: Self, _: Self) -> Self {
        byte
    }
}

/// Between what does not belong together; no UTF-8 has it.
pub(super) const NOTHING: u8 = 0xFF;

/// The text's normal form: what can be seen of it, in lower case and without width.
pub(super) fn normal(text: &str) -> Vec<u8> {
    let mut normal = visible(text.as_bytes());
    normal.make_ascii_lowercase();
    normal
}

/// Without whatever takes no room, and in the width in which everybody types.
pub(super) fn visible<S: Sign>(signs: &[S]) -> Vec<S> {
    let mut visible = Vec::with_capacity(signs.len());
    let mut rest = signs;
    while let Some((first, behind)) = rest.split_first() {
        if first.byte().is_ascii() {
            visible.extend(Some(*first).filter(|sign| sign.byte().is_ascii_graphic()));
            rest = behind;
            continue;
        }
        let Some((c, n)) = character(rest) else {
            visible.push(S::said(NOTHING, *first, *first));
            rest = behind;
            continue;
        };
        if !takes_no_room(c) {
            let mut utf8 = [0; 4];
            let plain = NFKC.normalize(c.encode_utf8(&mut utf8)).to_lowercase();
            visible.extend(plain.bytes().map(|byte| S::said(byte, *first, rest[n - 1])));
        }
        rest = &rest[n..];
    }
    visible
}

const NFKC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfkc();

/// The character of more than one byte that signs begin with, and how many of them it takes.
pub(super) fn character<S: Sign>(signs: &[S]) -> Option<(char, usize)> {
    let n = match signs.first()?.byte() {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        // Noise, mostly, which is asked for each of its bytes.
        _ => return None,
    };
    let mut utf8 = [0; 4];
    for (byte, sign) in utf8.iter_mut().zip(signs.get(..n)?) {
        *byte = sign.byte();
    }
    Some((str::from_utf8(&utf8[..n]).ok()?.chars().next()?, n))
}

/// Tells blanks, control characters, and what is there to be overlooked.
///
/// source: Unicode 17.0 `DerivedCoreProperties.txt` (`Default_Ignorable_Code_Point`)
pub(super) fn takes_no_room(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}
