use chrono::{DateTime, Utc};

use crate::error::{Doing as _, StoreError};
use crate::store::{Store, time};
use crate::token::new_id;

/// One update of a connection.
#[derive(Debug, Clone, PartialEq)]
pub struct Cycle {
    /// `cyc_...`.
    pub id: String,
    /// Of which connection.
    pub connection_id: String,
    /// When it began.
    pub began_at: DateTime<Utc>,
    /// How it ended; none while it runs, or when the process died.
    pub end: Option<CycleEnd>,
    /// Whether someone asked for it, rather than the schedule.
    pub forced: bool,
}

/// How an update ended.
#[derive(Debug, Clone, PartialEq)]
pub struct CycleEnd {
    /// When.
    pub at: DateTime<Utc>,
    /// How well.
    pub outcome: Outcome,
    /// Rows stored.
    pub rows: i64,
    /// For each table what happened; shown, never interpreted here.
    pub detail: serde_json::Value,
}

/// How well an update went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything came.
    Success,
    /// Some tables failed.
    PartlyFailed,
    /// Nothing came.
    Failed,
}

impl Store {
    /// Notes that an update began; returns its id.
    ///
    /// # Errors
    ///
    /// `Database` when there is no such connection or it could not be stored.
    pub async fn begin_cycle(
        &self,
        connection_id: &str,
        forced: bool,
        now: DateTime<Utc>,
    ) -> Result<String, StoreError> {
        let id = new_id("cyc");
        sqlx::query(
            "INSERT INTO cycles (id, connection_id, began_at, forced, row_count, detail) \
             VALUES ($1, $2, $3, $4, 0, 'null')",
        )
        .bind(&id)
        .bind(connection_id)
        .bind(now.timestamp_micros())
        .bind(forced)
        .execute(&self.pool)
        .await
        .doing("store an update cycle")?;
        Ok(id)
    }

    /// Notes how an update ended; an end is written once.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such update, or it has ended.
    pub async fn finish_cycle(&self, id: &str, end: &CycleEnd) -> Result<(), StoreError> {
        let done = sqlx::query(
            "UPDATE cycles SET ended_at = $2, outcome = $3, row_count = $4, detail = $5 \
             WHERE id = $1 AND ended_at IS NULL",
        )
        .bind(id)
        .bind(end.at.timestamp_micros())
        .bind(end.outcome.text())
        .bind(end.rows)
        .bind(end.detail.to_string())
        .execute(&self.pool)
        .await
        .doing("finish an update cycle")?;
        if done.rows_affected() == 0 {
            Err(StoreError::NotFound { what: "running update cycle" })
        } else {
            Ok(())
        }
    }

    /// The newest updates of a connection, newest first.
    ///
    /// # Errors
    ///
    /// `Database` when they could not be read.
    pub async fn cycles(&self, connection_id: &str, limit: u32) -> Result<Vec<Cycle>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, connection_id, began_at, ended_at, outcome, forced, row_count, detail FROM cycles \
             WHERE connection_id = $1 ORDER BY began_at DESC, id LIMIT $2",
        )
        .bind(connection_id)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .doing("list the update cycles")?;
        rows.into_iter().map(Row::cycle).collect()
    }
}

impl Outcome {
    fn text(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::PartlyFailed => "partly_failed",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        match text {
            "success" => Ok(Self::Success),
            "partly_failed" => Ok(Self::PartlyFailed),
            "failed" => Ok(Self::Failed),
            _ => Err(StoreError::Unreadable { what: "outcome" }),
        }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    connection_id: String,
    began_at: i64,
    ended_at: Option<i64>,
    outcome: Option<String>,
    forced: bool,
    row_count: i64,
    detail: String,
}

impl Row {
    fn cycle(self) -> Result<Cycle, StoreError> {
        let end = match (self.ended_at, self.outcome) {
            (Some(at), Some(outcome)) => Some(CycleEnd {
                at: time(at)?,
                outcome: Outcome::parse(&outcome)?,
                rows: self.row_count,
                detail: serde_json::from_str(&self.detail)
                    .map_err(|_| StoreError::Unreadable { what: "detail of an update cycle" })?,
            }),
            (_, _) => None,
        };
        Ok(Cycle {
            id: self.id,
            connection_id: self.connection_id,
            began_at: time(self.began_at)?,
            end,
            forced: self.forced,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::tests::shop;
    use crate::store::testing::{at, store};

    #[tokio::test]
    async fn a_cycle_begins_ends_once_and_is_listed() {
        let store = store().await;
        let connection = store.insert_connection(&shop(), at(0)).await.unwrap().id;
        let first = store.begin_cycle(&connection, false, at(1)).await.unwrap();
        let second = store.begin_cycle(&connection, true, at(5)).await.unwrap();
        let end = CycleEnd {
            at: at(3),
            outcome: Outcome::PartlyFailed,
            rows: 12,
            detail: serde_json::json!({"charges": {"rows": 12}}),
        };
        store.finish_cycle(&first, &end).await.unwrap();
        assert!(matches!(store.finish_cycle(&first, &end).await, Err(StoreError::NotFound { .. })));
        let listed = store.cycles(&connection, 10).await.unwrap();
        assert_eq!(listed.iter().map(|cycle| &cycle.id).collect::<Vec<_>>(), [&second, &first]);
        assert_eq!((listed[0].end.clone(), listed[0].forced), (None, true));
        assert_eq!((listed[1].end.clone(), listed[1].forced), (Some(end), false));
        assert_eq!(store.cycles(&connection, 1).await.unwrap().len(), 1);
    }
}
