//! `tallyhouse status`: where every table stands.

use std::process::ExitCode;

use anyhow::bail;
use store::Status;
use sync::TableState;

use crate::{
    cli,
    config::Config,
    installation::{open_store, open_warehouse},
    local::Client,
    output::Output,
    updates::{Standing, missed_changes, standings},
};

pub(crate) async fn run(config: Config, options: cli::Status, output: Output) -> anyhow::Result<ExitCode> {
    let name = &options.connection;
    let store = open_store(&config).await;
    let (standings, store) = match (Client::find(&config).await?, store) {
        // Its key may be known to the server only.
        (Some(server), Err(_)) => return tell(&server.status(name).await?, &options, &output),
        (Some(server), Ok(store)) => (server.status(name).await?, store),
        (None, store) => {
            let (store, warehouse) = (store?, open_warehouse(&config)?);
            (standings(&warehouse.reader()?, &store, name).await?, store)
        }
    };
    let connection = store.connection_named(name).await?;
    store.close().await;
    match connection {
        // Tables of one that was deleted can still be there. Where there are none, a name that nobody gave is a mistake.
        None if standings.is_empty() => bail!(
            "there is no connection {name}; `tallyhouse connect stripe --name {name} --api-key-stdin` makes it"
        ),
        None => {}
        Some(connection) => {
            if let Some(trouble) = trouble(&connection.status) {
                output.remark(&format!("tallyhouse: {name}: {trouble}"));
            }
        }
    }
    tell(&standings, &options, &output)
}

fn tell(standings: &[Standing], options: &cli::Status, output: &Output) -> anyhow::Result<ExitCode> {
    let name = &options.connection;
    if options.json {
        output.line(&serde_json::to_string_pretty(standings)?)?;
    } else if standings.is_empty() {
        output.line(&format!("nothing is copied yet; run: tallyhouse sync --connection {name}"))?;
    } else {
        let is_empty = |standing: &&Standing| {
            let is_live = matches!(standing.state, Some(TableState::Live { .. }));
            standing.rows == 0 && is_live && standing.failed.is_none()
        };
        let (empty, told): (Vec<_>, Vec<_>) = standings.iter().partition(is_empty);
        for standing in told {
            output.line(&line(standing))?;
        }
        if !empty.is_empty() {
            let names: Vec<&str> = empty.iter().map(|standing| standing.table.as_str()).collect();
            output.line(&format!("{} empty: {}", names.len(), names.join(", ")))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What keeps all tables from being updated: no line of theirs tells it.
fn trouble(status: &Status) -> Option<String> {
    match status {
        Status::Failed { why } => Some(format!("the last update failed: {why}")),
        Status::ReauthenticationRequired { why } => {
            Some(format!("no update runs until somebody connects again: {why}"))
        }
        Status::Connecting
        | Status::Backfilling { .. }
        | Status::Success
        | Status::Delayed { .. }
        | Status::Partial { .. }
        | Status::Paused => None,
    }
}

fn line(standing: &Standing) -> String {
    let state = match &standing.state {
        None => "waiting".to_owned(),
        Some(TableState::Copying { .. }) => "copying".to_owned(),
        Some(state) if missed_changes(state) => {
            "comparing: changes of 29 days or more may have been missed".to_owned()
        }
        Some(TableState::Comparing { .. }) => "comparing".to_owned(),
        Some(TableState::Live { .. }) => "live".to_owned(),
        Some(TableState::Unavailable { why }) => format!("unavailable: {why}"),
    };
    let missing = standing.missing.as_ref().map(|missing| format!("; {missing}")).unwrap_or_default();
    let failed = standing.failed.as_ref().map(|why| format!("; failed at the last update: {why}"));
    let failed = failed.unwrap_or_default();
    format!("{:32} {:>10} rows  {state}{missing}{failed}", standing.table, standing.rows)
}
