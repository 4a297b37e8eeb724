//! `tallyhouse status`: where every table stands.

use std::process::ExitCode;

use sync::TableState;

use crate::{
    cli,
    config::Config,
    installation::open_warehouse,
    local::Client,
    output::Output,
    updates::{Standing, standings},
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

fn line(standing: &Standing) -> String {
    let state = match &standing.state {
        None => "waiting".to_owned(),
        Some(TableState::Copying { .. }) => "copying".to_owned(),
        Some(TableState::Comparing { .. }) => "comparing".to_owned(),
        Some(TableState::Live { .. }) => "live".to_owned(),
        Some(TableState::Unavailable { why }) => format!("unavailable: {why}"),
    };
    format!("{:32} {:>10} rows  {state}", standing.table, standing.rows)
}
