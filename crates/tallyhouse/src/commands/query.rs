//! `tallyhouse query`: one SELECT over the warehouse.

use std::process::ExitCode;

use anyhow::Context;
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use reports::grouped;
use serde_json::{Map, Value as Json};
use warehouse::{QueryTable, Reader, Value};

use crate::{
    cli::{self, Format},
    commands::DONE_IN_PART,
    config::Config,
    installation::open_warehouse,
    local::{Answered, Ask, Client},
    output::Output,
};

/// Rows that are printed at most, where they do not take too much memory before; a Parquet file has no limit.
const MOST: usize = 1_000_000;

pub(crate) async fn run(config: Config, options: cli::Query, output: Output) -> anyhow::Result<ExitCode> {
    let path =
        options.output.map(std::path::absolute).transpose().context("could not tell the working folder")?;
    let ask = Ask { sql: options.sql, format: options.format, output: path };
    let answered = match Client::find(&config).await? {
        Some(server) => server.query(&ask).await?,
        None => answer(&open_warehouse(&config)?.reader()?, &ask).await?,
    };
    output.bytes(answered.text.as_bytes())?;
    if !answered.truncated {
        return Ok(ExitCode::SUCCESS);
    }
    let rows = grouped(u64::try_from(answered.rows).unwrap_or(u64::MAX));
    output.remark(&format!(
        "tallyhouse: only the first {rows} rows are shown, because the answer is too large to be held in memory; use \
         --format parquet --output FILE for all of them"
    ));
    Ok(ExitCode::from(DONE_IN_PART))
}

/// Asks the warehouse.
pub(crate) async fn answer(reader: &Reader, ask: &Ask) -> anyhow::Result<Answered> {
    if let Format::Parquet = ask.format {
        let path = ask.output.as_deref().context("--format parquet needs --output FILE")?;
        reader.export_parquet(&ask.sql, path).await?;
        return Ok(Answered { text: String::new(), rows: 0, truncated: false });
    }
    let rows = reader.with_row_limit(MOST).query(&ask.sql, Vec::new()).await?;
    let text = match ask.format {
        Format::Csv => csv(&rows),
        Format::Json => serde_json::to_string_pretty(&objects(&rows))? + "\n",
        Format::Table | Format::Parquet => format!("{}\n", table(&rows)),
    };
    Ok(Answered { text, rows: rows.rows.len(), truncated: rows.truncated })
}

fn table(rows: &QueryTable) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(rows.columns.iter().map(|column| &column.name));
    table.add_rows(rows.rows.iter().map(|row| row.iter().map(text).collect::<Vec<_>>()));
    table
}

fn csv(rows: &QueryTable) -> String {
    let line =
        |fields: Vec<String>| fields.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(",") + "\r\n";
    let head = line(rows.columns.iter().map(|column| column.name.clone()).collect());
    let body = rows.rows.iter().map(|row| line(row.iter().map(text).collect()));
    std::iter::once(head).chain(body).collect()
}

/// A field as RFC 4180 wants it.
fn quoted(field: &str) -> String {
    if field.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

fn objects(rows: &QueryTable) -> Vec<Map<String, Json>> {
    let names = || rows.columns.iter().map(|column| column.name.clone());
    rows.rows.iter().map(|row| names().zip(row.iter().map(json)).collect()).collect()
}

fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => Json::from(*value),
        Value::Integer(value) => Json::from(*value),
        Value::Float(value) => Json::from(*value),
        Value::Decimal(_) | Value::Date(_) | Value::Timestamp(_) | Value::Text(_) => Json::from(text(value)),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Decimal(value) | Value::Text(value) => value.clone(),
        Value::Date(value) => value.to_string(),
        Value::Timestamp(value) => value.format("%Y-%m-%d %H:%M:%S%.f").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use warehouse::ColumnMeta;

    use super::*;

    #[test]
    fn csv_quotes_what_must_be_quoted() {
        let column = |name: &str| ColumnMeta { name: name.to_owned(), type_name: "VARCHAR".to_owned() };
        let rows = QueryTable {
            columns: vec![column("a"), column("b, c")],
            rows: vec![vec![Value::Text("say \"hi\"".to_owned()), Value::Null]],
            truncated: false,
        };
        assert_eq!(csv(&rows), "a,\"b, c\"\r\n\"say \"\"hi\"\"\",\r\n");
    }
}
