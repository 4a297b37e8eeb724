use chrono::{DateTime, TimeDelta, Utc};

use crate::error::{Doing as _, StoreError};
use crate::store::Store;

/// Proof that `holder` alone may sync a connection until `expires_at`. Only [`Store::acquire_lease`] makes one.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// Of which connection.
    pub connection_id: String,
    /// Who has it.
    pub holder: String,
    /// Grows with every lease of the connection: a write with a smaller fence comes from a holder that lost it.
    pub fence: i64,
    /// Until when, unless renewed.
    pub expires_at: DateTime<Utc>,
}

impl Store {
    /// The lease of a connection, or none while another one lasts, the same holder's included.
    ///
    /// # Errors
    ///
    /// `Database` when there is no such connection or it could not be stored.
    pub async fn acquire_lease(
        &self,
        connection_id: &str,
        holder: &str,
        ttl: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<Option<Lease>, StoreError> {
        let expires_at = now + ttl;
        let fence: Option<i64> = sqlx::query_scalar(
            "INSERT INTO leases (connection_id, holder, fence, expires_at) VALUES ($1, $2, 1, $3) \
             ON CONFLICT (connection_id) DO UPDATE \
             SET holder = excluded.holder, fence = leases.fence + 1, expires_at = excluded.expires_at \
             WHERE leases.expires_at <= $4 RETURNING fence",
        )
        .bind(connection_id)
        .bind(holder)
        .bind(expires_at.timestamp_micros())
        .bind(now.timestamp_micros())
        .fetch_optional(&self.pool)
        .await
        .doing("acquire the lease of a connection")?;
        let lease = |fence| Lease {
            connection_id: connection_id.to_owned(),
            holder: holder.to_owned(),
            fence,
            expires_at,
        };
        Ok(fence.map(lease))
    }

    /// Makes a lease last until `ttl` from now; false when it was lost, and then the holder must stop at once.
    ///
    /// # Errors
    ///
    /// `Database` when it could not be stored.
    pub async fn renew_lease(
        &self,
        lease: &mut Lease,
        ttl: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let expires_at = now + ttl;
        let done = sqlx::query(
            "UPDATE leases SET expires_at = $4 \
             WHERE connection_id = $1 AND holder = $2 AND fence = $3 AND expires_at > $5",
        )
        .bind(&lease.connection_id)
        .bind(&lease.holder)
        .bind(lease.fence)
        .bind(expires_at.timestamp_micros())
        .bind(now.timestamp_micros())
        .execute(&self.pool)
        .await
        .doing("renew the lease of a connection")?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        lease.expires_at = expires_at;
        Ok(true)
    }

    /// Gives a lease back, so that the next holder need not wait. Does nothing when it was lost.
    ///
    /// # Errors
    ///
    /// `Database` when it could not be stored.
    pub async fn release_lease(&self, lease: Lease) -> Result<(), StoreError> {
        let Lease { connection_id, holder, fence, expires_at: _ } = lease;
        sqlx::query(
            "UPDATE leases SET expires_at = 0 WHERE connection_id = $1 AND holder = $2 AND fence = $3",
        )
        .bind(connection_id)
        .bind(holder)
        .bind(fence)
        .execute(&self.pool)
        .await
        .doing("release the lease of a connection")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::tests::shop;
    use crate::store::testing::{at, key, store};

    const TTL: TimeDelta = TimeDelta::seconds(60);

    #[tokio::test]
    async fn one_holder_at_a_time_and_the_fence_only_grows() {
        let store = store().await;
        let id = store.insert_connection(&shop(), at(0)).await.unwrap().id;
        let mut one = store.acquire_lease(&id, "one", TTL, at(0)).await.unwrap().unwrap();
        assert_eq!(store.acquire_lease(&id, "two", TTL, at(59)).await.unwrap(), None);
        assert!(store.renew_lease(&mut one, TTL, at(30)).await.unwrap());
        assert_eq!(one.expires_at, at(90));
        assert_eq!(store.acquire_lease(&id, "two", TTL, at(89)).await.unwrap(), None);
        let two = store.acquire_lease(&id, "two", TTL, at(90)).await.unwrap().unwrap();
        assert!(two.fence > one.fence);
        assert!(!store.renew_lease(&mut one, TTL, at(91)).await.unwrap());
        store.release_lease(one).await.unwrap();
        assert_eq!(store.acquire_lease(&id, "three", TTL, at(92)).await.unwrap(), None);
        let before = two.fence;
        store.release_lease(two).await.unwrap();
        assert!(store.acquire_lease(&id, "three", TTL, at(92)).await.unwrap().unwrap().fence > before);
    }

    #[tokio::test]
    async fn an_expired_lease_cannot_be_renewed() {
        let store = store().await;
        let id = store.insert_connection(&shop(), at(0)).await.unwrap().id;
        let mut lease = store.acquire_lease(&id, "one", TTL, at(0)).await.unwrap().unwrap();
        assert!(!store.renew_lease(&mut lease, TTL, at(60)).await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_many_at_once_one_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = std::sync::Arc::new(Store::open(&dir.path().join("store.db"), key(1)).await.unwrap());
        let id = store.insert_connection(&shop(), at(0)).await.unwrap().id;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..8 {
            let (store, id) = (std::sync::Arc::clone(&store), id.clone());
            tasks.spawn(async move { store.acquire_lease(&id, &n.to_string(), TTL, at(1)).await.unwrap() });
        }
        assert_eq!(tasks.join_all().await.into_iter().flatten().count(), 1);
    }
}
