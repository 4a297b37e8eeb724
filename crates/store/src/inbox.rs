use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Sqlite, Transaction};

use crate::connections::note_data;
use crate::error::{Doing as _, StoreError};
use crate::store::{Store, time};

/// An event that Stripe pushed, to be kept until it is in the warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Whose it is.
    pub connection_id: String,
    /// Stripe's `evt_...`; a repeated delivery has the same.
    pub event_id: String,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// As it came.
    pub body: Vec<u8>,
}

/// An event of the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Stripe's `evt_...`
    pub event_id: String,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// As it came.
    pub body: Vec<u8>,
    /// How often it was looked at in vain.
    pub tries: u32,
    /// When it was first looked at, in microseconds of the clock that stamps Stripe's answers.
    pub looked_at_micros: Option<i64>,
}

/// Events that are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Those that have been so longest, first.
    pub events: Vec<Waiting>,
    /// They are as many as are read at once, so that more may be due.
    pub is_cut: bool,
}

/// An event that could not be applied now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postponed {
    /// Stripe's `evt_...`
    pub event_id: String,
    /// When to look again; never at what cannot be understood, which stays to be shown.
    pub due_at: Option<DateTime<Utc>>,
    /// As [`Waiting::looked_at_micros`].
    pub looked_at_micros: Option<i64>,
    /// Why it waits, in a sentence.
    pub why: String,
    /// The table whose first copy it waits for: [`Store::hasten_deliveries`] makes it due once that may be complete.
    pub awaits_copy_of: Option<String>,
}

/// What becomes of events that were looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// They are in the warehouse, and leave the inbox.
    pub applied: Vec<String>,
    /// They stay, for later or for people to look at.
    pub postponed: Vec<Postponed>,
    /// They leave without being in the warehouse, and are counted with why: others see to them.
    pub handed_over: Vec<Postponed>,
    /// Rows were written for the connection.
    pub wrote: bool,
}

/// What came for a connection and what of it waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inbox {
    /// Deliveries so far, repeated ones too.
    pub received: u64,
    /// When the last one came.
    pub last_received_at: Option<DateTime<Utc>>,
    /// Deliveries that were not for the connection's account and mode.
    pub dropped: u64,
    /// The last of these: when, and why it was dropped.
    pub last_dropped: Option<(DateTime<Utc>, String)>,
    /// Events that could not be applied for days and were left to updates.
    pub handed_over: u64,
    /// The last of these: when, and why it could not be applied.
    pub last_handed_over: Option<(DateTime<Utc>, String)>,
    /// Events that are not in the warehouse yet.
    pub waiting: u64,
    /// When the oldest of them came.
    pub oldest_at: Option<DateTime<Utc>>,
    /// Why some of them wait, each sentence with how many, the most first.
    pub reasons: Vec<(String, u64)>,
    /// Events that cannot be understood: id, when it came, and why.
    pub rejected: Vec<(String, DateTime<Utc>, String)>,
}

/// How much of a connection's events waits to be applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    /// How many.
    pub events: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

impl Store {
    /// Keeps events in one transaction, on disk when this returns; one that is kept already is kept once. Gives the
    /// connections among them that exist: events of others are not kept.
    ///
    /// # Errors
    ///
    /// `Database` when they could not be stored: then none is.
    pub async fn keep_deliveries(&self, deliveries: &[Delivery]) -> Result<HashSet<String>, StoreError> {
        let mut change = self.write().await?;
        let known: HashSet<String> = sqlx::query_scalar("SELECT id FROM connections")
            .fetch_all(&mut *change)
            .await
            .doing("look for the connections of webhooks")?
            .into_iter()
            .collect();
        let ours: Vec<&Delivery> =
            deliveries.iter().filter(|delivery| known.contains(&delivery.connection_id)).collect();
        for some in ours.chunks(ROWS) {
            insert(&mut change, some).await?;
        }
        let mut counts: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for delivery in &ours {
            let (count, last) = counts.entry(&delivery.connection_id).or_default();
            (*count, *last) = (*count + 1, (*last).max(delivery.received_at.timestamp_micros()));
        }
        for (connection_id, (count, last)) in counts {
            note_received(&mut change, connection_id, count, last).await?;
        }
        change.commit().await.doing("store webhooks")?;
        Ok(known)
    }

