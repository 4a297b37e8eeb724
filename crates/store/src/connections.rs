mod connection;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::{Executor, Sqlite, Transaction};

use self::connection::Row;
pub use self::connection::{Connection, How, NewConnection, Reauthentication, RunMark, Status};
use crate::error::{Doing as _, StoreError};
use crate::store::Store;
use crate::token::new_id;
use crate::vault::Place;

/// Notes that rows of a connection were written outside an update.
pub(crate) async fn note_data(
    to: impl Executor<'_, Database = Sqlite>,
    id: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE connections SET last_data_at = $2 WHERE id = $1")
        .bind(id)
        .bind(now.timestamp_micros())
        .execute(to)
        .await
        .doing("note that rows were written")?;
    Ok(())
}

impl Store {
    /// Makes a connection, credentials sealed, with status `Connecting`; whole or not at all.
    ///
    /// # Errors
    ///
    /// `InvalidName`, `NameTaken`, `AccountConnected` when the account is connected in this mode already, `Vault`.
    pub async fn insert_connection(
        &self,
        new: &NewConnection,
        now: DateTime<Utc>,
    ) -> Result<Connection, StoreError> {
        require_name(&new.name)?;
        let id = new_id("con");
        let sealed = self.vault.seal(&place(&id), &new.credentials)?;
        let mut change = self.write().await?;
        require_free(&mut change, new).await?;
        sqlx::query(
            "INSERT INTO connections \
             (id, name, source, account_id, account_name, livemode, how, credentials, status, created_at, time_zone, \
             credentials_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $10)",
        )
        .bind(&id)
        .bind(&new.name)
        .bind(STRIPE)
        .bind(&new.account_id)
        .bind(&new.account_name)
        .bind(new.livemode)
        .bind(new.how.text())
        .bind(sealed)
        .bind(Status::Connecting.text()?)
        .bind(now.timestamp_micros())
        .bind(&new.time_zone)
        .execute(&mut *change)
        .await
        .doing("store a connection")?;
        change.commit().await.doing("store a connection")?;
        self.connection(&id).await?.ok_or(StoreError::NotFound { what: "connection" })
    }

