//! Search for secrets in a text under common encodings: letters in another case or width, blanks and characters without width
//! between them, escapes of URLs, JSON and HTML, base64 at any alignment, hexadecimal, and some of these one over the other.
//!
//! A peer that means to give a secret away can use an encoding that is not here. Those that are here are applied by programs of
//! themselves when they repeat a request in an error text.

use std::iter;
use std::ops::Range;

use super::guarded::{Guarded, NormalForm};
use super::signs::{NOTHING, Sign, character, visible};

/// Characters of a secret in a row that give a part of it away. A shorter match counts only where it is the whole secret.
const PART: usize = 12;
/// Minimum length of a part in bytes decoded from base64 and from hexadecimal.
const PART_OF_BASE64: usize = PART * 3 / 4;
const PART_OF_HEX: usize = 8;
/// Length below which a whole secret is found only as a word of its own: `a` would be found in every text.
const SHORT: usize = 6;
/// Number of encodings that are removed one after the other.
const LAYERS: u8 = 3;
/// Limit of decodings of one text, since a text made of escapes would have any number.
const MOST_READINGS: u32 = 64;

/// Byte with its range in the original text.
#[derive(Clone, Copy)]
struct Placed {
    byte: u8,
    from: usize,
    to: usize,
}

impl Sign for Placed {
    fn byte(self) -> u8 {
        self.byte
    }

    fn said(byte: u8, first: Self, last: Self) -> Self {
        Self { byte, from: first.from, to: last.to }
    }
}

/// Returns the ranges of a text that contain a secret or a part of one, in order; none of them touch.
pub(super) fn places(text: &str, secrets: &[Guarded]) -> Vec<Range<usize>> {
    // Every answer is searched, and next to none contains any. A first pass without ranges saves 1 % of the instructions of a
    // change (benches/README.md, "Instructions").
    let mut says_any = false;
    SecretSearch::new(secrets, |_: Hit<u8>| says_any = true).under(text.as_bytes(), PART, Encoding::Escapes, LAYERS);
    if !says_any {
        return Vec::new();
    }
    let mut found = Vec::new();
    SecretSearch::new(secrets, |hit| found.extend(place_of(&hit, text))).under(
        &placed(text),
        PART,
        Encoding::Escapes,
        LAYERS,
    );
    found.sort_unstable_by_key(|place| place.start);
    found.dedup_by(|next, before| {
        let touches = next.start <= before.end;
        if touches {
            before.end = before.end.max(next.end);
        }
        touches
    });
    found
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// No encoding, or escapes, which leave most characters as they are.
    Escapes,
    /// Base64 or hexadecimal, which changes every character.
    Code,
}

/// Match of a secret, or of a part of one.
struct Hit<S> {
    first: S,
    last: S,
    encoding: Encoding,
    /// The secret counts only as a word of its own.
    is_short: bool,
}

struct SecretSearch<'a, F> {
    secrets: &'a [Guarded],
    /// Decodings that may still be made.
    n_left: u32,
    tell: F,
}

impl<'a, F> SecretSearch<'a, F> {
    fn new(secrets: &'a [Guarded], tell: F) -> Self {
        Self { secrets, n_left: MOST_READINGS, tell }
    }

    fn under<S: Sign>(&mut self, signs: &[S], least: usize, encoding: Encoding, layers: u8)
    where
        F: FnMut(Hit<S>),
    {
        let visible = visible(signs);
        self.compare(&visible, least, encoding);
        if layers == 0 || self.n_left == 0 {
            return;
        }
        self.n_left -= 1;
        for kind in [Escape::Percent, Escape::Backslash, Escape::Entity] {
            if let Some(unescaped) = unescaped(&visible, kind) {
                self.under(&unescaped, least, encoding, layers - 1);
            }
        }
        for offset in 0..4 {
            self.decoded(&from_base64(&visible, offset), PART_OF_BASE64, layers);
        }
        for offset in 0..2 {
            self.decoded(&from_hex(&visible, offset), PART_OF_HEX, layers);
        }
    }

    /// Compares decoded bytes, and decodes them further only if they read like a text: most were decoded by chance.
    fn decoded<S: Sign>(&mut self, decoded: &[S], least: usize, layers: u8)
    where
        F: FnMut(Hit<S>),
    {
        if !has_room(decoded) {
            return;
        }
        if reads_like_a_text(decoded) {
            self.under(decoded, least, Encoding::Code, layers - 1);
        } else {
            self.compare(&visible(decoded), least, Encoding::Code);
        }
    }

