//! `tallyhouse status`: where every table stands.

use std::process::ExitCode;

use serde::Serialize;
use warehouse::{SchemaName, Warehouse};

use crate::{cli, commands::open_warehouse, config::Config, output::Output};

#[derive(Serialize)]
struct Line {
    table: &'static str,
    rows: u64,
    state: serde_json::Value,
}

pub(crate) async fn run(config: Config, options: cli::Status, output: Output) -> anyhow::Result<ExitCode> {
    let schema: SchemaName = options.connection.parse()?;
    let warehouse = open_warehouse(&config)?;
    let checkpoints = warehouse.checkpoints(&schema).await?;
    let mut lines = Vec::new();
    for resource in catalog::resources() {
        let table = resource.table;
        let key = format!("table/{}", table.name);
        let stored = checkpoints.iter().find(|checkpoint| checkpoint.key == key);
        let Some(state) = stored.and_then(|checkpoint| checkpoint.value.clone()) else { continue };
        lines.push(Line { table: table.name, rows: warehouse.count(&schema, table).await?, state });
    }
    if options.json {
        output.line(&serde_json::to_string_pretty(&lines)?)?;
    } else if lines.is_empty() {
        output.line(&format!(
            "nothing is copied yet; run: tallyhouse sync --connection {}",
            options.connection
        ))?;
    } else {
        for line in &lines {
            let state = line.state.get("state").and_then(serde_json::Value::as_str).unwrap_or("unknown");
            output.line(&format!("{:24} {:>10} rows  {state}", line.table, line.rows))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
