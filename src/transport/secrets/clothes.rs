//! What a text says under its clothes: letters in another case or width, blanks and characters without width between them,
//! escapes of URLs, JSON and HTML, base64 at any alignment, hexadecimal, and some of these one over the other.
//!
//! A peer that means to give a secret away finds clothes that are not here. What is here is what programs put on by themselves
//! when they repeat a request in an error text.

use std::iter;
use std::ops::Range;

use super::guarded::{Guarded, Shape};
use super::signs::{NOTHING, Sign, character, visible};

/// Characters of a secret in a row that give a part of it away. What is shorter is found only where it is the whole secret.
const PART: usize = 12;
/// The same under base64 and hexadecimal: what so many characters of *those* say.
const PART_OF_BASE64: usize = PART * 3 / 4;
const PART_OF_HEX: usize = 8;
/// A whole secret that is shorter than this is found only as a word of its own: `a` would be found in every text.
const SHORT: usize = 6;
/// Clothes that are taken off one after the other.
const LAYERS: u8 = 3;
/// Readings of one text: one that is made of escapes has more than anybody means.
const MOST_READINGS: u32 = 64;

/// With the place in the text where it is said.
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

/// Places in the text where it says a secret or a part of one, in order, none of which touch.
pub(super) fn places(text: &str, secrets: &[Guarded]) -> Vec<Range<usize>> {
    // Every answer is asked, and next to none of them says anything.
    let mut says_any = false;
    Search::new(secrets, |_: Hit<u8>| says_any = true).under(text.as_bytes(), PART, Clothes::Escapes, LAYERS);
    if !says_any {
        return Vec::new();
    }
    let mut found = Vec::new();
    Search::new(secrets, |hit| found.extend(place_of(&hit, text))).under(&placed(text), PART, Clothes::Escapes, LAYERS);
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
enum Clothes {
    /// None, or such as leave most characters as they are.
    Escapes,
    /// Every character is another one.
    Code,
}

/// Something that says a secret, or a part of one.
struct Hit<S> {
    first: S,
    last: S,
    clothes: Clothes,
    /// The secret is one that counts only as a word of its own.
    is_short: bool,
}

struct Search<'a, F> {
    secrets: &'a [Guarded],
    /// Readings that may still be made.
    n_left: u32,
    tell: F,
}

impl<'a, F> Search<'a, F> {
    fn new(secrets: &'a [Guarded], tell: F) -> Self {
        Self { secrets, n_left: MOST_READINGS, tell }
    }

    fn under<S: Sign>(&mut self, signs: &[S], least: usize, clothes: Clothes, layers: u8)
    where
        F: FnMut(Hit<S>),
    {
        let visible = visible(signs);
        self.compare(&visible, least, clothes);
        if layers == 0 || self.n_left == 0 {
            return;
        }
        self.n_left -= 1;
        for kind in [Escape::Percent, Escape::Backslash, Escape::Entity] {
            if let Some(unescaped) = unescaped(&visible, kind) {
                self.under(&unescaped, least, clothes, layers - 1);
            }
        }
        for offset in 0..4 {
            self.decoded(&from_base64(&visible, offset), PART_OF_BASE64, layers);
        }
        for offset in 0..2 {
            self.decoded(&from_hex(&visible, offset), PART_OF_HEX, layers);
        }
    }

    /// Of what was decoded by chance only that goes on which reads like a text.
    fn decoded<S: Sign>(&mut self, decoded: &[S], least: usize, layers: u8)
    where
        F: FnMut(Hit<S>),
    {
        if !has_room(decoded) {
            return;
        }
        if reads_like_a_text(decoded) {
            self.under(decoded, least, Clothes::Code, layers - 1);
        } else {
            self.compare(&visible(decoded), least, Clothes::Code);
        }
    }

    fn compare<S: Sign>(&mut self, visible: &[S], least: usize, clothes: Clothes)
    where
        F: FnMut(Hit<S>),
    {
        let mut bare = Vec::with_capacity(visible.len());
        bare.extend(visible.iter().copied().filter(|sign| sign.byte().is_ascii_alphanumeric()));
        let (lower, lower_bare) = (lower(visible), lower(&bare));
        for secret in self.secrets {
            let shapes = secret.shapes();
            self.mark(&shapes.visible, visible, &lower, least, clothes);
            if let Some(shape) = shapes.bare() {
                self.mark(shape, &bare, &lower_bare, least, clothes);
            }
        }
    }

    fn mark<S: Sign>(&mut self, shape: &Shape, signs: &[S], lower: &[u8], least: usize, clothes: Clothes)
    where
        F: FnMut(Hit<S>),
    {
        let is_short = shape.len() < SHORT;
        if is_short && clothes == Clothes::Code {
            return;
        }
        let mut at = 0;
        while at < lower.len() {
            let Some(n) = shape.part_at(&lower[at..], least) else {
                at += 1;
                continue;
            };
            (self.tell)(Hit { first: signs[at], last: signs[at + n - 1], clothes, is_short });
            at += n;
        }
    }
}

fn lower<S: Sign>(signs: &[S]) -> Vec<u8> {
    signs.iter().map(|sign| sign.byte().to_ascii_lowercase()).collect()
}

/// The place of what was found. None: it counts only as a word of its own, and is none.
fn place_of(hit: &Hit<Placed>, text: &str) -> Option<Range<usize>> {
    let place = hit.first.from..hit.last.to;
    match hit.clothes {
        Clothes::Escapes => Some(place).filter(|place| !hit.is_short || is_word(place, text)),
        Clothes::Code => Some(whole_code(&place, text)),
    }
}

