//! `tallyhouse sync`: one update cycle of one connection, or of each.

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context, bail};
use store::{Connection, RunMark, Status, Store};
use stripe_api::Clock;
use sync::{Engine, Options, Progress, Report, SyncError, TableState};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use warehouse::{DuckDb, SchemaName};

use crate::{
    cli,
    clock::SystemClock,
    commands::{SOME_TABLES_FAILED, open_store, open_warehouse, stop_on_signal, stripe},
    config::Config,
    output::Output,
    progress,
};

/// What the cycles share.
struct Cycles {
    config: Config,
    store: Store,
    warehouse: Arc<DuckDb>,
    stop: CancellationToken,
    output: Output,
}

pub(crate) async fn run(config: Config, options: cli::Sync, output: Output) -> anyhow::Result<ExitCode> {
    let store = open_store(&config).await?;
    let chosen = chosen(&store, options.connection.as_deref()).await?;
    let warehouse = open_warehouse(&config)?;
    let cycles = Cycles { config, store, warehouse, stop: stop_on_signal()?, output };
    let mut failed = 0;
    for connection in &chosen {
        failed += cycles.run(connection).await?;
    }
    cycles.store.close().await;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(SOME_TABLES_FAILED) })
}

async fn chosen(store: &Store, name: Option<&str>) -> anyhow::Result<Vec<Connection>> {
    let mut connections = store.connections().await?;
    if let Some(name) = name {
        connections.retain(|connection| connection.name == name);
        if connections.is_empty() {
            bail!(
                "there is no connection {name}; `tallyhouse connect stripe --name {name} --api-key-stdin` makes it"
            );
        }
    }
    if connections.is_empty() {
        bail!("nothing is connected yet; run `tallyhouse connect stripe --api-key-stdin`");
    }
    Ok(connections)
}

impl Cycles {
    /// One cycle; how many tables failed.
    async fn run(&self, connection: &Connection) -> anyhow::Result<usize> {
        let began_at = SystemClock.now();
        self.store.mark_started(&connection.id, began_at).await?;
        let result = self.cycle(connection).await;
        let status = status(result.as_ref());
        let success = status == Status::Success;
        let brought_rows = result.as_ref().is_ok_and(|report| report.rows() > 0);
        let mark = RunMark { began_at, ended_at: SystemClock.now(), success, brought_rows };
        self.store.mark_ended(&connection.id, mark).await?;
        self.store.set_status(&connection.id, &status).await?;
        let report = result.map_err(|error| anyhow::anyhow!(error.sentence()))?;
        self.tell(&report)?;
        Ok(report.failed().count())
    }

    async fn cycle(&self, connection: &Connection) -> Result<Report, SyncError> {
        let (engine, progress) = match self.engine(connection).await {
            Ok(made) => made,
            Err(error) => return Err(SyncError::Setup(format!("{error:#}"))),
        };
        let cycle = async move { engine.run(&self.stop).await };
        let (report, ()) = tokio::join!(cycle, progress::show(progress, self.output));
        report
    }

    async fn engine(
        &self,
        connection: &Connection,
    ) -> anyhow::Result<(Engine<DuckDb>, watch::Receiver<Progress>)> {
        let schema: SchemaName = connection.name.parse()?;
        let key = self.store.credentials(&connection.id).await.context("could not open the credentials")?;
        let stripe = stripe(&self.config, key)?;
        let tables = catalog::resources().iter().map(|resource| resource.table.name);
        let (sender, progress) = watch::channel(Progress::starting(tables));
        let warehouse = Arc::clone(&self.warehouse);
        Ok((Engine { stripe, warehouse, schema, progress: sender, options: Options::default() }, progress))
    }

    fn tell(&self, report: &Report) -> anyhow::Result<()> {
        for table in &report.tables {
            let said = match &table.outcome {
                Ok(TableState::Live { .. } | TableState::Copying { .. }) => {
                    format!("{:>10} rows", table.rows)
                }
                Ok(TableState::Unavailable { why }) => format!("unavailable: {why}"),
                Err(error) => format!("failed: {}", error.sentence()),
            };
            self.output.line(&format!("{:24} {said}", table.table))?;
        }
        self.output.line(&format!("{} rows in {} requests", report.rows(), report.requests))?;
        Ok(())
    }
}

/// What the connection's status becomes.
fn status(result: Result<&Report, &SyncError>) -> Status {
    match result {
        Ok(report) => {
            let failed: Vec<String> =
                report.failed().map(|(table, error)| format!("{table}: {}", error.sentence())).collect();
            if failed.is_empty() { Status::Success } else { Status::Partial { why: failed.join("; ") } }
        }
        Err(error) if error.is_unauthorized() => Status::ReauthenticationRequired { why: error.sentence() },
        Err(error) => Status::Failed { why: error.sentence() },
    }
}