    fn compare<S: Sign>(&mut self, visible: &[S], least: usize, encoding: Encoding)
    where
        F: FnMut(Hit<S>),
    {
        let mut bare = Vec::with_capacity(visible.len());
        bare.extend(visible.iter().copied().filter(|sign| sign.byte().is_ascii_alphanumeric()));
        let (lower, lower_bare) = (lower(visible), lower(&bare));
        for secret in self.secrets {
            let forms = secret.forms();
            self.mark(&forms.visible, visible, &lower, least, encoding);
            if let Some(form) = forms.bare() {
                self.mark(form, &bare, &lower_bare, least, encoding);
            }
        }
    }

    fn mark<S: Sign>(&mut self, form: &NormalForm, signs: &[S], lower: &[u8], least: usize, encoding: Encoding)
    where
        F: FnMut(Hit<S>),
    {
        let is_short = form.len() < SHORT;
        if is_short && encoding == Encoding::Code {
            return;
        }
        let mut at = 0;
        while at < lower.len() {
            let Some(n) = form.part_at(&lower[at..], least) else {
                at += 1;
                continue;
            };
            (self.tell)(Hit { first: signs[at], last: signs[at + n - 1], encoding, is_short });
            at += n;
        }
    }
}

fn lower<S: Sign>(signs: &[S]) -> Vec<u8> {
    signs.iter().map(|sign| sign.byte().to_ascii_lowercase()).collect()
}

/// Returns the range of a match; `None` if it counts only as a word of its own, and is not one.
fn place_of(hit: &Hit<Placed>, text: &str) -> Option<Range<usize>> {
    let place = hit.first.from..hit.last.to;
    match hit.encoding {
        Encoding::Escapes => Some(place).filter(|place| !hit.is_short || is_word(place, text)),
        Encoding::Code => Some(whole_code(&place, text)),
    }
}

fn is_word(place: &Range<usize>, text: &str) -> bool {
    let before = text[..place.start].chars().next_back();
    let behind = text[place.end..].chars().next();
    !before.is_some_and(char::is_alphanumeric) && !behind.is_some_and(char::is_alphanumeric)
}

/// Extends the range of a match inside a code to the whole code.
fn whole_code(place: &Range<usize>, text: &str) -> Range<usize> {
    let bytes = text.as_bytes();
    let is_code = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/-_%".contains(byte);
    let before = bytes[..place.start].iter().rev().take_while(is_code).count();
    let behind = bytes[place.end..].iter().take_while(|byte| is_code(byte) || **byte == b'=').count();
    place.start - before..place.end + behind
}

fn placed(text: &str) -> Vec<Placed> {
    let of = |(from, c): (usize, char)| {
        let to = from + c.len_utf8();
        text.as_bytes()[from..to].iter().map(move |byte| Placed { byte: *byte, from, to })
    };
    text.char_indices().flat_map(of).collect()
}

/// Kinds of escapes. They are removed one kind at a time, since an escape of one kind may be plain text in another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// URLs, and mails (`=`).
    Percent,
    /// JSON, C and shells.
    Backslash,
    /// HTML and XML.
    Entity,
}

/// Removes the escapes of one kind; `None` if there are none.
fn unescaped<S: Sign>(signs: &[S], kind: Escape) -> Option<Vec<S>> {
    let begins = |byte| match kind {
        Escape::Percent => byte == b'%' || byte == b'=',
        Escape::Backslash => byte == b'\\',
        Escape::Entity => byte == b'&',
    };
    if !signs.iter().any(|sign| begins(sign.byte())) {
        return None;
    }
    let bytes: Vec<u8> = signs.iter().map(|sign| sign.byte()).collect();
    let mut plain = Vec::with_capacity(signs.len());
    let (mut at, mut is_changed) = (0, false);
    while at < bytes.len() {
        if let Some((unescaped, n)) = escape(&bytes[at..]).filter(|_| begins(bytes[at])) {
            plain.extend(unescaped.bytes().map(|byte| S::said(byte, signs[at], signs[at + n - 1])));
            (at, is_changed) = (at + n, true);
        } else {
            plain.push(signs[at]);
            at += 1;
        }
    }
    is_changed.then_some(plain)
}

