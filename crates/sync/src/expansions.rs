//! What Stripe does not let a key expand: nested lists that are shown only so, and that are missing then.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{MutexGuard, PoisonError},
};

use catalog::{DecodeError, Resource};
use serde_json::json;
use stripe_api::Answer;
use warehouse::{Batch, Checkpoint, Warehouse};

use crate::{
    Slice, SyncError, TableReport,
    asking::{self, Request},
    change::Changes,
    fetch::{Fetch, Object},
    follow::{Debts, Following},
    state::owed_checkpoint,
};

/// How the checkpoint begins that says why a table's expansions were refused; the table's name follows.
const REFUSED: &str = "unexpanded/";

/// Why Stripe does not let the key expand them, by table.
pub(crate) fn refusals(checkpoints: &[Checkpoint]) -> BTreeMap<&str, &str> {
    checkpoints
        .iter()
        .filter_map(|Checkpoint { key, value }| {
            Some((key.strip_prefix(REFUSED)?, value.as_ref()?.get("why")?.as_str()?))
        })
        .collect()
}

pub(crate) fn refused(resource: &'static Resource, why: String) -> SyncError {
    SyncError::Unexpanded { table: resource.table.name, properties: resource.expand.join(", "), why }
}

/// What Stripe's answers say of expansions, by table. A refusal counts for as long as this is kept.
#[derive(Debug, Default)]
pub(crate) struct Expansions {
    refused: HashMap<&'static str, String>,
    granted: HashSet<&'static str>,
    /// Those whose list was asked for this alone, and could not be read.
    unsaid: HashSet<&'static str>,
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

impl Fetch {
    /// What Stripe's answers said of a table's expansions.
    pub(crate) fn expansion(&self, table: &str) -> Expansion {
        self.expansions().of(table)
    }

    fn expansions(&self) -> MutexGuard<'_, Expansions> {
        self.expansions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request, without expansions where Stripe refuses them to the table.
    pub(crate) fn allowed(&self, resource: &'static Resource, request: Request) -> Request {
        if self.expansions().is_refused(resource.table.name) { request.plain() } else { request }
    }

    /// A page of a table's list; where Stripe refuses it, asked for once more without expansions, which may be what it
    /// refuses. Only the list speaks for the whole table: an object may be refused for reasons of its own.
    pub(crate) async fn listed<T>(
        &self,
        resource: &'static Resource,
        request: Request,
        mut decode: impl FnMut(&Answer) -> Result<T, DecodeError>,
    ) -> Result<(T, Answer), SyncError> {
        let table = resource.table.name;
        let request = self.allowed(resource, request);
        match self.decoded(&request, &mut decode).await {
            Err(refusal) if refusal.is_unavailable() && request.is_expanded() => {
                let answer = self.decoded(&request.plain(), &mut decode).await?;
                let why = refusal.sentence();
                tracing::warn!(
                    table,
                    why,
                    "Stripe does not let the key expand nested lists of a table; they are not copied"
                );
                self.expansions().refuse(table, why);
                Ok(answer)
            }
            Ok(answer) => {
                if request.is_expanded() {
                    self.expansions().grant(table);
                }
                Ok(answer)
            }
            Err(error) => Err(error),
        }
    }
}

impl<W: Warehouse> Changes<'_, W> {
    /// Asks for one object. Where Stripe refuses that, and refuses to expand the table, it is asked for without expansions.
    ///
    /// # Errors
    /// Where the object alone is refused, that is as good as not read: its row would look as if its nested lists were as new.
    pub(crate) async fn object(&self, resource: &'static Resource, id: &str) -> Result<Object, SyncError> {
        let table = resource.table.name;
        let expands = !resource.expand.is_empty() && !self.fetch.expansions().is_refused(table);
        match self.fetch.object(resource, id).await {
            Err(refusal) if expands && refusal.is_unavailable() => {
                if self.is_refused(resource).await? {
                    self.fetch.object(resource, id).await
                } else {
                    Err(refusal)
                }
            }
            asked => asked,
        }
    }

    /// Whether Stripe refuses to expand the table, after it refused an object: as its list said just now, or before, or says
    /// when it is asked. That is stored before any row that lacks something is: a pass has no end at which it would be.
    async fn is_refused(&self, resource: &'static Resource) -> Result<bool, SyncError> {
        let table = resource.table.name;
        match self.fetch.expansion(table) {
            Expansion::Refused(_) => return Ok(true),
            Expansion::Granted => return Ok(false),
            Expansion::Unknown if self.fetch.expansions().unsaid.contains(table) => return Ok(false),
            Expansion::Unknown => {}
        }
        let checkpoints = self.warehouse.checkpoints(self.schema).await?;
        if let Some(why) = refusals(&checkpoints).get(table) {
            self.fetch.expansions().refuse(table, (*why).to_owned());
            return Ok(true);
        }
        let request = asking::page(resource, &Slice::whole().ask(), false);
        match self.fetch.listed(resource, request, |_| Ok(())).await {
            Ok(_) => {}
            Err(error) if error.concerns_all() => return Err(error),
            Err(error) => {
                tracing::debug!(
                    table,
                    error = error.sentence(),
                    "the list does not say whether it is expanded"
                );
                self.fetch.expansions().unsaid.insert(table);
            }
        }
        let Expansion::Refused(why) = self.fetch.expansion(table) else { return Ok(false) };
        let mut batch = Batch::of(self.schema);
        batch.checkpoints.push(refusal_checkpoint(table, Some(&why)));
        self.store(batch).await?;
        Ok(true)
    }
}

fn refusal_checkpoint(table: &str, why: Option<&str>) -> Checkpoint {
    Checkpoint { key: format!("{REFUSED}{table}"), value: why.map(|why| json!({ "why": why })) }
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
            let held = held.get(report.table).copied();
            let missing = match (self.cycle.fetch.expansion(report.table), held) {
                (Expansion::Refused(why), Some(held)) if why == held => Some(why),
                (Expansion::Refused(why), _) => {
                    batch.checkpoints.push(refusal_checkpoint(report.table, Some(&why)));
                    Some(why)
                }
                (Expansion::Granted, Some(_)) => {
                    let debt = owed.entry(report.table.to_owned()).or_default();
                    debt.all = true;
                    batch.checkpoints.push(owed_checkpoint(report.table, Some(debt))?);
                    batch.checkpoints.push(refusal_checkpoint(report.table, None));
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
