//! What the configuration names, opened: the store, the warehouse, Stripe.

use std::{
    fs::{self, DirBuilder, Permissions},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, bail};
use secrecy::SecretString;
use store::Store;
use stripe_api::{Clock, KeyKind, Mode, RetryPolicy, Stripe, StripeError};
use warehouse::{DuckDb, DuckOptions};

use crate::config::{self, Config};

/// Opens the connections of the data folder, and makes the folder if need be.
///
/// # Errors
/// A sentence that names the file and what is wrong with it.
pub async fn open_store(config: &Config) -> anyhow::Result<Store> {
    make_folder(config)?;
    Ok(Store::open(&config.store_file(), config.master_key()?).await?)
}

/// Opens the warehouse of the data folder, and makes the folder if need be.
///
/// # Errors
/// A sentence that names the file and what is wrong with it: often another process has it open.
pub fn open_warehouse(config: &Config) -> anyhow::Result<DuckDb> {
    make_folder(config)?;
    let options =
        DuckOptions { memory_limit_mb: config.warehouse.memory_limit_mb, threads: config.warehouse.threads };
    Ok(DuckDb::open(config.warehouse_file(), options)?)
}

/// How to ask Stripe with `key`, as fast as the account's mode allows. A key that does not tell its mode is taken for a
/// sandbox's: too slow harms nobody.
///
/// # Errors
/// When this machine cannot make TLS connections.
pub fn stripe(
    options: &config::Stripe,
    key: SecretString,
    retry: RetryPolicy,
    clock: Arc<dyn Clock>,
) -> Result<Stripe, StripeError> {
    let rates = options.rates(KeyKind::parse(&key).map_or(Mode::Test, |kind| kind.mode));
    let api_url = options.api_url.clone();
    Stripe::new(stripe_api::Config { api_url, key, account: None, rates, retry }, clock)
}

/// Names of what we keep in the data folder begin so.
const OURS: [&str; 3] = ["tallyhouse.", "warehouse.duckdb", "master.key"];

/// Only its owner may look into the data folder: it holds payments and the key that seals credentials.
fn make_folder(config: &Config) -> anyhow::Result<()> {
    let folder = &config.data_dir;
    let mut builder = DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("could not make the data folder {}", folder.display()))?;
    make_private(folder)
}

/// A folder that was there is made private.
fn make_private(folder: &Path) -> anyhow::Result<()> {
    let Some(Open { how, used }) = open_to_others(folder)? else { return Ok(()) };
    let shown = folder.display();
    fs::set_permissions(folder, Permissions::from_mode(0o700))
        .with_context(|| format!("{how}; run `chmod 700 {shown}` as its owner and start again"))?;
    if used {
        tracing::warn!("{how}: made it private (mode 700)");
    }
    Ok(())
}

/// A data folder that others may look into.
pub(crate) struct Open {
    /// A sentence.
    pub(crate) how: String,
    /// Something of ours is in it.
    used: bool,
}

/// Whether others may look into the data folder; nothing is changed.
///
/// # Errors
/// When they may and it is not for us alone: others' folders, such as somebody's home, are not ours to close.
pub(crate) fn open_to_others(folder: &Path) -> anyhow::Result<Option<Open>> {
    let shown = folder.display();
    let failed = || format!("could not look at the data folder {shown}");
    let mode = fs::metadata(folder).with_context(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(None);
    }
    let how = format!("others may look into the data folder {shown} (mode {mode:03o})");
    let mut used = false;
    for entry in fs::read_dir(folder).with_context(failed)? {
        let name = entry.with_context(failed)?.file_name();
        if !OURS.iter().any(|ours| name.as_encoded_bytes().starts_with(ours.as_bytes())) {
            bail!(
                "{how}, which holds {} as well: choose a folder for Tallyhouse alone, or run `chmod 700 {shown}`",
                name.to_string_lossy()
            );
        }
        used = true;
    }
    Ok(Some(Open { how, used }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A data folder with this mode and these files in it, opened.
    async fn opened(mode: u32, files: &[&str]) -> (anyhow::Result<Store>, u32) {
        let parent = tempfile::tempdir().unwrap();
        let data_dir = parent.path().join("data");
        fs::create_dir(&data_dir).unwrap();
        for file in files {
            fs::write(data_dir.join(file), "").unwrap();
        }
        fs::set_permissions(&data_dir, Permissions::from_mode(mode)).unwrap();
        let store = open_store(&Config { data_dir: data_dir.clone(), ..Config::default() }).await;
        (store, fs::metadata(&data_dir).unwrap().permissions().mode() & 0o777)
    }

    #[test]
    fn trap_22_the_keys_mode_says_how_fast_its_account_is_asked() {
        let asks = |key: &str, told| {
            let options = config::Stripe { requests_per_second: told, ..config::Stripe::default() };
            let key = SecretString::from(key.to_owned());
            let clock = Arc::new(crate::clock::SystemClock);
            format!("{:?}", stripe(&options, key, RetryPolicy::default(), clock).unwrap())
        };
        for sandbox in ["rk_test_1", "sk_test_1", "tells_nothing"] {
            assert!(asks(sandbox, None).contains("per_second: 20,"), "{}", asks(sandbox, None));
            assert!(asks(sandbox, Some(60)).contains("per_second: 60,"));
        }
        assert!(asks("rk_live_1", None).contains("per_second: 80,"), "{}", asks("rk_live_1", None));
    }

    #[tokio::test]
    async fn a_folder_for_us_alone_is_made_private() {
        for (mode, files) in
            [(0o755, &[][..]), (0o770, &["tallyhouse.toml"]), (0o701, &["warehouse.duckdb.wal"])]
        {
            let (store, after) = opened(mode, files).await;
            store.unwrap();
            assert_eq!(after, 0o700, "from {mode:o}");
        }
    }

    #[tokio::test]
    async fn an_open_folder_that_holds_other_things_is_refused_and_left_as_it_is() {
        let (store, after) = opened(0o755, &["master.key.old", "thesis.tex"]).await;
        let said = format!("{:#}", store.unwrap_err());
        assert!(said.contains("holds thesis.tex as well") && said.contains("chmod 700"), "{said}");
        assert_eq!(after, 0o755);
        opened(0o700, &["thesis.tex"]).await.0.unwrap();
    }
}
