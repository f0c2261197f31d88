//! The token, and what stands for it in a browser.

use std::hint::black_box;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// Shorter ones can be guessed.
const SHORTEST: usize = 16;

/// What those have to bring who are let in. Only its digest is kept.
pub(crate) struct Token([u8; 32]);

#[derive(Debug, thiserror::Error)]
#[error("the token has to have {SHORTEST} characters or more, none of them a blank")]
pub(crate) struct WeakToken;

impl Token {
    pub(crate) fn new(token: &SecretString) -> Result<Self, WeakToken> {
        let text = token.expose_secret();
        if text.chars().count() < SHORTEST || text.chars().any(char::is_whitespace) {
            return Err(WeakToken);
        }
        Ok(Self::from_text(text))
    }

    /// One that nobody can guess, and the text of it.
    pub(crate) fn random() -> (Self, SecretString) {
        let text = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        (Self::from_text(&text), SecretString::from(text))
    }

    fn from_text(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Takes as long whatever is given: all of two digests is compared.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        let given = <[u8; 32]>::from(Sha256::digest(given));
        let differs = self.0.iter().zip(given).fold(0, |differs, (ours, theirs)| black_box(differs | (ours ^ theirs)));
        differs == 0
    }
}

/// What a browser that came by the link is given instead of the token, for as long as this process lives.
pub(super) struct Session {
    /// Not that of another process: what a browser kept of that one is no wrong guess.
    name: String,
    token: Token,
    text: SecretString,
}

impl Session {
    pub(super) fn new(port: u16) -> Self {
        let (token, text) = Token::random();
        Self { name: format!("cutover-{port}-{:08x}", rand::random::<u32>()), token, text }
    }

    /// A cookie that no script reads, and that comes with no request from another site.
    pub(super) fn cookie(&self) -> String {
        format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.name, self.text.expose_secret())
    }

    /// Whether this is the cookie; none, if it is another one.
    pub(super) fn is(&self, cookie: &str) -> Option<bool> {
        let (name, value) = cookie.trim().split_once('=')?;
        (name == self.name).then(|| self.token.is(value.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_can_be_guessed_is_none() {
        for weak in ["", "short", "0123456789 abcdef"] {
            assert!(Token::new(&SecretString::from(weak)).is_err(), "{weak}");
        }
        let (token, text) = Token::random();
        assert!(text.expose_secret().len() >= 43 && Token::new(&text).is_ok());
        assert!(token.is(text.expose_secret().as_bytes()) && !token.is(b"") && !token.is(b"another"));
        assert_ne!(text.expose_secret(), Token::random().1.expose_secret());
    }

    #[test]
    fn a_cookie_of_another_process_is_no_wrong_one() {
        let session = Session::new(80);
        let cookie = session.cookie();
        let (pair, attributes) = cookie.split_once(';').unwrap();
        assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(session.is(&format!(" {pair}")), Some(true));
        assert_eq!(session.is(&pair[..pair.len() - 1]), Some(false));
        for other in [Session::new(80).cookie().as_str(), "theme=dark", "", "="] {
            assert_eq!(session.is(other), None, "{other}");
        }
    }
}
