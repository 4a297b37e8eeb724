//! `tallyhouse status`: where every table stands.

use std::process::ExitCode;

use anyhow::bail;
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
    let standings = match Client::find(&config).await? {
        Some(server) => server.status(name).await?,
        None => {
            let warehouse = open_warehouse(&config)?;
            standings(&warehouse.reader()?, name).await?
        }
    };
    if standings.is_empty() {
        require_connection(&config, name).await?;
    }
    if options.json {
        output.line(&serde_json::to_string_pretty(&standings)?)?;
    } else if standings.is_empty() {
        output.line(&format!("nothing is copied yet; run: tallyhouse sync --connection {name}"))?;
    } else {
        let is_empty = |standing: &&Standing| {
            standing.rows == 0 && matches!(standing.state, Some(TableState::Live { .. }))
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

/// Tables of a connection that was deleted can still be there. Where there are none, a name that nobody gave is a mistake.
async fn require_connection(config: &Config, name: &str) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let found = store.connection_named(name).await?;
    store.close().await;
    if found.is_none() {
        bail!(
            "there is no connection {name}; `tallyhouse connect stripe --name {name} --api-key-stdin` makes it"
        );
    }
    Ok(())
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
    format!("{:32} {:>10} rows  {state}{missing}", standing.table, standing.rows)
}