    /// Counts deliveries that were not for a connection's account and mode.
    ///
    /// # Errors
    ///
    /// `Database` when there is no such connection or it could not be stored.
    pub async fn note_dropped(
        &self,
        connection_id: &str,
        count: u64,
        why: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO webhook_receptions (connection_id, received, dropped, last_dropped_at, last_dropped_why) \
             VALUES ($1, 0, $4, $2, $3) ON CONFLICT (connection_id) DO UPDATE SET \
             dropped = webhook_receptions.dropped + $4, last_dropped_at = $2, last_dropped_why = $3",
        )
        .bind(connection_id)
        .bind(now.timestamp_micros())
        .bind(why)
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .execute(&self.pool)
        .await
        .doing("count a webhook for somebody else")?;
        Ok(())
    }

    /// The connections that have events which are due, by id and name.
    ///
    /// # Errors
    ///
    /// `Database` when they could not be read.
    pub async fn connections_with_deliveries(
        &self,
        now: DateTime<Utc>,
    ) -> Result<Vec<(String, String)>, StoreError> {
        sqlx::query_as(
            "SELECT id, name FROM connections WHERE EXISTS \
             (SELECT 1 FROM webhook_events WHERE connection_id = connections.id AND due_at <= $1)",
        )
        .bind(now.timestamp_micros())
        .fetch_all(&self.pool)
        .await
        .doing("look for webhooks that are due")
    }

    /// How much of a connection's events waits to be applied. What cannot be understood does not: nothing ever takes it out
    /// but [`Store::forget_rejected_deliveries`], which bounds it.
    ///
    /// # Errors
    ///
    /// `Database` when it could not be read.
    pub async fn inbox_level(&self, connection_id: &str) -> Result<Level, StoreError> {
        let (events, bytes): (i64, i64) = sqlx::query_as(
            "SELECT count(*), COALESCE(sum(size), 0) FROM webhook_events \
             WHERE connection_id = $1 AND due_at IS NOT NULL",
        )
        .bind(connection_id)
        .fetch_one(&self.pool)
        .await
        .doing("count the webhooks that wait")?;
        Ok(Level { events: wide(events), bytes: wide(bytes) })
    }

    /// Takes events out of the inbox that cannot be understood and came before `before`, or before a connection's newest
    /// thousand of them; a thousand at a time, so that nobody waits long for it. Gives how many, by connection: none when
    /// no more are left to forget.
    ///
    /// # Errors
    ///
    /// `Database` when it could not be stored: then all stay.
    pub async fn forget_rejected_deliveries(
        &self,
        before: DateTime<Utc>,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        let gone: Vec<String> = sqlx::query_scalar(
            "WITH kept (connection_id, since) AS MATERIALIZED (SELECT id, max($1, COALESCE((SELECT received_at FROM \
             webhook_events WHERE connection_id = connections.id AND due_at IS NULL ORDER BY received_at DESC \
             LIMIT 1 OFFSET $2), $1)) FROM connections) \
             DELETE FROM webhook_events WHERE rowid IN (SELECT odd.rowid FROM kept CROSS JOIN webhook_events AS odd \
             WHERE odd.connection_id = kept.connection_id AND odd.due_at IS NULL AND odd.received_at < kept.since \
             LIMIT $3) RETURNING connection_id",
        )
        .bind(before.timestamp_micros())
        .bind(REJECTED - 1)
        .bind(FORGOTTEN)
        .fetch_all(&self.pool)
        .await
        .doing("forget webhooks that cannot be understood")?;
        let mut counts = BTreeMap::new();
        for connection_id in gone {
            *counts.entry(connection_id).or_default() += 1;
        }
        Ok(counts)
    }

    /// Events of a connection that are due, those that have been so longest first; no more than `limit`, nor than some
    /// megabytes of them.
    ///
    /// # Errors
    ///
    /// `Database` when they could not be read.
    pub async fn due_deliveries(
        &self,
        connection_id: &str,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<Due, StoreError> {
        let sizes: Vec<i64> = sqlx::query_scalar(
            "SELECT size FROM webhook_events \
             WHERE connection_id = $1 AND due_at <= $2 ORDER BY due_at, received_at, event_id LIMIT $3",
        )
        .bind(connection_id)
        .bind(now.timestamp_micros())
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .doing("read webhooks that are due")?;
        let fit = within(&sizes);
        let is_cut = sizes.len() > fit || u32::try_from(sizes.len()).is_ok_and(|count| count >= limit);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT event_id, received_at, body, tries, looked_at FROM webhook_events \
             WHERE connection_id = $1 AND due_at <= $2 ORDER BY due_at, received_at, event_id LIMIT $3",
        )
        .bind(connection_id)
        .bind(now.timestamp_micros())
        .bind(i64::try_from(fit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await
        .doing("read webhooks that are due")?;
        Ok(Due { events: rows.into_iter().map(Row::waiting).collect::<Result<_, _>>()?, is_cut })
    }

    /// Does with events of a connection what was decided, in one transaction.
    ///
    /// # Errors
    ///
    /// `Database` when it could not be stored: then all stay, and are looked at once more.
    pub async fn settle_deliveries(
        &self,
        connection_id: &str,
        Settled { applied, postponed, handed_over, wrote }: &Settled,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut change = self.write().await?;
        delete(&mut change, connection_id, applied).await?;
        for event in postponed {
            postpone(&mut change, connection_id, event).await?;
        }
        hand_over(&mut change, connection_id, handed_over, now).await?;
        if *wrote {
            note_data(&mut *change, connection_id, now).await?;
        }
        change.commit().await.doing("settle webhooks")
    }

    /// Makes those events of a connection due that wait for the end of a first copy.
    ///
    /// # Errors
    ///
    /// `Database` when it could not be stored.
    pub async fn hasten_deliveries(&self, connection_id: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        let hasten = "UPDATE webhook_events SET due_at = $2 \
                      WHERE connection_id = $1 AND due_at > $2 AND awaits_copy_of IS NOT NULL";
        sqlx::query(hasten)
            .bind(connection_id)
            .bind(now.timestamp_micros())
            .execute(&self.pool)
            .await
            .doing("look at webhooks again")?;
        Ok(())
    }

    /// What came for a connection and what of it waits. Of what cannot be understood the newest few are named.
    ///
    /// # Errors
    ///
    /// `Database` when it could not be read.
    pub async fn inbox(&self, connection_id: &str) -> Result<Inbox, StoreError> {
        let reading = "read the inbox of webhooks";
        let counts: Option<Counts> =
            sqlx::query_as("SELECT * FROM webhook_receptions WHERE connection_id = $1")
                .bind(connection_id)
                .fetch_optional(&self.pool)
                .await
                .doing(reading)?;
        let (waiting, oldest): (i64, Option<i64>) = sqlx::query_as(
            "SELECT count(*), min(received_at) FROM webhook_events WHERE connection_id = $1 AND due_at IS NOT NULL",
        )
        .bind(connection_id)
        .fetch_one(&self.pool)
        .await
        .doing(reading)?;
        let reasons: Vec<(String, i64)> = sqlx::query_as(
            "SELECT why, count(*) AS n FROM webhook_events \
             WHERE connection_id = $1 AND due_at IS NOT NULL AND why IS NOT NULL GROUP BY why ORDER BY n DESC, why LIMIT $2",
        )
        .bind(connection_id)
        .bind(NAMED)
        .fetch_all(&self.pool)
        .await
        .doing(reading)?;
        let rejected: Vec<(String, i64, Option<String>)> = sqlx::query_as(
            "SELECT event_id, received_at, why FROM webhook_events \
             WHERE connection_id = $1 AND due_at IS NULL ORDER BY received_at DESC, event_id LIMIT $2",
        )
        .bind(connection_id)
        .bind(NAMED)
        .fetch_all(&self.pool)
        .await
        .doing(reading)?;
        let named =
            |(id, at, why): (String, i64, Option<String>)| Ok((id, time(at)?, why.unwrap_or_default()));
        Ok(Inbox {
            waiting: wide(waiting),
            oldest_at: oldest.map(time).transpose()?,
            reasons: reasons.into_iter().map(|(why, count)| (why, wide(count))).collect(),
            rejected: rejected.into_iter().map(named).collect::<Result<_, StoreError>>()?,
            ..counts.map(Counts::inbox).transpose()?.unwrap_or_default()
        })
    }
}

/// Bytes of events that are read at once.
const BYTES: i64 = 16 * 1024 * 1024;
/// Events of a connection that are kept though they cannot be understood, to be looked at.
const REJECTED: u32 = 1_000;
/// Of these, those that one transaction forgets.
const FORGOTTEN: u32 = 1_000;
/// Rows of one statement.
const ROWS: usize = 100;
/// Reasons, and events that cannot be understood, that are named.
const NAMED: u32 = 10;

/// How many of the first fit into [`BYTES`]; one at least.
fn within(sizes: &[i64]) -> usize {
    let mut sum = 0;
    let fit = sizes.iter().take_while(|size| {
        sum += **size;
        sum <= BYTES
    });
    fit.count().max(1)
}

async fn insert(
    change: &mut Transaction<'static, Sqlite>,
    deliveries: &[&Delivery],
) -> Result<(), StoreError> {
    let mut insert = QueryBuilder::<Sqlite>::new(
        "INSERT INTO webhook_events (connection_id, event_id, received_at, body, size, due_at, tries) ",
    );
    insert.push_values(deliveries, |mut row, delivery| {
        let at = delivery.received_at.timestamp_micros();
        row.push_bind(&delivery.connection_id).push_bind(&delivery.event_id).push_bind(at);
        row.push_bind(delivery.body.as_slice());
        row.push_bind(i64::try_from(delivery.body.len()).unwrap_or(i64::MAX)).push_bind(at).push_bind(0_i64);
    });
    insert.push(" ON CONFLICT (connection_id, event_id) DO NOTHING");
    insert.build().execute(&mut **change).await.doing("store webhooks")?;
    Ok(())
}

async fn delete(
    change: &mut Transaction<'static, Sqlite>,
    connection_id: &str,
    events: &[String],
) -> Result<(), StoreError> {
    for some in events.chunks(ROWS) {
        let mut delete = QueryBuilder::<Sqlite>::new("DELETE FROM webhook_events WHERE connection_id = ");
        delete.push_bind(connection_id).push(" AND event_id IN (");
        let mut listed = delete.separated(", ");
        for event in some {
            listed.push_bind(event);
        }
        delete.push(")");
        delete.build().execute(&mut **change).await.doing("take webhooks out of the inbox")?;
    }
    Ok(())
}

async fn postpone(
    change: &mut Transaction<'static, Sqlite>,
    connection_id: &str,
    Postponed { event_id, due_at, looked_at_micros, why, awaits_copy_of }: &Postponed,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE webhook_events SET due_at = $3, tries = tries + 1, why = $4, \
         looked_at = COALESCE(looked_at, $5), awaits_copy_of = $6 WHERE connection_id = $1 AND event_id = $2",
    )
    .bind(connection_id)
    .bind(event_id)
    .bind(due_at.map(|at| at.timestamp_micros()))
    .bind(why)
    .bind(looked_at_micros)
    .bind(awaits_copy_of)
    .execute(&mut **change)
    .await
    .doing("postpone a webhook")?;
    Ok(())
}

