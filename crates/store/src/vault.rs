use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha2::{Digest as _, Sha256};

/// The key that seals every secret of the store. Never shown by `Debug`; wiped from memory when dropped.
#[derive(Debug)]
pub struct MasterKey(SecretBox<[u8; 32]>);

/// Why a key could not be had, or a secret not sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The key file could not be read or made.
    #[error("could not read or make the key file {path}")]
    KeyFile {
        /// The key file.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// Others than the owner may use the key file.
    #[error("others may use the key file {path} (mode {mode:03o}): run `chmod 600 {path}` and start again")]
    KeyFileOpen {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The text is no key.
    #[error("the master key must be 32 bytes as 64 hex digits or as base64")]
    KeyText,
    /// The secret was sealed with another master key.
    #[error(
        "could not open a stored secret: it was sealed with master key {sealed_with}, but the key in use is {in_use}. \
         the master key changed: put the old key back, or connect the account again"
    )]
    KeyChanged {
        /// Id of the key that sealed.
        sealed_with: String,
        /// Id of the key in use.
        in_use: String,
    },
    /// The stored bytes were changed, or belong to another row.
    #[error("could not open a stored secret: it was changed or moved. connect the account again")]
    Damaged,
    /// Encrypting failed.
    #[error("could not seal a secret")]
    Seal,
}

impl MasterKey {
    /// The key in the file `path`; makes the file (mode 0600) with a random key when there is none.
    ///
    /// Two processes that start at once end up with the same key.
    ///
    /// # Errors
    ///
    /// `KeyFileOpen` when others may use the file, `KeyText` when it holds no key, `KeyFile` for the rest.
    pub fn load_or_create(path: &Path) -> Result<Self, VaultError> {
        let failed = |source| VaultError::KeyFile { path: path.to_owned(), source };
        if !path.try_exists().map_err(failed)? {
            create(path).map_err(failed)?;
        }
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(VaultError::KeyFileOpen { path: path.to_owned(), mode });
        }
        let text = SecretString::from(fs::read_to_string(path).map_err(failed)?);
        Self::from_text(text.expose_secret())
    }

    /// A key from 64 hex digits or base64 of 32 bytes; space around it is ignored.
    ///
    /// # Errors
    ///
    /// `KeyText` when it is neither.
    pub fn from_text(text: &str) -> Result<Self, VaultError> {
        let text = text.trim();
        let bytes = hex::decode(text)
            .ok()
            .or_else(|| STANDARD.decode(text).ok())
            .or_else(|| URL_SAFE_NO_PAD.decode(text).ok())
            .ok_or(VaultError::KeyText)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| VaultError::KeyText)?;
        Ok(Self(SecretBox::new(Box::new(bytes))))
    }
}

/// Seals and opens secrets. A sealed secret opens only for the purpose and the row it was sealed for.
pub(crate) struct Vault {
    cipher: XChaCha20Poly1305,
    key_id: [u8; KEY_ID],
}

impl Vault {
    #[expect(clippy::needless_pass_by_value, reason = "the key is taken, so that no copy outlives this call")]
    pub(crate) fn new(key: MasterKey) -> Self {
        let bytes = key.0.expose_secret();
        let mut key_id = [0; KEY_ID];
        for (to, from) in key_id.iter_mut().zip(Sha256::digest(bytes)) {
            *to = from;
        }
        Self { cipher: XChaCha20Poly1305::new(&Key::from(*bytes)), key_id }
    }

    /// The blob is: version, key id, nonce, ciphertext; in base64.
    pub(crate) fn seal(&self, place: &Place<'_>, secret: &SecretString) -> Result<String, VaultError> {
        let nonce: [u8; NONCE] = rand::random();
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: &place.associated_data() };
        let ciphertext = self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| VaultError::Seal)?;
        Ok(STANDARD.encode([&[VERSION], &self.key_id[..], &nonce, &ciphertext].concat()))
    }

    pub(crate) fn open(&self, place: &Place<'_>, sealed: &str) -> Result<SecretString, VaultError> {
        let blob = STANDARD.decode(sealed).map_err(|_| VaultError::Damaged)?;
        let (&version, rest) = blob.split_first().ok_or(VaultError::Damaged)?;
        let (key_id, rest) = rest.split_first_chunk::<KEY_ID>().ok_or(VaultError::Damaged)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE>().ok_or(VaultError::Damaged)?;
        if version != VERSION {
            return Err(VaultError::Damaged);
        }
        if *key_id != self.key_id {
            return Err(VaultError::KeyChanged {
                sealed_with: hex::encode(key_id),
                in_use: hex::encode(self.key_id),
            });
        }
        let payload = Payload { msg: ciphertext, aad: &place.associated_data() };
        let plain = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| VaultError::Damaged)?;
        String::from_utf8(plain).map(SecretString::from).map_err(|_| VaultError::Damaged)
    }
}

