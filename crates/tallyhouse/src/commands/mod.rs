//! What the commands do.

mod connect;
mod query;
mod sim;
mod status;
mod sync;

use std::{future::Future, process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::CommandFactory;
use secrecy::SecretString;
use store::{MasterKey, Store};
use stripe_api::{Rates, RetryPolicy, Stripe};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use warehouse::{DuckDb, DuckOptions};

use crate::{
    cli::{Cli, Command, ConfigAction, Source},
    clock::SystemClock,
    config::{Config, Flags},
    output::Output,
};

/// Some tables failed, the rest is done.
pub(crate) const SOME_TABLES_FAILED: u8 = 3;

/// Does what the command line says. 0 done, 1 failed, 2 misuse (by the parser), 3 some tables failed.
#[must_use]
pub fn run(cli: Cli, output: Output) -> ExitCode {
    log_to_stderr();
    match dispatch(cli, output) {
        Ok(code) => code,
        Err(error) => {
            output.remark(&format!("tallyhouse: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli, output: Output) -> anyhow::Result<ExitCode> {
    let flags = Flags { file: cli.config, data: cli.data };
    match cli.command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tallyhouse", &mut script);
            output.bytes(&script)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Config { action: ConfigAction::Check } => {
            Config::load(&flags)?;
            output.remark("the configuration is in order");
            Ok(ExitCode::SUCCESS)
        }
        Command::Sim(options) => block_on(sim::run(options, output)),
        Command::Connect { source: Source::Stripe(options) } => {
            block_on(connect::run(Config::load(&flags)?, options, output))
        }
        Command::Sync(options) => block_on(sync::run(Config::load(&flags)?, options, output)),
        Command::Status(options) => block_on(status::run(Config::load(&flags)?, options, output)),
        Command::Query(options) => block_on(query::run(Config::load(&flags)?, options, output)),
    }
}

fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("could not start")?;
    runtime.block_on(command)
}

/// Opens the connections of the data folder, and makes the folder if need be.
pub(crate) async fn open_store(config: &Config) -> anyhow::Result<Store> {
    make_folder(config)?;
    let key = MasterKey::load_or_create(&config.key_file())?;
    Ok(Store::open(&config.store_file(), key).await?)
}

/// How to ask Stripe with `key`.
pub(crate) fn stripe(config: &Config, key: SecretString) -> anyhow::Result<Stripe> {
    let options = &config.stripe;
    let rates = Rates {
        per_second: options.requests_per_second,
        per_endpoint: options.requests_per_second_per_endpoint,
        concurrent: options.concurrent_requests,
    };
    let retry = RetryPolicy::default();
    let config = stripe_api::Config { api_url: options.api_url.clone(), key, account: None, rates, retry };
    Ok(Stripe::new(config, Arc::new(SystemClock))?)
}

fn make_folder(config: &Config) -> anyhow::Result<()> {
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("could not make the data folder {}", config.data_dir.display()))
}

/// Opens the warehouse of the data folder, and makes the folder if need be.
pub(crate) fn open_warehouse(config: &Config) -> anyhow::Result<Arc<DuckDb>> {
    make_folder(config)?;
    let options =
        DuckOptions { memory_limit_mb: config.warehouse.memory_limit_mb, threads: config.warehouse.threads };
    Ok(Arc::new(DuckDb::open(config.warehouse_file(), options)?))
}

/// Cancelled when the person presses Ctrl-C or the machine asks the program to end.
pub(crate) fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let stop = CancellationToken::new();
    let asked = stop.clone();
    let wait = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        asked.cancel();
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "it lives as long as the program and has nothing to finish"
    )]
    tokio::spawn(wait);
    Ok(stop)
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("TALLYHOUSE_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
