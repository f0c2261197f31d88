//! Text files that people wrote: a byte-order mark is dropped from each of them, and text that is not UTF-8 is reported.
//!
//! An editor, a spreadsheet or a shell writes the mark at the beginning, and nobody sees it. With it a settings file has no first key,
//! a token is another token, and a credentials file has no first section.

use std::borrow::Cow;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;

use encoding_rs::{BIG5, EUC_KR, Encoding, GB18030, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use secrecy::{ExposeSecret, SecretString};

use crate::files;

/// Encoding of a file, as far as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteOrderMark {
    /// Encoding of the text, and the length of the mark before it.
    Of(&'static Encoding, usize),
    /// Four bytes a character, which nobody writes on purpose; no such text is read.
    Utf32,
    None,
}

/// Returns the byte-order mark that a file begins with. That of UTF-32 begins like that of UTF-16, and is tried first.
pub(crate) fn mark(beginning: &[u8]) -> ByteOrderMark {
    match beginning {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => ByteOrderMark::Utf32,
        [0xEF, 0xBB, 0xBF, ..] => ByteOrderMark::Of(UTF_8, 3),
        [0xFF, 0xFE, ..] => ByteOrderMark::Of(UTF_16LE, 2),
        [0xFE, 0xFF, ..] => ByteOrderMark::Of(UTF_16BE, 2),
        [0x84, 0x31, 0x95, 0x33, ..] => ByteOrderMark::Of(GB18030, 4),
        _ => ByteOrderMark::None,
    }
}

/// Reason for which bytes are not the text that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoText {
    #[error("it is UTF-32 text; save it as UTF-8")]
    Utf32,
    /// Offset of the first bad byte.
    #[error("byte {} of it is not UTF-8; save it as UTF-8", .0 + 1)]
    NotUtf8(usize),
    #[error("it is not {} as a whole; save it as UTF-8", .0.name())]
    Not(&'static Encoding),
}

/// Size up to which a file is read; an error for a larger one names it.
#[derive(Clone, Copy)]
pub(crate) struct Bound {
    bytes: u64,
    told: &'static str,
}

/// Bound of files that people write settings, credentials or certificates into.
pub(crate) const OF_TEXTS: Bound = Bound { bytes: 4 * 1024 * 1024, told: "4 MiB" };
/// Bound of a token or a password, less than most files that are named by mistake.
const OF_SECRETS: Bound = Bound { bytes: 16 * 1024, told: "16 KiB" };

/// Reads the text of a regular file of at most 4 MiB.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    text_of(&bytes(path)?)
}

/// Reads the content of a regular file of at most 4 MiB.
pub(crate) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let (file, _) = open(path, OF_TEXTS)?;
    content(file, OF_TEXTS)
}

/// Reads the first line of a regular file of at most 16 KiB, without its line end. Nothing else of a file that was named by
/// mistake is used.
pub(crate) fn first_line_of_secret(path: &Path) -> io::Result<SecretString> {
    let text = secret_of(path)?;
    let line = text.expose_secret().split('\n').next().unwrap_or_default();
    Ok(SecretString::from(line.strip_suffix('\r').unwrap_or(line)))
}

