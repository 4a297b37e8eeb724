mod delivery;
mod rows;
mod statements;

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};

pub use self::delivery::{Delivery, Due, Inbox, Level, Postponed, Settled, Waiting};
use self::rows::{Counts, Row, wide};
use self::statements::{ROWS, delete, hand_over, insert, note_received, postpone};
use crate::connections::note_data;
use crate::error::{Doing as _, StoreError};
use crate::store::{Store, time};

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

#[cfg(test)]
mod tests;