/// Where a sealed secret rests.
pub(crate) struct Place<'a> {
    pub(crate) purpose: &'static str,
    pub(crate) row: &'a str,
}

impl Place<'_> {
    /// Unambiguous, as no purpose holds a zero byte.
    fn associated_data(&self) -> Vec<u8> {
        [&[VERSION], self.purpose.as_bytes(), &[0], self.row.as_bytes()].concat()
    }
}

const VERSION: u8 = 1;
const KEY_ID: usize = 8;
const NONCE: usize = 24;

/// Written whole under another name and then linked, so that nobody reads half a key and the first one wins.
fn create(path: &Path) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", hex::encode(rand::random::<[u8; 8]>())));
    let text = SecretString::from(format!("{}\n", hex::encode(rand::random::<[u8; 32]>())));
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft)?;
    let written = file
        .write_all(text.expose_secret().as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    sync_folder(path)
}

/// A file's name is safe from a power cut only once its folder is: what a lost key sealed could never be opened.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::key;

    const HERE: Place<'static> = Place { purpose: "test", row: "con_1" };

    fn secret() -> SecretString {
        SecretString::from("rk_live_secret")
    }

    #[test]
    fn what_was_sealed_opens_and_is_sealed_differently_each_time() {
        let vault = Vault::new(key(1));
        let sealed = vault.seal(&HERE, &secret()).unwrap();
        assert_eq!(vault.open(&HERE, &sealed).unwrap().expose_secret(), "rk_live_secret");
        assert_ne!(sealed, vault.seal(&HERE, &secret()).unwrap());
    }

    #[test]
    fn a_ciphertext_cannot_be_moved_to_another_row_or_purpose() {
        let vault = Vault::new(key(1));
        let sealed = vault.seal(&HERE, &secret()).unwrap();
        for place in [Place { purpose: "test", row: "con_2" }, Place { purpose: "other", row: "con_1" }] {
            assert!(matches!(vault.open(&place, &sealed), Err(VaultError::Damaged)));
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let vault = Vault::new(key(1));
        let blob = STANDARD.decode(vault.seal(&HERE, &secret()).unwrap()).unwrap();
        for at in 0..blob.len() {
            let mut changed = blob.clone();
            changed[at] ^= 1;
            assert!(vault.open(&HERE, &STANDARD.encode(&changed)).is_err(), "byte {at}");
            assert!(vault.open(&HERE, &STANDARD.encode(&blob[..at])).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn another_key_says_that_the_key_changed() {
        let sealed = Vault::new(key(1)).seal(&HERE, &secret()).unwrap();
        let error = Vault::new(key(2)).open(&HERE, &sealed).unwrap_err();
        assert!(matches!(error, VaultError::KeyChanged { .. }));
        assert!(error.to_string().contains("put the old key back"));
    }

    #[test]
    fn the_key_file_is_made_once_and_must_stay_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let first = MasterKey::load_or_create(&path).unwrap();
        let again = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(first.0.expose_secret(), again.0.expose_secret());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = MasterKey::load_or_create(&path).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }

    #[test]
    fn keys_are_read_from_hex_and_base64_and_never_shown() {
        let hex = MasterKey::from_text(&format!(" {}\n", "ab".repeat(32))).unwrap();
        let base64 = MasterKey::from_text(&STANDARD.encode([0xab; 32])).unwrap();
        assert_eq!(hex.0.expose_secret(), base64.0.expose_secret());
        assert!(!format!("{hex:?}").contains("171"));
        assert!(matches!(MasterKey::from_text("abcd"), Err(VaultError::KeyText)));
    }
}