/// Meaning of an escape.
enum Unescaped {
    Byte(u8),
    Character(char),
}

impl Unescaped {
    fn bytes(&self) -> impl Iterator<Item = u8> {
        let mut utf8 = [0; 4];
        let n = match self {
            Unescaped::Byte(byte) => {
                utf8[0] = *byte;
                1
            }
            Unescaped::Character(c) => c.encode_utf8(&mut utf8).len(),
        };
        utf8.into_iter().take(n)
    }
}

/// Returns the escape that the bytes begin with, and its length.
fn escape(bytes: &[u8]) -> Option<(Unescaped, usize)> {
    match bytes {
        // Escapes in braces come first: they have any number of digits.
        [b'%' | b'\\', b'u' | b'U', b'{', rest @ ..] => {
            let n = rest.iter().take(6).take_while(|byte| byte.is_ascii_hexdigit()).count();
            (rest.get(n) == Some(&b'}')).then(|| Some((character_of(&rest[..n], 16)?, n + 4)))?
        }
        [b'%' | b'\\', b'u', rest @ ..] => Some((character_of(rest.get(..4)?, 16)?, 6)),
        [b'\\', b'U', rest @ ..] => Some((character_of(rest.get(..8)?, 16)?, 10)),
        [b'\\', b'x', rest @ ..] => Some((byte_of(rest.get(..2)?, 16)?, 4)),
        [b'\\', rest @ ..] if byte_of(rest.get(..3).unwrap_or_default(), 8).is_some() => {
            Some((byte_of(&rest[..3], 8)?, 4))
        }
        [b'\\', b'n' | b'r' | b't' | b'b' | b'f' | b'v' | b'0', ..] => Some((Unescaped::Character(' '), 2)),
        [b'\\', mark, ..] if mark.is_ascii_punctuation() => Some((Unescaped::Byte(*mark), 2)),
        [b'%', rest @ ..] => Some((byte_of(rest.get(..2)?, 16)?, 3)),
        [b'=', rest @ ..] => {
            let digits = rest.get(..2).filter(|digits| !digits.iter().any(u8::is_ascii_lowercase))?;
            Some((byte_of(digits, 16)?, 3))
        }
        [b'&', rest @ ..] => {
            let n = rest.iter().take(10).position(|byte| *byte == b';')?;
            Some((entity(&rest[..n])?, n + 2))
        }
        _ => None,
    }
}

fn number(digits: &[u8], base: u32) -> Option<u32> {
    let (first, others) = digits.split_first()?;
    let digit = |byte: &u8| char::from(*byte).to_digit(base);
    others.iter().try_fold(digit(first)?, |number, byte| number.checked_mul(base)?.checked_add(digit(byte)?))
}

fn byte_of(digits: &[u8], base: u32) -> Option<Unescaped> {
    number(digits, base)?.try_into().ok().map(Unescaped::Byte)
}

fn character_of(digits: &[u8], base: u32) -> Option<Unescaped> {
    char::from_u32(number(digits, base)?).map(Unescaped::Character)
}

/// source: html.spec.whatwg.org, named character references (those for characters of ASCII)
const ENTITIES: [(&str, u8); 39] = [
    ("amp", b'&'),
    ("apos", b'\''),
    ("ast", b'*'),
    ("bsol", b'\\'),
    ("colon", b':'),
    ("comma", b','),
    ("commat", b'@'),
    ("dollar", b'$'),
    ("equals", b'='),
    ("excl", b'!'),
    ("grave", b'`'),
    ("gt", b'>'),
    ("hat", b'^'),
    ("lbrace", b'{'),
    ("lbrack", b'['),
    ("lcub", b'{'),
    ("lowbar", b'_'),
    ("lpar", b'('),
    ("lsqb", b'['),
    ("lt", b'<'),
    ("midast", b'*'),
    ("nbsp", b' '),
    ("num", b'#'),
    ("percnt", b'%'),
    ("period", b'.'),
    ("plus", b'+'),
    ("quest", b'?'),
    ("quot", b'"'),
    ("rbrace", b'}'),
    ("rbrack", b']'),
    ("rcub", b'}'),
    ("rpar", b')'),
    ("rsqb", b']'),
    ("semi", b';'),
    ("sol", b'/'),
    ("tab", b' '),
    ("underbar", b'_'),
    ("verbar", b'|'),
    ("vert", b'|'),
];