/// Takes events out that are not in the warehouse, and counts them with why: others see to them.
async fn hand_over(
    change: &mut Transaction<'static, Sqlite>,
    connection_id: &str,
    events: &[Postponed],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(last) = events.last() else { return Ok(()) };
    let ids: Vec<String> = events.iter().map(|event| event.event_id.clone()).collect();
    delete(change, connection_id, &ids).await?;
    sqlx::query(
        "UPDATE webhook_receptions SET handed_over = handed_over + $2, last_handed_over_at = $3, \
         last_handed_over_why = $4 WHERE connection_id = $1",
    )
    .bind(connection_id)
    .bind(i64::try_from(events.len()).unwrap_or(i64::MAX))
    .bind(now.timestamp_micros())
    .bind(&last.why)
    .execute(&mut **change)
    .await
    .doing("count webhooks that are left to updates")?;
    Ok(())
}

async fn note_received(
    change: &mut Transaction<'static, Sqlite>,
    connection_id: &str,
    count: i64,
    last_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO webhook_receptions (connection_id, received, last_received_at, dropped) VALUES ($1, $2, $3, 0) \
         ON CONFLICT (connection_id) DO UPDATE SET received = webhook_receptions.received + $2, last_received_at = $3",
    )
    .bind(connection_id)
    .bind(count)
    .bind(last_micros)
    .execute(&mut **change)
    .await
    .doing("count webhooks")?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    event_id: String,
    received_at: i64,
    body: Vec<u8>,
    tries: i64,
    looked_at: Option<i64>,
}

