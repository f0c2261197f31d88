//! Access token, and the cookie that replaces it in a browser.

use std::hint::black_box;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// Shortest token, in characters; shorter ones can be guessed.
const SHORTEST: usize = 16;

/// Secret of those who are let in. Only its digest is kept.
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

    /// Makes a token that nobody can guess, and returns it with its text.
    pub(crate) fn random() -> (Self, SecretString) {
        let text = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        (Self::from_text(&text), SecretString::from(text))
    }

    fn from_text(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Compares in constant time: all bytes of two digests are compared, whatever is given.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        let given = <[u8; 32]>::from(Sha256::digest(given));
        let differs = self.0.iter().zip(given).fold(0, |differs, (ours, theirs)| black_box(differs | (ours ^ theirs)));
        differs == 0
    }
}

/// Validity of a cookie: a night, and the morning after.
const LASTS: Duration = Duration::from_hours(12);

/// Maker of the cookies that browsers get in exchange for the link's token, for as long as this process lives.
///
/// A browser sends the cookies of this host to every port of it, and so to a page that another user of this machine serves there.
/// A cookie is therefore valid only for the user for whom it was made, and for one night.
pub(super) struct CookieMaker {
    /// Name of the cookie, different in every process: a cookie kept from another one is no wrong guess.
    name: String,
    key: SecretString,
    began: Instant,
}

/// Validity of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cookie {
    Good,
    /// Valid once, but expired.
    Old,
    Bad,
}

impl CookieMaker {
    pub(super) fn new(port: u16) -> Self {
        let name = format!("cutover-{port}-{:08x}", rand::random::<u32>());
        Self { name, key: Token::random().1, began: Instant::now() }
    }

    /// Makes a cookie for this user of this machine, which no script can read and no request from another site carries.
    pub(super) fn cookie(&self, user: Option<u32>) -> String {
        let made = self.began.elapsed().as_secs();
        format!("{}={made}.{}; Path=/; HttpOnly; SameSite=Strict", self.name, self.proof(made, user))
    }

    /// Checks a cookie in a request of this user; `None` for a cookie with another name.
    pub(super) fn is(&self, cookie: &str, user: Option<u32>) -> Option<Cookie> {
        let (name, value) = cookie.trim().split_once('=')?;
        (name == self.name).then(|| self.worth(value, user))
    }

    fn worth(&self, value: &str, user: Option<u32>) -> Cookie {
        let Some((made, proof)) = value.split_once('.') else { return Cookie::Bad };
        let Ok(made) = made.parse() else { return Cookie::Bad };
        if !Token::from_text(&self.proof(made, user)).is(proof.as_bytes()) {
            return Cookie::Bad;
        }
        let age = self.began.elapsed().saturating_sub(Duration::from_secs(made));
        if age < LASTS { Cookie::Good } else { Cookie::Old }
    }

    fn proof(&self, made: u64, user: Option<u32>) -> String {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.key.expose_secret().as_bytes())
            .expect("a key may have any length");
        mac.update(format!("{made} {user:?}").as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
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
        let session = CookieMaker::new(80);
        let cookie = session.cookie(Some(1000));
        let (pair, attributes) = cookie.split_once(';').unwrap();
        assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(session.is(&format!(" {pair}"), Some(1000)), Some(Cookie::Good));
        assert_eq!(session.is(&pair[..pair.len() - 1], Some(1000)), Some(Cookie::Bad));
        for other in [CookieMaker::new(80).cookie(None).as_str(), "theme=dark", "", "="] {
            assert_eq!(session.is(other, None), None, "{other}");
        }
    }

    #[test]
    fn a_cookie_is_good_for_one_user_and_one_night() {
        let mut session = CookieMaker::new(80);
        let pair = |cookie: &str| cookie.split_once(';').unwrap().0.to_owned();
        for user in [Some(1000), Some(0), None] {
            let cookie = pair(&session.cookie(user));
            for other in [Some(1000), Some(0), None] {
                let expected = if other == user { Cookie::Good } else { Cookie::Bad };
                assert_eq!(session.is(&cookie, other), Some(expected), "{user:?} {other:?}");
            }
        }
        let cookie = pair(&session.cookie(None));
        let (name, value) = cookie.split_once('=').unwrap();
        for made in ["", "x.", ".", "99999.", "18446744073709551616."] {
            let proof = value.split_once('.').unwrap().1;
            assert_eq!(session.is(&format!("{name}={made}{proof}"), None), Some(Cookie::Bad), "{made}");
        }
        let Some(earlier) = session.began.checked_sub(LASTS) else { return };
        session.began = earlier;
        assert_eq!(session.is(&cookie, None), Some(Cookie::Old));
    }
}
