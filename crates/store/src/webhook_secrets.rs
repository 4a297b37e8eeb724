use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use crate::error::{Doing as _, StoreError};
use crate::store::{Store, time};
use crate::token::new_id;
use crate::vault::{Place, VaultError};

/// A secret with which Stripe signs webhooks to a connection's own endpoint. The secret itself is not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSecret {
    /// `whs_...`
    pub id: String,
    /// Its last four characters, by which people know it.
    pub last4: String,
    /// When it was added.
    pub added_at: DateTime<Utc>,
    /// It can be used. Where the master key changed it cannot, and only removing and adding it again helps.
    pub opens: bool,
}

impl Store {
    /// Keeps one more signing secret of a connection, sealed.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such connection; `SecretKnown` when it has this secret already, as far as what is stored can be opened; `Vault`.
    pub async fn add_webhook_secret(
        &self,
        connection_id: &str,
        secret: &SecretString,
        now: DateTime<Utc>,
    ) -> Result<WebhookSecret, StoreError> {
        if self.connection(connection_id).await?.is_none() {
            return Err(StoreError::NotFound { what: "connection" });
        }
        let known = self.open_webhook_secrets(connection_id).await?;
        if known.iter().any(|other| other.expose_secret() == secret.expose_secret()) {
            return Err(StoreError::SecretKnown);
        }
        let made = WebhookSecret { id: new_id("whs"), last4: last4(secret), added_at: now, opens: true };
        let row = row_of(connection_id, &made.id);
        let sealed = self.vault.seal(&place(&row), secret)?;
        sqlx::query(
            "INSERT INTO webhook_secrets (id, connection_id, sealed, last4, added_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&made.id)
        .bind(connection_id)
        .bind(sealed)
        .bind(&made.last4)
        .bind(now.timestamp_micros())
        .execute(&self.pool)
        .await
        .doing("store a webhook signing secret")?;
        Ok(made)
    }

    /// The signing secrets of a connection, the oldest first.
    ///
    /// # Errors
    ///
    /// `Database` when they could not be read.
    pub async fn webhook_secrets(&self, connection_id: &str) -> Result<Vec<WebhookSecret>, StoreError> {
        let rows = self.webhook_secret_rows(connection_id).await?;
        rows.into_iter()
            .map(|row| {
                let opens = self.open_webhook_secret(connection_id, &row).is_ok();
                let Row { id, last4, added_at, .. } = row;
                Ok(WebhookSecret { id, last4, added_at: time(added_at)?, opens })
            })
            .collect()
    }

    /// The secrets themselves, to check a signature with. Those that cannot be opened any more, since the master key
    /// changed or sealed bytes were touched or moved, are left out; [`Store::webhook_secrets`] tells which they are.
    ///
    /// # Errors
    ///
    /// `Database` when they could not be read.
    pub async fn open_webhook_secrets(&self, connection_id: &str) -> Result<Vec<SecretString>, StoreError> {
        let rows = self.webhook_secret_rows(connection_id).await?;
        Ok(rows.iter().filter_map(|row| self.open_webhook_secret(connection_id, row).ok()).collect())
    }

    fn open_webhook_secret(&self, connection_id: &str, row: &Row) -> Result<SecretString, VaultError> {
        self.vault.open(&place(&row_of(connection_id, &row.id)), &row.sealed)
    }

    /// Forgets a signing secret of a connection; what it signs is refused from then on.
    ///
    /// # Errors
    ///
    /// `NotFound` when the connection has no such secret.
    pub async fn remove_webhook_secret(&self, connection_id: &str, id: &str) -> Result<(), StoreError> {
        let done = sqlx::query("DELETE FROM webhook_secrets WHERE connection_id = $1 AND id = $2")
            .bind(connection_id)
            .bind(id)
            .execute(&self.pool)
            .await
            .doing("forget a webhook signing secret")?;
        if done.rows_affected() == 0 {
            Err(StoreError::NotFound { what: "webhook signing secret" })
        } else {
            Ok(())
        }
    }

    async fn webhook_secret_rows(&self, connection_id: &str) -> Result<Vec<Row>, StoreError> {
        sqlx::query_as(
            "SELECT id, sealed, last4, added_at FROM webhook_secrets WHERE connection_id = $1 ORDER BY added_at, id",
        )
        .bind(connection_id)
        .fetch_all(&self.pool)
        .await
        .doing("read the webhook signing secrets")
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    sealed: String,
    last4: String,
    added_at: i64,
}

/// The associated data names the connection too, so that no secret can be moved to another one.
fn row_of(connection_id: &str, id: &str) -> String {
    format!("{connection_id}/{id}")
}

fn place(row: &str) -> Place<'_> {
    Place { purpose: "webhook signing secret", row }
}

/// Of a short one nothing is shown: four characters would be too much of it.
fn last4(secret: &SecretString) -> String {
    let text = secret.expose_secret();
    let count = text.chars().count();
    if count < 16 { String::new() } else { text.chars().skip(count - 4).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::tests::shop;
    use crate::store::testing::{at, key, store};
    use crate::{Connection, NewConnection};

    const FIRST: &str = "whsec_firstfirstfirst1111";
    const SECOND: &str = "whsec_secondsecond2222";

    async fn two(store: &Store) -> (Connection, Connection) {
        let test = NewConnection { name: "shop_test".to_owned(), livemode: false, ..shop() };
        let one = store.insert_connection(&shop(), at(0)).await.unwrap();
        (one, store.insert_connection(&test, at(0)).await.unwrap())
    }

    async fn opened(store: &Store, connection: &Connection) -> Vec<String> {
        let secrets = store.open_webhook_secrets(&connection.id).await.unwrap();
        secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect()
    }

    #[tokio::test]
    async fn any_number_is_kept_sealed_and_shown_by_four_characters() {
        let store = store().await;
        let (shop, _) = two(&store).await;
        let first = store.add_webhook_secret(&shop.id, &FIRST.into(), at(1)).await.unwrap();
        store.add_webhook_secret(&shop.id, &SECOND.into(), at(2)).await.unwrap();
        let again = store.add_webhook_secret(&shop.id, &FIRST.into(), at(3)).await;
        assert!(matches!(again, Err(StoreError::SecretKnown)), "{again:?}");
        let shown = store.webhook_secrets(&shop.id).await.unwrap();
        let shown: Vec<_> = shown.iter().map(|secret| (secret.last4.as_str(), secret.added_at)).collect();
        assert_eq!(shown, [("1111", at(1)), ("2222", at(2))]);
        assert_eq!(opened(&store, &shop).await, [FIRST, SECOND]);
        let stored: Vec<String> = sqlx::query_scalar("SELECT sealed || last4 FROM webhook_secrets")
            .fetch_all(&store.pool)
            .await
            .unwrap();
        assert!(stored.iter().all(|text| !text.contains("whsec_")));
        store.remove_webhook_secret(&shop.id, &first.id).await.unwrap();
        assert_eq!(opened(&store, &shop).await, [SECOND]);
    }

    #[tokio::test]
    async fn a_connection_has_no_part_in_anothers_secrets() {
        let store = store().await;
        let (shop, other) = two(&store).await;
        let secret = store.add_webhook_secret(&shop.id, &FIRST.into(), at(1)).await.unwrap();
        assert_eq!(opened(&store, &other).await, [""; 0]);
        let refused = store.remove_webhook_secret(&other.id, &secret.id).await;
        assert!(matches!(refused, Err(StoreError::NotFound { .. })));
        let nobody = store.add_webhook_secret("con_nobody", &FIRST.into(), at(1)).await;
        assert!(matches!(nobody, Err(StoreError::NotFound { .. })));
        let moved = "UPDATE webhook_secrets SET connection_id = $1";
        sqlx::query(moved).bind(&other.id).execute(&store.pool).await.unwrap();
        assert_eq!(opened(&store, &other).await, [""; 0]);
        assert!(!store.webhook_secrets(&other.id).await.unwrap()[0].opens);
    }

    #[tokio::test]
    async fn what_a_changed_master_key_cannot_open_is_told_apart_and_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let before = Store::open(&path, key(1)).await.unwrap();
        let (shop, _) = two(&before).await;
        before.add_webhook_secret(&shop.id, &FIRST.into(), at(1)).await.unwrap();
        before.close().await;
        let store = Store::open(&path, key(2)).await.unwrap();
        // The same one, since that is what Stripe still signs with.
        store.add_webhook_secret(&shop.id, &FIRST.into(), at(2)).await.unwrap();
        assert_eq!(opened(&store, &shop).await, [FIRST]);
        let shown = store.webhook_secrets(&shop.id).await.unwrap();
        assert_eq!(shown.iter().map(|secret| secret.opens).collect::<Vec<_>>(), [false, true]);
    }

    #[tokio::test]
    async fn they_go_with_their_connection() {
        let store = store().await;
        let (shop, _) = two(&store).await;
        store.add_webhook_secret(&shop.id, &FIRST.into(), at(1)).await.unwrap();
        store.delete_connection(&shop.id).await.unwrap();
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM webhook_secrets").fetch_one(&store.pool).await.unwrap();
        assert_eq!(left, 0);
    }

    #[test]
    fn of_a_short_secret_nothing_is_shown() {
        assert_eq!(last4(&"whsec_short".into()), "");
    }
}