    /// Every connection, by name.
    ///
    /// # Errors
    ///
    /// `Database` when they could not be read.
    pub async fn connections(&self) -> Result<Vec<Connection>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as("SELECT * FROM connections ORDER BY name")
            .fetch_all(&self.pool)
            .await
            .doing("list the connections")?;
        rows.into_iter().map(Row::connection).collect()
    }

    /// The connection with this id.
    ///
    /// # Errors
    ///
    /// `Database` when it could not be read.
    pub async fn connection(&self, id: &str) -> Result<Option<Connection>, StoreError> {
        self.row(id).await?.map(Row::connection).transpose()
    }

    /// The connection with this name.
    ///
    /// # Errors
    ///
    /// `Database` when it could not be read.
    pub async fn connection_named(&self, name: &str) -> Result<Option<Connection>, StoreError> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM connections WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .doing("read a connection")?;
        row.map(Row::connection).transpose()
    }

    /// What a connection authenticates with.
    ///
    /// # Errors
    ///
    /// `NotFound`, or `Vault` when the master key changed or the sealed bytes were touched.
    pub async fn credentials(&self, id: &str) -> Result<SecretString, StoreError> {
        let row = self.row(id).await?.ok_or(StoreError::NotFound { what: "connection" })?;
        Ok(self.vault.open(&place(id), &row.credentials)?)
    }

    /// Says how a connection is doing.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such connection.
    pub async fn set_status(&self, id: &str, status: &Status) -> Result<(), StoreError> {
        let done = sqlx::query("UPDATE connections SET status = $2 WHERE id = $1")
            .bind(id)
            .bind(status.text()?)
            .execute(&self.pool)
            .await
            .doing("set a connection's status")?;
        found(done.rows_affected())
    }

    /// As [`Self::set_status`], but a connection that a user paused meanwhile stays so; none is no failure.
    ///
    /// # Errors
    ///
    /// `Database` when it could not be stored.
    pub async fn set_status_unless_paused(&self, id: &str, status: &Status) -> Result<(), StoreError> {
        sqlx::query("UPDATE connections SET status = $2 WHERE id = $1 AND status <> $3")
            .bind(id)
            .bind(status.text()?)
            .bind(Status::Paused.text()?)
            .execute(&self.pool)
            .await
            .doing("set a connection's status")?;
        Ok(())
    }

    /// The account's owner ended, at `ended_at`, the access they had given through Stripe's page: the connection needs
    /// somebody who connects again. Whether it does: a pasted key is not concerned, nor are credentials that were given
    /// later, since Stripe may say this days after it happened. Nor does it change anything to hear it twice.
    ///
    /// # Errors
    ///
    /// `Database` when it could not be stored.
    pub async fn end_access(&self, id: &str, ended_at: DateTime<Utc>, why: &str) -> Result<bool, StoreError> {
        let status = Status::ReauthenticationRequired { why: why.to_owned() };
        let done = sqlx::query(
            "UPDATE connections SET status = $2 WHERE id = $1 AND how = $3 AND status NOT IN ($2, $4) \
             AND COALESCE(credentials_at, created_at) <= $5",
        )
        .bind(id)
        .bind(status.text()?)
        .bind(How::Oauth.text())
        .bind(Status::Paused.text()?)
        .bind(ended_at.timestamp_micros())
        .execute(&self.pool)
        .await
        .doing("note that access ended")?;
        Ok(done.rows_affected() > 0)
    }

    /// Notes that an update began.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such connection.
    pub async fn mark_started(&self, id: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        let done = sqlx::query("UPDATE connections SET last_started_at = $2 WHERE id = $1")
            .bind(id)
            .bind(now.timestamp_micros())
            .execute(&self.pool)
            .await
            .doing("note that an update began")?;
        found(done.rows_affected())
    }

    /// Notes that an update ended; a failed one leaves the time of the last success.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such connection.
    pub async fn mark_ended(&self, id: &str, mark: RunMark) -> Result<(), StoreError> {
        let done = sqlx::query(
            "UPDATE connections SET last_duration_ms = $2, \
             last_success_began_at = COALESCE($3, last_success_began_at), last_data_at = COALESCE($4, last_data_at) \
             WHERE id = $1",
        )
        .bind(id)
        .bind((mark.ended_at - mark.began_at).num_milliseconds())
        .bind(mark.success.then(|| mark.began_at.timestamp_micros()))
        .bind(mark.brought_rows.then(|| mark.ended_at.timestamp_micros()))
        .execute(&self.pool)
        .await
        .doing("note that an update ended")?;
        found(done.rows_affected())
    }

    /// Replaces a connection's credentials by others of the same account and mode. The status stays.
    ///
    /// # Errors
    ///
    /// `NotFound`; `OtherAccount` when the credentials are of another account or mode, and nothing is changed then.
    pub async fn replace_credentials(
        &self,
        id: &str,
        new: &Reauthentication,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let sealed = self.vault.seal(&place(id), &new.credentials)?;
        let done = sqlx::query(
            "UPDATE connections SET credentials = $2, how = $3, time_zone = COALESCE($6, time_zone), \
             credentials_at = $7 \
             WHERE id = $1 AND account_id = $4 AND livemode = $5",
        )
        .bind(id)
        .bind(sealed)
        .bind(new.how.text())
        .bind(&new.account_id)
        .bind(new.livemode)
        .bind(&new.time_zone)
        .bind(now.timestamp_micros())
        .execute(&self.pool)
        .await
        .doing("replace a connection's credentials")?;
        if done.rows_affected() > 0 {
            return Ok(());
        }
        let own = self.connection(id).await?.ok_or(StoreError::NotFound { what: "connection" })?;
        Err(StoreError::OtherAccount {
            expected: account_and_mode(&own.account_id, own.livemode),
            got: account_and_mode(&new.account_id, new.livemode),
        })
    }

    /// Deletes a connection with its credentials, lease and update cycles; returns it as it was. Its data in the warehouse
    /// stays.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such connection.
    pub async fn delete_connection(&self, id: &str) -> Result<Connection, StoreError> {
        let deleted: Option<Row> = sqlx::query_as("DELETE FROM connections WHERE id = $1 RETURNING *")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .doing("delete a connection")?;
        deleted.ok_or(StoreError::NotFound { what: "connection" })?.connection()
    }

    async fn row(&self, id: &str) -> Result<Option<Row>, StoreError> {
        sqlx::query_as("SELECT * FROM connections WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .doing("read a connection")
    }
}

const STRIPE: &str = "stripe";

fn place(id: &str) -> Place<'_> {
    Place { purpose: "connection credentials", row: id }
}

fn found(rows: u64) -> Result<(), StoreError> {
    if rows == 0 { Err(StoreError::NotFound { what: "connection" }) } else { Ok(()) }
}

fn account_and_mode(account_id: &str, livemode: bool) -> String {
    format!("{account_id} ({} mode)", if livemode { "live" } else { "test" })
}

fn require_name(name: &str) -> Result<(), StoreError> {
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if starts_well && plain && name.len() <= 63 { Ok(()) } else { Err(StoreError::InvalidName) }
}

async fn require_free(
    change: &mut Transaction<'static, Sqlite>,
    new: &NewConnection,
) -> Result<(), StoreError> {
    let same: Option<String> = sqlx::query_scalar(
        "SELECT name FROM connections WHERE source = $1 AND account_id = $2 AND livemode = $3",
    )
    .bind(STRIPE)
    .bind(&new.account_id)
    .bind(new.livemode)
    .fetch_optional(&mut **change)
    .await
    .doing("look for the account among the connections")?;
    if let Some(existing) = same {
        return Err(StoreError::AccountConnected { existing });
    }
    let named: Option<String> = sqlx::query_scalar("SELECT id FROM connections WHERE name = $1")
        .bind(&new.name)
        .fetch_optional(&mut **change)
        .await
        .doing("look for the name among the connections")?;
    if named.is_some() { Err(StoreError::NameTaken { name: new.name.clone() }) } else { Ok(()) }
}

#[cfg(test)]
pub(crate) mod tests;
