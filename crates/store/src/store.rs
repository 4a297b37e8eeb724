use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, Sqlite, SqliteConnection, SqlitePool, Transaction};

use crate::error::{Doing as _, StoreError};
use crate::vault::{MasterKey, Vault};

/// Bytes to which SQLite's log shrinks again after it was larger.
const LARGEST_LOG: &str = "16777216";
/// Pages, of 4 KB, that one transaction of [`Store::give_space_back`] gives back.
const STEP: i64 = 1_024;
/// Such transactions of one call.
const STEPS: u32 = 8;
/// Pages that are kept for what comes next.
const SPARE: i64 = 1_024;

/// The store: one SQLite file and the key that opens the secrets in it.
///
/// Safe to share between tasks, and between processes on one machine: every change is one transaction.
pub struct Store {
    pub(crate) pool: SqlitePool,
    pub(crate) vault: Vault,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store, making it when there is none. Only the owner of the file may read it (mode 0600).
    ///
    /// # Errors
    ///
    /// `File` when the file cannot be made private, `Database` or `Migrate` when it is no store of ours.
    pub async fn open(path: &Path, key: MasterKey) -> Result<Self, StoreError> {
        let is_new =
            make_private(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            // What is committed is on disk: a webhook is answered then.
            .synchronous(SqliteSynchronous::Full)
            .pragma("journal_size_limit", LARGEST_LOG)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        if is_new {
            // The file keeps it. Every connection that sets it waits for whoever writes.
            let first = options.clone().auto_vacuum(SqliteAutoVacuum::Incremental);
            let first = SqliteConnection::connect_with(&first).await.doing("make the store")?;
            first.close().await.doing("make the store")?;
        }
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await
            .doing("open the store")?;
        Self::migrated(pool, key).await
    }

    /// A store that is gone when it is dropped.
    ///
    /// # Errors
    ///
    /// `Database` or `Migrate` when SQLite refuses.
    pub async fn in_memory(key: MasterKey) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new().in_memory(true).foreign_keys(true);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await
            .doing("open a store in memory")?;
        Self::migrated(pool, key).await
    }

    /// Waits for what runs and closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Writes the file anew if an older version made it, so that it can give space back from then on. Nobody else can
    /// write meanwhile: a second for each 100 MB or so, once.
    ///
    /// # Errors
    ///
    /// `Database` when SQLite refuses: the file stays as it is.
    pub async fn make_shrinkable(&self) -> Result<(), StoreError> {
        let doing = "write the store's file anew";
        let mut connection = self.pool.acquire().await.doing(doing)?;
        let mode: i64 =
            sqlx::query_scalar("PRAGMA auto_vacuum").fetch_one(&mut *connection).await.doing(doing)?;
        if mode == 0 {
            sqlx::raw_sql("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")
                .execute(&mut *connection)
                .await
                .doing(doing)?;
        }
        Ok(())
    }

    /// Gives space that nothing uses any more back to the disk, 32 MB at most, 4 MB in a transaction, so that nobody waits
    /// long for it. Whether there is more.
    ///
    /// # Errors
    ///
    /// `Database` when SQLite refuses.
    pub async fn give_space_back(&self) -> Result<bool, StoreError> {
        let doing = "give space back to the disk";
        for _ in 0..STEPS {
            let free: i64 =
                sqlx::query_scalar("PRAGMA freelist_count").fetch_one(&self.pool).await.doing(doing)?;
            if free < SPARE + STEP {
                return Ok(false);
            }
            sqlx::raw_sql("PRAGMA incremental_vacuum(1024)").execute(&self.pool).await.doing(doing)?;
        }
        Ok(true)
    }

    async fn migrated(pool: SqlitePool, key: MasterKey) -> Result<Self, StoreError> {
        sqlx::migrate!("./migrations").run(&pool).await.map_err(StoreError::Migrate)?;
        Ok(Self { pool, vault: Vault::new(key) })
    }

    /// A transaction that holds the write lock from its start, so that what it read cannot change before it writes.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.doing("begin a change of the store")
    }
}

/// A stored time.
pub(crate) fn time(micros: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_micros(micros).ok_or(StoreError::Unreadable { what: "time" })
}

/// Whether nothing is in the file yet.
fn make_private(path: &Path) -> std::io::Result<bool> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(file.metadata()?.len() == 0)
}

#[cfg(test)]
pub(crate) mod testing {
    use chrono::{DateTime, Utc};

    use super::Store;
    use crate::vault::MasterKey;

    pub(crate) fn key(byte: u8) -> MasterKey {
        MasterKey::from_text(&hex::encode([byte; 32])).unwrap()
    }

    pub(crate) async fn store() -> Store {
        Store::in_memory(key(7)).await.unwrap()
    }

    /// Seconds after an arbitrary instant.
    pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{at, key};
    use super::*;

