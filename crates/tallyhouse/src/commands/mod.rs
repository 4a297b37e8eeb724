//! What the commands do.

mod connect;
mod demo;
mod doctor;
mod query;
mod serve;
mod sim;
mod status;
mod sync;

use std::{future::Future, process::ExitCode};

use anyhow::Context;
use clap::CommandFactory;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::{
    cli::{Cli, Command, ConfigAction, Source},
    config::{Config, Flags},
    output::Output,
};

pub(crate) use query::answer;

/// Some tables failed, or an answer was cut; the rest is done.
pub(crate) const DONE_IN_PART: u8 = 3;

/// Does what the command line says. 0 done, 1 failed, 2 misuse (by the parser), 3 done in part.
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
        Command::Serve => block_on(serve::run(Config::load(&flags)?, output)),
        Command::Demo(options) => block_on(demo::run(flags, options, output)),
        Command::Doctor => block_on(doctor::run(Config::load(&flags)?, output)),
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
