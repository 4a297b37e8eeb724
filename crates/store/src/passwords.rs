use std::fmt;

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use secrecy::{ExposeSecret as _, SecretString};

/// Hashes and checks passwords with Argon2id. Each call takes tens of milliseconds of a core and about 19 MiB with
/// [`Passwords::owasp`]: run it on a thread that may block.
#[derive(Clone)]
pub struct Passwords {
    argon: Argon2<'static>,
    /// Checked when there is no user, so that an unknown email address takes as long as a wrong password.
    decoy: PasswordDigest,
}

/// A password could not be hashed, or the parameters are out of range.
#[derive(Debug, thiserror::Error)]
#[error("could not hash a password: {reason}")]
pub struct PasswordError {
    reason: String,
}

/// What is stored of a password: an Argon2id hash with its salt and parameters. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordDigest(pub(crate) String);

impl fmt::Debug for PasswordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordDigest(..)")
    }
}

impl Passwords {
    /// The parameters that OWASP recommends: 19 MiB, two passes, one lane.
    ///
    /// # Errors
    ///
    /// When the operating system gives no memory or randomness.
    pub fn owasp() -> Result<Self, PasswordError> {
        Self::with_params(19 * 1024, 2, 1)
    }

    /// Other parameters: memory in KiB, passes, lanes. Tests use small ones.
    ///
    /// # Errors
    ///
    /// When Argon2 does not allow them.
    pub fn with_params(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, PasswordError> {
        let params = Params::new(memory_kib, passes, lanes, None).map_err(failed)?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = argon.hash_password(&rand::random::<[u8; 32]>()).map_err(failed)?;
        Ok(Self { argon, decoy: PasswordDigest(decoy.to_string()) })
    }

    /// What to store of this password. Slow on purpose.
    ///
    /// # Errors
    ///
    /// When the operating system gives no memory or randomness.
    pub fn hash(&self, password: &SecretString) -> Result<PasswordDigest, PasswordError> {
        let hash = self.argon.hash_password(password.expose_secret().as_bytes()).map_err(failed)?;
        Ok(PasswordDigest(hash.to_string()))
    }

    /// Whether this is the password. Without a digest the answer is no, after the same work. Slow on purpose.
    #[must_use]
    pub fn verify(&self, password: &SecretString, stored: Option<&PasswordDigest>) -> bool {
        let digest = stored.unwrap_or(&self.decoy);
        let matches =
            self.argon.verify_password(password.expose_secret().as_bytes(), digest.0.as_str()).is_ok();
        matches && stored.is_some()
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("params", self.argon.params()).finish_non_exhaustive()
    }
}

fn failed(error: impl fmt::Display) -> PasswordError {
    PasswordError { reason: error.to_string() }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn cheap() -> Passwords {
        Passwords::with_params(8, 1, 1).unwrap()
    }

    #[test]
    fn only_the_password_itself_matches() {
        let passwords = cheap();
        let digest = passwords.hash(&"correct horse".into()).unwrap();
        assert!(passwords.verify(&"correct horse".into(), Some(&digest)));
        assert!(!passwords.verify(&"wrong horse".into(), Some(&digest)));
        assert!(!passwords.verify(&"correct horse".into(), None));
        assert!(!format!("{digest:?}").contains("argon2"));
    }

    #[test]
    fn the_default_is_argon2id_as_owasp_says_and_the_decoy_costs_the_same() {
        let passwords = Passwords::owasp().unwrap();
        let digest = passwords.hash(&"correct horse".into()).unwrap();
        for hash in [&digest, &passwords.decoy] {
            assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        }
    }
}