    #[tokio::test]
    async fn a_file_is_private_and_keeps_what_it_was_given() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        let store = Store::open(&path, key(1)).await.unwrap();
        store.append_audit("usr_1", "connection.delete", "shop", at(0)).await.unwrap();
        store.close().await;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = Store::open(&path, key(1)).await.unwrap();
        assert_eq!(again.audit(10).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn nobody_who_only_reads_waits_for_whoever_writes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        let store = Store::open(&path, key(1)).await.unwrap();
        let change = store.write().await.unwrap();
        // Each of them is a connection of its own.
        let mut readers = Vec::new();
        for _ in 0..3 {
            let mut reader = store.pool.acquire().await.unwrap();
            let found: i64 =
                sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(&mut *reader).await.unwrap();
            assert_eq!(found, 0);
            readers.push(reader);
        }
        let again = Store::open(&path, key(1)).await.unwrap();
        assert_eq!(auto_vacuum(&again).await, INCREMENTAL);
        drop(change);
    }

    #[tokio::test]
    async fn foreign_keys_are_on() {
        let store = super::testing::store().await;
        assert!(store.create_session("usr_nobody", at(0)).await.is_err());
    }

    #[tokio::test]
    async fn a_file_of_the_first_version_is_brought_up_to_date_with_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        let first = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let pool = SqlitePool::connect_with(first).await.unwrap();
        let migrations = sqlx::migrate!("./migrations");
        migrations.run_to(1, &pool).await.unwrap();
        sqlx::query(
            "INSERT INTO connections (id, name, source, account_id, account_name, livemode, how, credentials, status, created_at) \
             VALUES ('con_1', 'shop', 'stripe', 'acct_1', 'Shop', TRUE, 'api_key', '', '{\"status\":\"success\"}', 0)",
        )
        .execute(&pool)
        .await
        .unwrap();
        pool.close().await;
        let store = Store::open(&path, key(1)).await.unwrap();
        let kept = store.connection("con_1").await.unwrap().unwrap();
        assert_eq!((kept.name.as_str(), kept.time_zone), ("shop", None));
        store.make_shrinkable().await.unwrap();
        store.close().await;
        let store = Store::open(&path, key(1)).await.unwrap();
        assert_eq!(auto_vacuum(&store).await, INCREMENTAL, "it was written anew");
    }

    const INCREMENTAL: i64 = 2;

    async fn auto_vacuum(store: &Store) -> i64 {
        sqlx::query_scalar("PRAGMA auto_vacuum").fetch_one(&store.pool).await.unwrap()
    }

    #[tokio::test]
    async fn what_an_event_waited_for_in_words_is_known_without_them() {
        let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
        let migrations = sqlx::migrate!("./migrations");
        migrations.run_to(5, &pool).await.unwrap();
        let insert = "INSERT INTO connections (id, name, source, account_id, account_name, livemode, how, credentials, status, created_at) \
             VALUES ('con_1', 'shop', 'stripe', 'acct_1', 'Shop', TRUE, 'api_key', '', '{}', 0)";
        sqlx::query(insert).execute(&pool).await.unwrap();
        for (event, why) in [
            ("evt_1", Some("the first copy of bank_accounts is not complete")),
            ("evt_2", Some("no")),
            ("evt_3", None),
        ] {
            let insert = "INSERT INTO webhook_events (connection_id, event_id, received_at, body, due_at, tries, why) \
                 VALUES ('con_1', $1, 0, x'010203', 0, 0, $2)";
            sqlx::query(insert).bind(event).bind(why).execute(&pool).await.unwrap();
        }
        migrations.run(&pool).await.unwrap();
        let ask = "SELECT awaits_copy_of, size FROM webhook_events ORDER BY event_id";
        let known: Vec<(Option<String>, i64)> = sqlx::query_as(ask).fetch_all(&pool).await.unwrap();
        assert_eq!(known, [(Some("bank_accounts".to_owned()), 3), (None, 3), (None, 3)]);
    }

    #[tokio::test]
    async fn space_that_nothing_uses_goes_back_to_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        let store = Store::open(&path, key(1)).await.unwrap();
        assert_eq!(auto_vacuum(&store).await, INCREMENTAL);
        let fill = "CREATE TABLE large AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) \
                    SELECT randomblob(100000) AS bytes FROM n";
        sqlx::raw_sql(fill).execute(&store.pool).await.unwrap();
        sqlx::raw_sql("DROP TABLE large").execute(&store.pool).await.unwrap();
        let pages =
            async || -> i64 { sqlx::query_scalar("PRAGMA page_count").fetch_one(&store.pool).await.unwrap() };
        let before = pages().await;
        while store.give_space_back().await.unwrap() {}
        let after = pages().await;
        assert!(after < before / 2 && after >= SPARE, "{before} pages, then {after}");
    }
}