/// Reads a regular file of at most 16 KiB that holds nothing but a secret, without one line break at its end.
pub(crate) fn whole_secret(path: &Path) -> io::Result<SecretString> {
    let text = secret_of(path)?;
    let whole = text.expose_secret();
    let line = whole.strip_suffix('\n').map_or(whole, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(SecretString::from(line))
}

/// Reads a file of secrets. A private key or a certificate, on whichever line it begins, is no token and no password, and is
/// refused.
fn secret_of(path: &Path) -> io::Result<SecretString> {
    let (file, _) = open(path, OF_SECRETS)?;
    let text = SecretString::from(text_of(&content(file, OF_SECRETS)?)?);
    if text.expose_secret().contains("-----BEGIN") {
        let what = "it holds a key or a certificate (-----BEGIN), and not a token or a password";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(text)
}

/// Opens a regular file; returns it with its metadata. A device has no end, and a pipe may wait for a writer that never comes.
pub(crate) fn open(path: &Path, bound: Bound) -> io::Result<(File, Metadata)> {
    let file = files::open::open_at_once(path)?;
    let found = file.metadata()?;
    if found.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !found.is_file() {
        let text = format!("it is a device, a pipe or a socket; only a plain file of at most {} is read", bound.told);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok((file, found))
}

/// Reads all that an open file has, up to a bound.
pub(crate) fn content(file: File, bound: Bound) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(bound.bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bound.bytes {
        let text = format!("it has more than {}, and no more of a file is read", bound.told);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// Decodes bytes, with an error that says what is wrong with them.
pub(crate) fn text_of(bytes: &[u8]) -> io::Result<String> {
    decoded(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Decodes bytes by their byte-order mark, or else as UTF-8.
pub(crate) fn decoded(bytes: &[u8]) -> Result<String, NoText> {
    decoded_as(bytes, UTF_8)
}

/// Decodes bytes by their byte-order mark, or else by the encoding `told`.
pub(crate) fn decoded_as(bytes: &[u8], told: &'static Encoding) -> Result<String, NoText> {
    let (encoding, len) = match mark(bytes) {
        ByteOrderMark::Of(encoding, len) => (encoding, len),
        ByteOrderMark::Utf32 => return Err(NoText::Utf32),
        ByteOrderMark::None => (told, 0),
    };
    let text = &bytes[len..];
    if encoding == UTF_8 {
        return match str::from_utf8(text) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(NoText::NotUtf8(len + error.valid_up_to())),
        };
    }
    let decoded = encoding.decode_without_bom_handling_and_without_replacement(text);
    decoded.map(Cow::into_owned).ok_or(NoText::Not(encoding))
}

/// Decodes the beginning of a text, with replacements for what is not valid.
pub(crate) fn glimpse(beginning: &[u8], told: &'static Encoding) -> String {
    let (encoding, len) = match mark(beginning) {
        ByteOrderMark::Of(encoding, len) => (encoding, len),
        ByteOrderMark::Utf32 | ByteOrderMark::None => (told, 0),
    };
    encoding.decode_without_bom_handling(&beginning[len..]).0.into_owned()
}

/// Describes what is wrong with a text that should be TOML, and where: without the line itself, which may hold a secret.
pub(crate) fn not_toml(text: &str, error: &toml::de::Error) -> String {
    let problem = error.message().replace('\n', ", ");
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else { return problem };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: {problem}")
}

/// Names of encodings that people know and the standard's list of labels lacks.
const ALSO: [(&str, &str); 6] = [
    ("cp936", "gbk"),
    ("cp932", "shift_jis"),
    ("cp949", "euc-kr"),
    ("cp950", "big5"),
    ("utf16", "utf-16le"),
    ("utf8", "utf-8"),
];

/// Finds an encoding by its name. source: encoding.spec.whatwg.org (names and labels)
pub(crate) fn encoding(name: &str) -> Result<&'static Encoding, String> {
    let name = name.trim().to_lowercase();
    let label = ALSO.iter().find(|(also, _)| *also == name).map_or(name.as_str(), |(_, label)| label);
    Encoding::for_label_no_replacement(label.as_bytes())
        .ok_or_else(|| format!("`{name}` is no encoding such as gb18030, big5, shift_jis, windows-1252 or utf-16le"))
}

/// Returns a text that is not UTF-8 in each encoding that spreadsheets write and that can decode it. Only people can tell which of
/// them is right.
pub(crate) fn as_others_read_it(bytes: &[u8]) -> impl Iterator<Item = (String, String)> {
    [GB18030, BIG5, SHIFT_JIS, EUC_KR, WINDOWS_1252].into_iter().filter_map(|encoding| {
        let text = encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
        // Binary data decodes without an error in some encoding: control and private-use characters give it away.
        let is_none = |c: char| c.is_control() && !c.is_whitespace() || matches!(c, '\u{E000}'..='\u{F8FF}');
        if text.chars().any(is_none) {
            return None;
        }
        Some((encoding.name().to_lowercase(), text.into_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_dropped_and_says_how_the_rest_is_read() {
        let utf16 =
            |bytes_of: fn(u16) -> [u8; 2]| -> Vec<u8> { "\u{FEFF}añ☃".encode_utf16().flat_map(bytes_of).collect() };
        let gb18030 = GB18030.encode("\u{FEFF}añ☃").0.into_owned();
        for bytes in ["añ☃".into(), "\u{FEFF}añ☃".into(), utf16(u16::to_le_bytes), utf16(u16::to_be_bytes), gb18030]
        {
            assert_eq!(decoded(&bytes).as_deref(), Ok("añ☃"), "{bytes:x?}");
        }
        assert_eq!(decoded(b"\xFF\xFE\0\0a\0\0\0"), Err(NoText::Utf32));
        assert_eq!(decoded(b"\xEF\xBB\xBFa\xE9"), Err(NoText::NotUtf8(4)));
        assert_eq!(decoded(b"\xFF\xFEa"), Err(NoText::Not(UTF_16LE)));
        assert_eq!(decoded(b"").as_deref(), Ok(""));
    }

    #[test]
    fn a_text_in_the_encoding_of_a_spreadsheet_is_read_by_the_one_that_it_is_in() {
        for (name, text) in [
            ("gb18030", "服务器"),
            ("big5", "伺服器"),
            ("shift_jis", "サーバー"),
            ("euc-kr", "서버"),
            ("windows-1252", "Größe"),
        ] {
            let bytes = encoding(name).unwrap().encode(text).0;
            let found: Vec<(String, String)> = as_others_read_it(&bytes).collect();
            assert!(found.contains(&(name.to_owned(), text.to_owned())), "{name}: {found:?}");
            for (name, read) in found {
                assert_eq!(encoding(&name).unwrap().encode(&read).0, bytes, "{name} is one that `--encoding` takes");
            }
        }
    }

    #[test]
    fn encodings_go_by_the_names_that_people_know() {
        for (name, is) in [("GB18030", "gb18030"), ("gbk", "GBK"), ("cp936", "GBK"), ("latin1", "windows-1252")] {
            assert_eq!(encoding(name).map(Encoding::name), Ok(is), "{name}");
        }
        for name in ["", "utf-32", "mandarin", "hz-gb-2312"] {
            assert!(encoding(name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_has_no_end_or_may_never_begin_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, link, large) = (dir.path().join("pipe"), dir.path().join("link"), dir.path().join("large"));
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        std::fs::File::create(&large).unwrap().set_len(OF_TEXTS.bytes + 1).unwrap();
        for (path, kind) in [
            (Path::new("/dev/zero"), io::ErrorKind::InvalidInput),
            (&link, io::ErrorKind::InvalidInput),
            (&pipe, io::ErrorKind::InvalidInput),
            (&large, io::ErrorKind::FileTooLarge),
            (dir.path(), io::ErrorKind::IsADirectory),
        ] {
            assert_eq!(read(path).unwrap_err().kind(), kind, "{}", path.display());
        }
        std::fs::File::create(&large).unwrap().set_len(OF_TEXTS.bytes).unwrap();
        assert_eq!(bytes(&large).unwrap().len() as u64, OF_TEXTS.bytes);
    }

    #[test]
    fn of_a_secret_s_file_the_first_line_is_read_and_no_key_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let read = |content: &str| {
            std::fs::write(&path, content).unwrap();
            first_line_of_secret(&path).map(|secret| secret.expose_secret().to_owned())
        };
        for content in ["s3cret", "s3cret\n", "s3cret\r\n", "\u{feff}s3cret\nmore\n"] {
            assert_eq!(read(content).unwrap(), "s3cret", "{content:?}");
        }
        assert_eq!(read("").unwrap(), "");
        for content in ["-----BEGIN OPENSSH PRIVATE KEY-----\nx\n", "x\n-----BEGIN CERTIFICATE-----\n"] {
            assert_eq!(read(content).unwrap_err().kind(), io::ErrorKind::InvalidData, "{content:?}");
        }
        assert_eq!(read(&"x".repeat(16 * 1024)).unwrap().len(), 16 * 1024);
        assert_eq!(read(&"x".repeat(16 * 1024 + 1)).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        let of_a_device = first_line_of_secret(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(of_a_device.kind(), io::ErrorKind::InvalidInput);
        assert!(of_a_device.to_string().contains("16 KiB"));
    }
}
