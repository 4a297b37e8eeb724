//! What a change of the inbox does, each within its transaction.

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Sqlite, Transaction};

use super::{Delivery, Postponed};
use crate::error::{Doing as _, StoreError};

/// Rows of one statement.
pub(super) const ROWS: usize = 100;
pub(super) async fn insert(
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

pub(super) async fn delete(
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

pub(super) async fn postpone(
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
pub(super) async fn hand_over(
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

pub(super) async fn note_received(
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
