use chrono::{DateTime, Utc};

use crate::error::{Doing as _, StoreError};
use crate::store::{Store, time};
use crate::token::new_id;

// Rows are numbered in the order in which they came (`rowid`). Their times are the machine's, whose clock can be set.

/// Updates of a connection that are kept.
const KEPT: u32 = 1_000;
/// Of older ones, those that one transaction forgets.
const FORGOTTEN: u32 = 500;

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

    /// Forgets the oldest updates of a connection beyond the newest 1,000, some of them in each transaction. The last of
    /// each outcome stays, and so does one that runs.
    ///
    /// # Errors
    ///
    /// `Database` when they could not be deleted; the rest goes the next time.
    pub async fn forget_old_cycles(&self, connection_id: &str) -> Result<(), StoreError> {
        loop {
            let forgotten = sqlx::query(
                "DELETE FROM cycles WHERE rowid IN ( \
                     SELECT rowid FROM cycles WHERE connection_id = $1 \
                     AND rowid < (SELECT rowid FROM cycles WHERE connection_id = $1 \
                                  ORDER BY rowid DESC LIMIT 1 OFFSET $2) \
                     AND rowid NOT IN (SELECT max(rowid) FROM cycles WHERE connection_id = $1 GROUP BY outcome) \
                     ORDER BY rowid LIMIT $3)",
            )
            .bind(connection_id)
            .bind(KEPT - 1)
            .bind(FORGOTTEN)
            .execute(&self.pool)
            .await
            .doing("forget old update cycles")?;
            if forgotten.rows_affected() < u64::from(FORGOTTEN) {
                return Ok(());
            }
        }
    }

    /// The newest updates of a connection, newest first: in the order in which they began, whatever the clock said.
    ///
    /// # Errors
    ///
    /// `Database` when they could not be read.
    pub async fn cycles(&self, connection_id: &str, limit: u32) -> Result<Vec<Cycle>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, connection_id, began_at, ended_at, outcome, forced, row_count, detail FROM cycles \
             WHERE connection_id = $1 ORDER BY rowid DESC LIMIT $2",
        )
        .bind(connection_id)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .doing("list the update cycles")?;
        rows.into_iter().map(Row::cycle).collect()
    }

    /// The last update of a connection that got round to every table: it succeeded, or failed in part.
    ///
    /// # Errors
    ///
    /// `Database` when it could not be read.
    pub async fn last_whole_cycle(&self, connection_id: &str) -> Result<Option<Cycle>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, connection_id, began_at, ended_at, outcome, forced, row_count, detail FROM cycles \
             WHERE connection_id = $1 AND outcome IN ($2, $3) ORDER BY rowid DESC LIMIT 1",
        )
        .bind(connection_id)
        .bind(Outcome::Success.text())
        .bind(Outcome::PartlyFailed.text())
        .fetch_optional(&self.pool)
        .await
        .doing("look for the last update cycle")?;
        row.map(Row::cycle).transpose()
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
    use crate::NewConnection;
    use crate::connections::tests::shop;
    use crate::store::testing::{at, store};

    async fn ended(store: &Store, connection: &str, second: i64, outcome: Outcome) -> String {
        let id = store.begin_cycle(connection, false, at(second)).await.unwrap();
        let end = CycleEnd { at: at(second), outcome, rows: 0, detail: serde_json::Value::Null };
        store.finish_cycle(&id, &end).await.unwrap();
        id
    }

    #[tokio::test]
    async fn old_cycles_are_forgotten_but_not_the_last_of_each_outcome_nor_others() {
        let store = store().await;
        let connection = store.insert_connection(&shop(), at(0)).await.unwrap().id;
        let other = NewConnection { name: "other".to_owned(), account_id: "acct_2".to_owned(), ..shop() };
        let other = store.insert_connection(&other, at(0)).await.unwrap().id;
        let others = ended(&store, &other, 1, Outcome::Success).await;
        ended(&store, &connection, 1, Outcome::Success).await;
        let last_well = ended(&store, &connection, 2, Outcome::Success).await;
        let mut newest = Vec::new();
        // The clock goes back meanwhile: what is newest is told by the order.
        for number in 0..1_600 {
            newest.push(ended(&store, &connection, 5_000 - number, Outcome::Failed).await);
        }
        newest.push(store.begin_cycle(&connection, false, at(0)).await.unwrap());
        store.forget_old_cycles(&connection).await.unwrap();
        let kept = store.cycles(&connection, 5_000).await.unwrap();
        let kept: Vec<&str> = kept.iter().map(|cycle| cycle.id.as_str()).collect();
        let mut expected: Vec<&str> = newest.iter().rev().take(1_000).map(String::as_str).collect();
        expected.push(&last_well);
        assert_eq!(kept, expected);
        assert_eq!(store.last_whole_cycle(&connection).await.unwrap().unwrap().id, last_well);
        assert_eq!(store.cycles(&other, 10).await.unwrap()[0].id, others);
    }

    #[tokio::test]
    async fn a_cycle_that_began_while_the_clock_was_ahead_does_not_stay_the_newest() {
        let store = store().await;
        let connection = store.insert_connection(&shop(), at(0)).await.unwrap().id;
        ended(&store, &connection, 31_536_000, Outcome::Success).await;
        let newest = ended(&store, &connection, 1, Outcome::Success).await;
        assert_eq!(store.cycles(&connection, 1).await.unwrap()[0].id, newest);
    }

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
