use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{Sqlite, Transaction};

use crate::error::{Doing as _, StoreError};
use crate::store::Store;
use crate::token::{digest, new_token};
use crate::users::{self, NewUser, Role, User};

/// Why a one-time setup link is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SetupTokenError {
    /// It was never given out.
    #[error("this setup link is not one of ours: copy it again from the log")]
    Unknown,
    /// It is too old.
    #[error("this setup link has expired: restart to get another")]
    Expired,
    /// It was used.
    #[error("this setup link was used already")]
    Used,
}

impl Store {
    /// A new token for the link that makes the first administrator; it works once and for `ttl`.
    ///
    /// # Errors
    ///
    /// `AlreadySetUp` when there is a user.
    pub async fn create_setup_token(
        &self,
        ttl: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<SecretString, StoreError> {
        let mut change = self.write().await?;
        require_no_user(&mut change).await?;
        let token = new_token();
        sqlx::query("INSERT INTO setup_tokens (token_hash, expires_at, used_at) VALUES ($1, $2, NULL)")
            .bind(digest(&token))
            .bind((now + ttl).timestamp_micros())
            .execute(&mut *change)
            .await
            .doing("store a setup token")?;
        change.commit().await.doing("store a setup token")?;
        Ok(token.into())
    }

    /// Whether there is no user yet.
    ///
    /// # Errors
    ///
    /// `Database` when the users could not be counted.
    pub async fn needs_setup(&self) -> Result<bool, StoreError> {
        let users: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM users")
            .fetch_one(&self.pool)
            .await
            .doing("count the users")?;
        Ok(users == 0)
    }

    /// Whether the token would make the first administrator now. Nothing is changed: [`Store::create_first_admin`] looks
    /// again, so this only saves the slow hashing of a password for a token that is no good.
    ///
    /// # Errors
    ///
    /// `AlreadySetUp` when there is a user, `SetupToken` when the token is not good.
    pub async fn check_setup_token(
        &self,
        token: &SecretString,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        if !self.needs_setup().await? {
            return Err(StoreError::AlreadySetUp);
        }
        let mut reading = self.pool.begin().await.doing("read a setup token")?;
        require_good(&mut reading, &digest(token.expose_secret()), now).await
    }

    /// Makes the first user, as administrator whatever `new.role` says, and uses the token up. All of it or nothing:
    /// of any number of callers at once, one succeeds. A refusal leaves the token as it was.
    ///
    /// # Errors
    ///
    /// `AlreadySetUp` when there is a user, `SetupToken` when the token is not good, `InvalidEmail`.
    pub async fn create_first_admin(
        &self,
        token: &SecretString,
        new: &NewUser,
        now: DateTime<Utc>,
    ) -> Result<User, StoreError> {
        let mut change = self.write().await?;
        require_no_user(&mut change).await?;
        use_up(&mut change, token, now).await?;
        let admin = NewUser { role: Role::Admin, ..new.clone() };
        let user = users::insert(&mut change, &admin, now).await?;
        change.commit().await.doing("store the first administrator")?;
        Ok(user)
    }
}

async fn require_no_user(change: &mut Transaction<'static, Sqlite>) -> Result<(), StoreError> {
    let users: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM users")
        .fetch_one(&mut **change)
        .await
        .doing("count the users")?;
    if users == 0 { Ok(()) } else { Err(StoreError::AlreadySetUp) }
}

async fn use_up(
    change: &mut Transaction<'static, Sqlite>,
    token: &SecretString,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let hash = digest(token.expose_secret());
    require_good(change, &hash, now).await?;
    sqlx::query("UPDATE setup_tokens SET used_at = $2 WHERE token_hash = $1")
        .bind(&hash)
        .bind(now.timestamp_micros())
        .execute(&mut **change)
        .await
        .doing("use a setup token up")?;
    Ok(())
}

async fn require_good(
    change: &mut Transaction<'static, Sqlite>,
    hash: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let found: Option<(i64, Option<i64>)> =
        sqlx::query_as("SELECT expires_at, used_at FROM setup_tokens WHERE token_hash = $1")
            .bind(hash)
            .fetch_optional(&mut **change)
            .await
            .doing("read a setup token")?;
    match found {
        None => Err(SetupTokenError::Unknown.into()),
        Some((_, Some(_))) => Err(SetupTokenError::Used.into()),
        Some((expires_at, None)) if expires_at <= now.timestamp_micros() => {
            Err(SetupTokenError::Expired.into())
        }
        Some((_, None)) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{at, key, store};
    use crate::users::tests::someone;

    #[tokio::test]
    async fn a_token_makes_one_admin_and_no_second() {
        let store = store().await;
        let (token, spare) = (
            store.create_setup_token(TimeDelta::hours(1), at(0)).await.unwrap(),
            store.create_setup_token(TimeDelta::hours(1), at(0)).await.unwrap(),
        );
        assert!(store.needs_setup().await.unwrap());
        let user =
            store.create_first_admin(&token, &someone("a@example.com", Role::ReadOnly), at(1)).await.unwrap();
        assert_eq!(user.role, Role::Admin);
        assert!(!store.needs_setup().await.unwrap());
        for token in [&token, &spare] {
            let second = store.create_first_admin(token, &someone("b@example.com", Role::Admin), at(2)).await;
            assert!(matches!(second, Err(StoreError::AlreadySetUp)));
        }
        let late = store.create_setup_token(TimeDelta::hours(1), at(2)).await;
        assert!(matches!(late, Err(StoreError::AlreadySetUp)));
    }

    #[tokio::test]
    async fn a_refused_token_makes_nobody_and_a_refused_user_keeps_the_token() {
        let store = store().await;
        let token = store.create_setup_token(TimeDelta::hours(1), at(0)).await.unwrap();
        let admin = someone("a@example.com", Role::Admin);
        for (token, seconds, refusal) in
            [(&"forged".into(), 1, SetupTokenError::Unknown), (&token, 3600, SetupTokenError::Expired)]
        {
            let checked = store.check_setup_token(token, at(seconds)).await;
            assert!(matches!(checked, Err(StoreError::SetupToken(error)) if error == refusal), "{checked:?}");
        }
        store.check_setup_token(&token, at(1)).await.unwrap();
        let forged = store.create_first_admin(&"forged".into(), &admin, at(1)).await;
        assert!(matches!(forged, Err(StoreError::SetupToken(SetupTokenError::Unknown))));
        let late = store.create_first_admin(&token, &admin, at(3600)).await;
        assert!(matches!(late, Err(StoreError::SetupToken(SetupTokenError::Expired))));
        let bad = store.create_first_admin(&token, &someone("nobody", Role::Admin), at(1)).await;
        assert!(matches!(bad, Err(StoreError::InvalidEmail)));
        assert!(store.needs_setup().await.unwrap());
        store.create_first_admin(&token, &admin, at(2)).await.unwrap();
        assert!(matches!(store.check_setup_token(&token, at(2)).await, Err(StoreError::AlreadySetUp)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_many_at_once_one_becomes_admin() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.db"), key(1)).await.unwrap();
        let store = std::sync::Arc::new(store);
        let token = store.create_setup_token(TimeDelta::hours(1), at(0)).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..8 {
            let (store, token) = (std::sync::Arc::clone(&store), token.clone());
            tasks.spawn(async move {
                store
                    .create_first_admin(&token, &someone(&format!("a{n}@example.com"), Role::Admin), at(1))
                    .await
            });
        }
        let made = tasks.join_all().await.into_iter().filter(Result::is_ok).count();
        assert_eq!(made, 1);
        assert_eq!(store.users().await.unwrap().len(), 1);
    }
}
