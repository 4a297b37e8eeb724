//! `tallyhouse connect stripe`: joins an account by its API key.

use std::{io::Read, process::ExitCode, sync::Arc};

use anyhow::Context;
use secrecy::SecretString;
use store::{How, NewConnection};
use stripe_api::{Clock, KeyKind, Mode, RetryPolicy};
use warehouse::SchemaName;

use crate::{
    cli,
    clock::SystemClock,
    config::Config,
    installation::{open_store, stripe},
    output::Output,
};

/// More than any key is long.
const LONGEST_KEY: u64 = 1_000;

pub(crate) async fn run(
    config: Config,
    options: cli::ConnectStripe,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let name: SchemaName = options.name.parse()?;
    let key = read_key()?;
    let kind = KeyKind::parse(&key)?;
    if kind.mode == Mode::Live && !kind.restricted {
        output.remark("note: this is a live secret key; a restricted read-only key is enough");
    }
    let account = stripe(&config.stripe, key.clone(), RetryPolicy::default(), Arc::new(SystemClock))?
        .account()
        .await
        .context("could not connect to Stripe")?;
    let store = open_store(&config).await?;
    let account_name = account.name.unwrap_or_else(|| account.id.clone());
    let new = NewConnection {
        name: name.as_str().to_owned(),
        account_id: account.id,
        account_name,
        time_zone: account.time_zone,
        livemode: kind.mode == Mode::Live,
        how: How::ApiKey,
        credentials: key,
    };
    let connection = store.insert_connection(&new, SystemClock.now()).await?;
    store.close().await;
    output.line(&format!("Connection Successful! {} is {}", connection.name, connection.account_name))?;
    Ok(ExitCode::SUCCESS)
}

fn read_key() -> anyhow::Result<SecretString> {
    let mut text = String::new();
    let mut input = std::io::stdin().lock().take(LONGEST_KEY);
    input.read_to_string(&mut text).context("could not read the key from standard input")?;
    Ok(SecretString::from(text.trim().to_owned()))
}
