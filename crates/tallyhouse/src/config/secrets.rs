//! Secrets that are settings.

use std::{os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Context, bail};
use secrecy::SecretString;

/// The shortest text that can be one of Stripe's signing secrets: a shorter one could be guessed.
pub(super) const SHORTEST: usize = 16;

/// Whether a text can be one of Stripe's signing secrets.
#[must_use]
pub fn is_signing_secret(text: &str) -> bool {
    text.starts_with("whsec_") && text.len() >= SHORTEST && text.chars().all(|c| c.is_ascii_graphic())
}

/// A secret that is given as it is or in a file.
pub(super) fn secret(
    given: Option<&SecretString>,
    file: Option<&Path>,
    name: &str,
) -> anyhow::Result<Option<SecretString>> {
    one_of(given.is_some(), file.is_some(), name)?;
    let Some(path) = file else { return Ok(given.cloned()) };
    require_private(path, name)?;
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("could not read {}, named by {name}_file", path.display()))?;
    Ok(Some(SecretString::from(text.trim().to_owned())))
}

/// What others of this machine can read is no secret. The master key's file is looked at by the store.
fn require_private(path: &Path, name: &str) -> anyhow::Result<()> {
    let known = std::fs::metadata(path)
        .with_context(|| format!("could not read {}, named by {name}_file", path.display()))?;
    let mode = known.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.display();
        bail!("{name}_file: others may use {path} (mode {mode:03o}): run `chmod 600 {path}` and start again");
    }
    Ok(())
}

pub(super) fn one_of(given: bool, file: bool, name: &str) -> anyhow::Result<()> {
    if given && file {
        bail!("{name} and {name}_file are both set; keep one");
    }
    Ok(())
}
