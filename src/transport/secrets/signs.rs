//! Visible characters of a text, in one form for all cases and widths.

use icu_normalizer::ComposingNormalizerBorrowed;

/// Byte of a normalized text.
pub(super) trait Sign: Copy {
    fn byte(self) -> u8;
    /// Makes a byte that stands for others, from the first to the last of them.
    fn said(byte: u8, first: Self, last: Self) -> Self;
}

/// Byte without a place in its text, which is enough to find that a text contains nothing.
impl Sign for u8 {
    fn byte(self) -> u8 {
        self
    }

    fn said(byte: u8, _: Self, _: Self) -> Self {
        byte
    }
}

/// Separator of bytes that do not belong together; no UTF-8 has it.
pub(super) const NOTHING: u8 = 0xFF;

/// Returns a text's normal form: its visible characters, in lower case and in the ordinary width.
pub(super) fn normal(text: &str) -> Vec<u8> {
    let mut normal = visible(text.as_bytes());
    normal.make_ascii_lowercase();
    normal
}

/// Drops invisible characters, and gives the others their ordinary width.
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

/// Returns the character of more than one byte that signs begin with, and the number of its bytes.
pub(super) fn character<S: Sign>(signs: &[S]) -> Option<(char, usize)> {
    let n = match signs.first()?.byte() {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        // ASCII, or a byte that begins no character.
        _ => return None,
    };
    let mut utf8 = [0; 4];
    for (byte, sign) in utf8.iter_mut().zip(signs.get(..n)?) {
        *byte = sign.byte();
    }
    Some((str::from_utf8(&utf8[..n]).ok()?.chars().next()?, n))
}

/// Tells whether a character is a blank, a control character, or invisible.
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
