//! What the configuration names, opened: the store, the warehouse, Stripe.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, sync::Arc};

use anyhow::Context;
use secrecy::SecretString;
use store::Store;
use stripe_api::{Clock, Rates, RetryPolicy, Stripe, StripeError};
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

/// How to ask Stripe with `key`.
///
/// # Errors
/// When this machine cannot make TLS connections.
pub fn stripe(
    options: &config::Stripe,
    key: SecretString,
    retry: RetryPolicy,
    clock: Arc<dyn Clock>,
) -> Result<Stripe, StripeError> {
    let rates = Rates {
        per_second: options.requests_per_second,
        per_endpoint: options.requests_per_second_per_endpoint,
        concurrent: options.concurrent_requests,
    };
    let api_url = options.api_url.clone();
    Stripe::new(stripe_api::Config { api_url, key, account: None, rates, retry }, clock)
}

/// Only its owner may look into a folder that is made here: it holds payments and the key that seals credentials.
fn make_folder(config: &Config) -> anyhow::Result<()> {
    let mut builder = DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(&config.data_dir)
        .with_context(|| format!("could not make the data folder {}", config.data_dir.display()))
}
