//! How far copies have come, in a table of our own.

use std::collections::BTreeMap;

use ::duckdb::Connection;
use serde_json::Value;

use super::apply::Store;
use super::read::json_list;
use crate::{Checkpoint, SchemaName, WarehouseError};

/// Take a schema and a list of keys, and one of their values. There are some hundred: to look through the list for each is less
/// work than to plan a join.
const REMOVE: &str =
    "DELETE FROM tallyhouse.checkpoints WHERE schema_name = ? AND list_contains(?::JSON::VARCHAR[], key)";
const SET: &str =
    "INSERT INTO tallyhouse.checkpoints SELECT ?, unnest(?::JSON::VARCHAR[]), unnest(?::JSON::VARCHAR[])";

pub(super) fn read(connection: &Connection, schema: &SchemaName) -> Result<Vec<Checkpoint>, WarehouseError> {
    let failed =
        |source: ::duckdb::Error| WarehouseError::failed(format!("read the checkpoints of {schema}"), source);
    let text = "SELECT key, value FROM tallyhouse.checkpoints WHERE schema_name = ? ORDER BY key";
    let mut statement = connection.prepare(text).map_err(failed)?;
    let rows =
        statement.query_map([schema.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
    let rows = rows.collect::<Result<Vec<(String, String)>, _>>().map_err(failed)?;
    rows.into_iter()
        .map(|(key, value)| match serde_json::from_str(&value) {
            Ok(value) => Ok(Checkpoint { key, value: Some(value) }),
            Err(source) => {
                Err(WarehouseError::failed(format!("read the checkpoint {key} of {schema}"), source))
            }
        })
        .collect()
}

impl Store<'_> {
    /// Two statements for all, always the same: planning takes longer than what they do. Where a key is set twice, the last one
    /// counts.
    pub(super) fn checkpoints<'a>(
        &self,
        checkpoints: impl Iterator<Item = &'a Checkpoint>,
    ) -> ::duckdb::Result<()> {
        let last: BTreeMap<&str, Option<&Value>> =
            checkpoints.map(|checkpoint| (checkpoint.key.as_str(), checkpoint.value.as_ref())).collect();
        if last.is_empty() {
            return Ok(());
        }
        let schema = self.schema.as_str();
        let keys: Vec<&str> = last.keys().copied().collect();
        self.execute(REMOVE, [schema, &json_list(&keys)])?;
        let set = last.into_iter().filter_map(|(key, value)| Some((key, value?.to_string())));
        let (keys, values): (Vec<&str>, Vec<String>) = set.unzip();
        if !keys.is_empty() {
            self.execute(SET, [schema, &json_list(&keys), &json_list(&values)])?;
        }
        Ok(())
    }
}
