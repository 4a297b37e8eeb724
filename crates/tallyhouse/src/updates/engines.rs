//! What cycles and passes of a connection work with. They ask through one Stripe, so that one budget paces them and one
//! clock says which of two answers is newer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::bail;
use secrecy::{ExposeSecret, SecretString};
use store::Connection;
use stripe_api::{RetryPolicy, Stripe};
use sync::{Engine, Options, Progress};
use tokio::sync::watch;
use warehouse::{Batch, Checkpoint, DuckDb, SchemaName, Warehouse};

use super::Parts;
use crate::installation::stripe;

/// The checkpoint that says whose rows a schema holds.
const OWNER: &str = "account";
/// A pass gives up early: others wait behind it, and it is repeated.
const BRIEF: RetryPolicy = RetryPolicy {
    attempts: 3,
    base: std::time::Duration::from_millis(250),
    longest: std::time::Duration::from_secs(2),
};

/// The ways to ask Stripe that are in use, by the connection's name.
#[derive(Default)]
pub(super) struct Engines {
    known: Mutex<HashMap<String, Known>>,
}

struct Known {
    key: SecretString,
    stripe: Stripe,
    /// Its tables are there, the schema is its own and its clock is ahead of what is stored.
    prepared: bool,
}

impl Engines {
    /// For a cycle, which prepares it.
    pub(super) async fn for_cycle(
        &self,
        parts: &Parts,
        connection: &Connection,
    ) -> anyhow::Result<(Engine<DuckDb>, watch::Receiver<Progress>)> {
        let (mut engine, progress) = self.engine(parts, connection).await?;
        claim(parts, &engine.schema, connection).await?;
        // A cycle tells how often it asked; passes beside it ask too.
        engine.stripe = engine.stripe.counting();
        Ok((engine, progress))
    }

    /// For a pass: ready, and less patient.
    pub(super) async fn for_pass(
        &self,
        parts: &Parts,
        connection: &Connection,
    ) -> anyhow::Result<Engine<DuckDb>> {
        let (mut engine, _) = self.engine(parts, connection).await?;
        let prepared = self.known().get(&connection.name).is_some_and(|known| known.prepared);
        if !prepared {
            claim(parts, &engine.schema, connection).await?;
            engine.prepare().await?;
            if let Some(known) = self.known().get_mut(&connection.name) {
                known.prepared = true;
            }
        }
        engine.stripe = engine.stripe.with_retry(BRIEF);
        Ok(engine)
    }

    /// The connection has other credentials, or is gone.
    pub(super) fn forget(&self, name: &str) {
        self.known().remove(name);
    }

    async fn engine(
        &self,
        parts: &Parts,
        connection: &Connection,
    ) -> anyhow::Result<(Engine<DuckDb>, watch::Receiver<Progress>)> {
        let schema: SchemaName = connection.name.parse()?;
        let key = parts.store.credentials(&connection.id).await?;
        let stripe = self.stripe(parts, &connection.name, key)?;
        let (sender, progress) = watch::channel(Progress::starting());
        let warehouse = Arc::clone(&parts.warehouse);
        Ok((Engine { stripe, warehouse, schema, progress: sender, options: Options::default() }, progress))
    }

    fn stripe(&self, parts: &Parts, name: &str, key: SecretString) -> anyhow::Result<Stripe> {
        let mut all = self.known();
        let same = |known: &&Known| known.key.expose_secret() == key.expose_secret();
        if let Some(known) = all.get(name).filter(same) {
            return Ok(known.stripe.clone());
        }
        let stripe = stripe(&parts.stripe, key.clone(), RetryPolicy::default(), Arc::clone(&parts.clock))?;
        let known = Known { key, stripe: stripe.clone(), prepared: false };
        all.insert(name.to_owned(), known);
        Ok(stripe)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A schema holds one account's rows: under a name that was used before, another account's must not mix with them.
async fn claim(parts: &Parts, schema: &SchemaName, connection: &Connection) -> anyhow::Result<()> {
    let Connection { account_id, livemode, name, .. } = connection;
    parts.warehouse.prepare(schema, catalog::tables().collect()).await?;
    let own = serde_json::json!({ "account": account_id, "livemode": livemode });
    let stored = parts.warehouse.checkpoints(schema).await?;
    let holder = stored.into_iter().find(|checkpoint| checkpoint.key == OWNER).and_then(|found| found.value);
    match holder {
        Some(holder) if holder == own => Ok(()),
        Some(holder) => bail!(
            "the schema {name} holds the copy of another account or mode ({holder}); delete this connection and \
             connect under another name"
        ),
        None => {
            let checkpoints = vec![Checkpoint { key: OWNER.to_owned(), value: Some(own) }];
            let (schema, writes, rejects) = (schema.clone(), Vec::new(), Vec::new());
            parts.warehouse.apply(Batch { schema, writes, checkpoints, rejects }).await?;
            Ok(())
        }
    }
}
