//! What Stripe does not let a key expand: nested lists that are shown only so, and that are missing then.

use std::collections::{BTreeMap, HashMap, HashSet};

use catalog::Resource;
use serde_json::json;
use warehouse::{Batch, Checkpoint, Warehouse};

use crate::{
    SyncError, TableReport,
    follow::{Debts, Following},
    state::owed_checkpoint,
};

/// How the checkpoint begins that says why a table's expansions were refused; the table's name follows.
const REFUSED: &str = "unexpanded/";

/// What is missing of tables since Stripe does not let the key expand it: a sentence, by table.
#[must_use]
pub fn missing_parts(checkpoints: &[Checkpoint]) -> BTreeMap<String, String> {
    let words = |(table, why): (&str, &str)| {
        let resource = catalog::resource(table)?;
        Some((table.to_owned(), refused(resource, why.to_owned()).to_string()))
    };
    refusals(checkpoints).into_iter().filter_map(words).collect()
}

/// Why, by table.
fn refusals(checkpoints: &[Checkpoint]) -> BTreeMap<&str, &str> {
    checkpoints
        .iter()
        .filter_map(|Checkpoint { key, value }| {
            Some((key.strip_prefix(REFUSED)?, value.as_ref()?.get("why")?.as_str()?))
        })
        .collect()
}

fn refused(resource: &'static Resource, why: String) -> SyncError {
    SyncError::Unexpanded { table: resource.table.name, properties: resource.expand.join(", "), why }
}

/// What Stripe's answers say of expansions, by table. A refusal counts for as long as this is kept.
#[derive(Debug, Default)]
pub(crate) struct Expansions {
    refused: HashMap<&'static str, String>,
    granted: HashSet<&'static str>,
}

/// What is known of a table's.
pub(crate) enum Expansion {
    /// Stripe refuses it, for this reason.
    Refused(String),
    /// Stripe shows it.
    Granted,
    /// It was not asked for.
    Unknown,
}

impl Expansions {
    pub(crate) fn refuse(&mut self, table: &'static str, why: String) {
        self.refused.insert(table, why);
    }

    pub(crate) fn grant(&mut self, table: &'static str) {
        self.granted.insert(table);
    }

    pub(crate) fn is_refused(&self, table: &str) -> bool {
        self.refused.contains_key(table)
    }

    pub(crate) fn of(&self, table: &str) -> Expansion {
        match self.refused.get(table) {
            Some(why) => Expansion::Refused(why.clone()),
            None if self.granted.contains(table) => Expansion::Granted,
            None => Expansion::Unknown,
        }
    }
}

impl<W: Warehouse> Following<'_, W> {
    /// Says of each table what is missing of it since Stripe refuses to expand it, and keeps that until Stripe does: then
    /// the whole table is owed, for nothing else tells which rows lack something.
    pub(crate) async fn note_expansions(
        &self,
        tables: &mut [TableReport],
        owed: &mut Debts,
    ) -> Result<(), SyncError> {
        let checkpoints = self.changes.warehouse.checkpoints(self.changes.schema).await?;
        let held = refusals(&checkpoints);
        let mut batch = Batch::of(self.changes.schema);
        for report in tables {
            let Some(resource) = catalog::resource(report.table).filter(|asked| !asked.expand.is_empty())
            else {
                continue;
            };
            let key = format!("{REFUSED}{}", report.table);
            let held = held.get(report.table).copied();
            let missing = match (self.cycle.fetch.expansion(report.table), held) {
                (Expansion::Refused(why), Some(held)) if why == held => Some(why),
                (Expansion::Refused(why), _) => {
                    batch.checkpoints.push(Checkpoint { key, value: Some(json!({ "why": &why })) });
                    Some(why)
                }
                (Expansion::Granted, Some(_)) => {
                    let debt = owed.entry(report.table.to_owned()).or_default();
                    debt.all = true;
                    batch.checkpoints.push(owed_checkpoint(report.table, Some(debt))?);
                    batch.checkpoints.push(Checkpoint { key, value: None });
                    None
                }
                (Expansion::Unknown, Some(why)) => Some(why.to_owned()),
                (Expansion::Granted | Expansion::Unknown, None) => None,
            };
            if let Some(why) = missing {
                report.note(refused(resource, why));
            }
        }
        if !batch.checkpoints.is_empty() {
            self.changes.warehouse.apply(batch).await?;
        }
        Ok(())
    }
}
