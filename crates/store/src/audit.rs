use chrono::{DateTime, Utc};

use crate::error::{Doing as _, StoreError};
use crate::store::{Store, time};
use crate::token::new_id;

/// One thing that someone did. Entries are only ever added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: DateTime<Utc>,
    /// Who: a user's id, or `command line`.
    pub actor: String,
    /// What, as `thing.verb`: `connection.delete`.
    pub action: String,
    /// To what. Never a secret.
    pub subject: String,
}

impl Store {
    /// Writes down that something was done.
    ///
    /// # Errors
    ///
    /// `Database` when it could not be written.
    pub async fn append_audit(
        &self,
        actor: &str,
        action: &str,
        subject: &str,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO audit (id, at, actor, action, subject) VALUES ($1, $2, $3, $4, $5)")
            .bind(new_id("aud"))
            .bind(at.timestamp_micros())
            .bind(actor)
            .bind(action)
            .bind(subject)
            .execute(&self.pool)
            .await
            .doing("append to the audit log")?;
        Ok(())
    }

    /// The newest entries, newest first.
    ///
    /// # Errors
    ///
    /// `Database` when they could not be read.
    pub async fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let rows: Vec<Row> =
            sqlx::query_as("SELECT at, actor, action, subject FROM audit ORDER BY at DESC, id LIMIT $1")
                .bind(limit)
                .fetch_all(&self.pool)
                .await
                .doing("read the audit log")?;
        rows.into_iter().map(Row::entry).collect()
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    at: i64,
    actor: String,
    action: String,
    subject: String,
}

impl Row {
    fn entry(self) -> Result<AuditEntry, StoreError> {
        let Self { at, actor, action, subject } = self;
        Ok(AuditEntry { at: time(at)?, actor, action, subject })
    }
}

#[cfg(test)]
mod tests {
    use crate::store::testing::{at, store};

    #[tokio::test]
    async fn newest_first_and_no_more_than_asked() {
        let store = store().await;
        for second in 0..3 {
            store
                .append_audit("usr_1", "connection.pause", &format!("shop{second}"), at(second))
                .await
                .unwrap();
        }
        let entries = store.audit(2).await.unwrap();
        let subjects: Vec<_> = entries.iter().map(|entry| entry.subject.as_str()).collect();
        assert_eq!(subjects, ["shop2", "shop1"]);
        assert_eq!(entries[0].at, at(2));
        assert_eq!(entries[0].actor, "usr_1");
    }
}