fn is_word(place: &Range<usize>, text: &str) -> bool {
    let before = text[..place.start].chars().next_back();
    let behind = text[place.end..].chars().next();
    !before.is_some_and(char::is_alphanumeric) && !behind.is_some_and(char::is_alphanumeric)
}

/// The place of a whole code, of which some characters were found: with those beside them.
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

/// Ways of writing a character that would mean something else where it stands. They are taken off one by one: what is an escape
/// of one kind may be plain in another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// Of URLs, and of mails (`=`).
    Percent,
    /// Of JSON, C and shells.
    Backslash,
    /// Of HTML and XML.
    Entity,
}

/// Without the escapes of one kind. None: it has none.
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
        if let Some((said, n)) = escape(&bytes[at..]).filter(|_| begins(bytes[at])) {
            plain.extend(said.bytes().map(|byte| S::said(byte, signs[at], signs[at + n - 1])));
            (at, is_changed) = (at + n, true);
        } else {
            plain.push(signs[at]);
            at += 1;
        }
    }
    is_changed.then_some(plain)
}

/// What an escape says.
enum Said {
    Byte(u8),
    Character(char),
}

impl Said {
    fn bytes(&self) -> impl Iterator<Item = u8> {
        let mut utf8 = [0; 4];
        let n = match self {
            Said::Byte(byte) => {
                utf8[0] = *byte;
                1
            }
            Said::Character(c) => c.encode_utf8(&mut utf8).len(),
        };
        utf8.into_iter().take(n)
    }
}

/// The escape that bytes begin with, and how many of them it has.
fn escape(bytes: &[u8]) -> Option<(Said, usize)> {
    match bytes {
        // Four digits where there are two more would be too many for a byte.
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
        [b'\\', b'n' | b'r' | b't' | b'b' | b'f' | b'v' | b'0', ..] => Some((Said::Character(' '), 2)),
        [b'\\', mark, ..] if mark.is_ascii_punctuation() => Some((Said::Byte(*mark), 2)),
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

fn byte_of(digits: &[u8], base: u32) -> Option<Said> {
    number(digits, base)?.try_into().ok().map(Said::Byte)
}

fn character_of(digits: &[u8], base: u32) -> Option<Said> {
    char::from_u32(number(digits, base)?).map(Said::Character)
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

fn entity(name: &[u8]) -> Option<Said> {
    match name {
        [b'#', b'x' | b'X', digits @ ..] => character_of(digits, 16),
        [b'#', digits @ ..] => character_of(digits, 10),
        _ => {
            let known = ENTITIES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
            known.map(|(_, byte)| Said::Byte(*byte))
        }
    }
}

/// Every run of base64 in either alphabet, decoded from its `offset` on: what begins in the middle of four characters is
/// found by one of four.
fn from_base64<S: Sign>(visible: &[S], offset: usize) -> Vec<S> {
    let mut decoded = Vec::with_capacity(visible.len());
    for run in visible.chunk_by(|one, next| is_sixth(one.byte()) == is_sixth(next.byte())) {
        if run.len() < PART_OF_BASE64 + offset || !is_sixth(run[0].byte()) {
            continue;
        }
        for four in run[offset..].chunks(4) {
            let bits = four.iter().enumerate().fold(0_u32, |bits, (i, sign)| {
                bits | u32::from(SIXTHS[usize::from(sign.byte())].unwrap_or_default()) << (26 - 6 * i)
            });
            let bytes = bits.to_be_bytes().into_iter().zip(four.array_windows());
            decoded.extend(bytes.map(|(byte, [one, next])| S::said(byte, *one, *next)));
        }
        decoded.extend(run.last().map(|last| S::said(NOTHING, *last, *last)));
    }
    decoded
}

fn is_sixth(byte: u8) -> bool {
    SIXTHS[usize::from(byte)].is_some()
}

/// Every answer is read four times by it.
const SIXTHS: [Option<u8>; 256] = {
    let mut sixths = [None; 256];
    let mut byte = 0_u8;
    while byte.is_ascii() {
        sixths[byte as usize] = sixth(byte);
        byte += 1;
    }
    sixths
};

const fn sixth(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// Every run of hexadecimal digits, decoded from its `offset` on. Between two bytes of it may stand what dumps put there.
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
            let Said::Byte(byte) = byte_of(&[high.byte(), low.byte()], 16)? else { return None };
            Some(S::said(byte, *high, *low))
        }));
        decoded.extend(run.last().map(|last| S::said(NOTHING, *last, *last)));
    }
    decoded
}

/// The digits of a run, without the `0x` before each of them.
fn digits_of<S: Sign>(run: &[S]) -> Vec<S> {
    let next = run.iter().skip(1).map(|sign| Some(sign.byte())).chain(iter::once(None));
    let is_digit = |(sign, next): &(&S, Option<u8>)| sign.byte().is_ascii_hexdigit() && *next != Some(b'x');
    let mut digits = Vec::with_capacity(run.len());
    digits.extend(run.iter().zip(next).filter(is_digit).map(|(sign, _)| *sign));
    digits
}

/// Tells that a secret would fit between those bytes that belong to no character: hardly ever in what was no code.
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

/// Tells that bytes are more than the noise that decoding makes of anything.
fn reads_like_a_text<S: Sign>(signs: &[S]) -> bool {
    signs.array_windows().any(|part: &[S; PART]| part.iter().all(|sign| sign.byte().is_ascii_graphic()))
}
