//! What an API key tells by its looks.

use secrecy::{ExposeSecret, SecretString};

/// Whether a key sees real money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Real payments.
    Live,
    /// A sandbox.
    Test,
}

/// What an API key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyKind {
    /// Which payments it sees.
    pub mode: Mode,
    /// It can be limited to reading. A secret key can do everything.
    pub restricted: bool,
}

/// Text that is no usable API key. Never holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// A key for browsers.
    #[error("a publishable key (pk_…) cannot read; use a restricted key (rk_…) with read permissions")]
    Publishable,
    /// Something else.
    #[error("this is no Stripe API key; one begins with rk_live_, rk_test_, sk_live_ or sk_test_")]
    Unknown,
}

impl KeyKind {
    /// Looks at a key.
    ///
    /// # Errors
    /// When it cannot be used for reading.
    pub fn parse(key: &SecretString) -> Result<Self, BadKey> {
        let key = key.expose_secret();
        let known = [
            ("rk_live_", Mode::Live, true),
            ("rk_test_", Mode::Test, true),
            ("sk_live_", Mode::Live, false),
            ("sk_test_", Mode::Test, false),
        ];
        if key.starts_with("pk_") {
            return Err(BadKey::Publishable);
        }
        let plain = key.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        let found = known
            .into_iter()
            .find(|(prefix, ..)| key.starts_with(prefix) && key.len() > prefix.len() && plain);
        found.map(|(_, mode, restricted)| Self { mode, restricted }).ok_or(BadKey::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(key: &str) -> Result<KeyKind, BadKey> {
        KeyKind::parse(&SecretString::from(key.to_owned()))
    }

    #[test]
    fn keys_tell_mode_and_kind() {
        assert_eq!(parse("rk_live_1"), Ok(KeyKind { mode: Mode::Live, restricted: true }));
        assert_eq!(parse("sk_test_1"), Ok(KeyKind { mode: Mode::Test, restricted: false }));
        assert_eq!(parse("pk_test_1"), Err(BadKey::Publishable));
        for bad in ["", "rk_live_", "sk_test_1\nx", "hello"] {
            assert_eq!(parse(bad), Err(BadKey::Unknown), "{bad:?}");
        }
    }
}