fn entity(name: &[u8]) -> Option<Unescaped> {
    match name {
        [b'#', b'x' | b'X', digits @ ..] => character_of(digits, 16),
        [b'#', digits @ ..] => character_of(digits, 10),
        _ => {
            let known = ENTITIES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
            known.map(|(_, byte)| Unescaped::Byte(*byte))
        }
    }
}

/// Decodes every run of base64 in either alphabet, from its `offset` on: a secret that begins within a group of four characters is
/// found at one of four offsets.
fn from_base64<S: Sign>(visible: &[S], offset: usize) -> Vec<S> {
    let mut decoded = Vec::with_capacity(visible.len());
    for run in visible.chunk_by(|one, next| is_sixth(one.byte()) == is_sixth(next.byte())) {
        if run.len() < PART_OF_BASE64 + offset || !is_sixth(run[0].byte()) {
            continue;
        }
        for four in run[offset..].chunks(4) {
            let bits = four.iter().enumerate().fold(0_u32, |bits, (i, sign)| {
                bits | u32::from(sixth(sign.byte()).unwrap_or_default()) << (26 - 6 * i)
            });
            let bytes = bits.to_be_bytes().into_iter().zip(four.array_windows());
            decoded.extend(bytes.map(|(byte, [one, next])| S::said(byte, *one, *next)));
        }
        decoded.extend(run.last().map(|last| S::said(NOTHING, *last, *last)));
    }
    decoded
}

fn is_sixth(byte: u8) -> bool {
    sixth(byte).is_some()
}

/// Returns the six bits of a base64 digit in either alphabet.
fn sixth(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// Decodes every run of hexadecimal digits, from its `offset` on. Separators of dumps may stand between the bytes.
fn from_hex<S: Sign>(visible: &[S], offset: usize) -> Vec<S> {
    let mut decoded = Vec::with_capacity(visible.len() / 2);
    let is_of_run = |sign: &S| sign.byte().is_ascii_hexdigit() || b":,-x".contains(&sign.byte());
    for run in visible.chunk_by(|one, next| is_of_run(one) == is_of_run(next)) {
        let digits = digits_of(run);
        if digits.len() < 2 * PART_OF_HEX + offset {
            continue;
        }
        let (pairs, _) = digits[offset..].as_chunks();
        decoded.extend(pairs.iter().filter_map(|[high, low]| {
            let Unescaped::Byte(byte) = byte_of(&[high.byte(), low.byte()], 16)? else { return None };
            Some(S::said(byte, *high, *low))
        }));
        decoded.extend(run.last().map(|last| S::said(NOTHING, *last, *last)));
    }
    decoded
}

/// Returns the digits of a run, without the `0x` before each byte.
fn digits_of<S: Sign>(run: &[S]) -> Vec<S> {
    let next = run.iter().skip(1).map(|sign| Some(sign.byte())).chain(iter::once(None));
    let is_digit = |(sign, next): &(&S, Option<u8>)| sign.byte().is_ascii_hexdigit() && *next != Some(b'x');
    let mut digits = Vec::with_capacity(run.len());
    digits.extend(run.iter().zip(next).filter(is_digit).map(|(sign, _)| *sign));
    digits
}

/// Tells whether enough characters in a row are valid for a secret, which is hardly ever so in decoded noise. Searching that noise
/// as well costs 3.5 % of the instructions of a change (benches/README.md, "Instructions").
fn has_room<S: Sign>(signs: &[S]) -> bool {
    let (mut rest, mut n_in_a_row) = (signs, 0);
    while n_in_a_row < SHORT
        && let Some(first) = rest.first()
    {
        let n = if first.byte().is_ascii() { Some(1) } else { character(rest).map(|(_, n)| n) };
        n_in_a_row = n.map_or(0, |n| n_in_a_row + n);
        rest = &rest[n.unwrap_or(1)..];
    }
    n_in_a_row >= SHORT
}

/// Tells whether bytes are more than the noise that decoding makes of any text.
fn reads_like_a_text<S: Sign>(signs: &[S]) -> bool {
    signs.array_windows().any(|part: &[S; PART]| part.iter().all(|sign| sign.byte().is_ascii_graphic()))
}