impl Row {
    fn waiting(self) -> Result<Waiting, StoreError> {
        Ok(Waiting {
            event_id: self.event_id,
            received_at: time(self.received_at)?,
            body: self.body,
            tries: u32::try_from(self.tries).unwrap_or(u32::MAX),
            looked_at_micros: self.looked_at,
        })
    }
}

#[derive(sqlx::FromRow)]
struct Counts {
    received: i64,
    last_received_at: Option<i64>,
    dropped: i64,
    last_dropped_at: Option<i64>,
    last_dropped_why: Option<String>,
    handed_over: i64,
    last_handed_over_at: Option<i64>,
    last_handed_over_why: Option<String>,
}

impl Counts {
    fn inbox(self) -> Result<Inbox, StoreError> {
        let last = |(at, why)| Ok::<_, StoreError>((time(at)?, why));
        let dropped = self.last_dropped_at.zip(self.last_dropped_why);
        let handed_over = self.last_handed_over_at.zip(self.last_handed_over_why);
        Ok(Inbox {
            received: wide(self.received),
            last_received_at: self.last_received_at.map(time).transpose()?,
            dropped: wide(self.dropped),
            last_dropped: dropped.map(last).transpose()?,
            handed_over: wide(self.handed_over),
            last_handed_over: handed_over.map(last).transpose()?,
            ..Inbox::default()
        })
    }
}

fn wide(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests;
