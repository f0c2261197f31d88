//! Quoting for a POSIX shell: every name in a proposed command is quoted here.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::str::Utf8Chunk;

use super::plain::plain;
use super::visible;

/// Quotes a text as one word of a POSIX shell that yields exactly this text. Invisible characters become escapes of `printf`; line
/// breaks at the very end are lost, since command substitution drops those.
#[must_use]
pub(crate) fn shell_word(text: &str) -> String {
    word_of_bytes(text.as_bytes())
}

/// Quotes a path as one word of a POSIX shell. A path that begins with `-` gets a leading `./`; `-` alone is standard
/// input.
#[must_use]
pub(crate) fn shell_path(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    if bytes.starts_with(b"-") && bytes != b"-" {
        word_of_bytes(&[b"./", bytes].concat())
    } else {
        word_of_bytes(bytes)
    }
}

fn word_of_bytes(bytes: &[u8]) -> String {
    let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/,+@".contains(byte);
    match str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && !text.starts_with('-') && bytes.iter().all(safe) => text.to_owned(),
        Ok(text) if plain(text) == text => format!("'{}'", text.replace('\'', "'\\''")),
        Ok(_) | Err(_) => format!(
            "\"$(printf '{}')\"",
            bytes.utf8_chunks().fold(String::new(), |text, chunk| printf_of(text, &chunk))
        ),
    }
}

/// Appends a chunk of a text in the format syntax of `printf`. source: POSIX.1-2024, printf (octal escapes in its format)
fn printf_of(mut text: String, chunk: &Utf8Chunk<'_>) -> String {
    for character in chunk.valid().chars() {
        match character {
            '\'' => text.push_str("'\\''"),
            '%' => text.push_str("%%"),
            '\\' => text.push_str("\\\\"),
            // A blank after a blank is escaped, so that a gap is not taken for the gap between two columns.
            ' ' if text.ends_with(' ') => text.push_str("\\040"),
            _ if !visible::is_visible(character) => {
                octal(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => text.push(character),
        }
    }
    octal(&mut text, chunk.invalid());
    text
}

fn octal(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        _ = write!(text, "\\{byte:03o}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_be_pasted_into_a_shell() {
        assert_eq!(shell_word("vm-1"), "vm-1");
        assert_eq!(shell_word("it's $(x)"), "'it'\\''s $(x)'");
        assert_eq!(shell_word("-rf"), "'-rf'");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("a  b\u{202e}"), "\"$(printf 'a \\040b\\342\\200\\256')\"");
        assert_eq!(shell_path(Path::new("-rf")), "./-rf");
        assert_eq!(shell_path(Path::new("-")), "'-'");
        assert_eq!(shell_path(Path::new("~/a b")), "'~/a b'");
    }
}
