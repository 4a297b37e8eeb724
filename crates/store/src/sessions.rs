use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use crate::error::{Doing as _, StoreError};
use crate::store::{Store, time};
use crate::token::{digest, new_token};
use crate::users::User;

/// How long a session lasts after it was last used.
pub const SESSION_LIFETIME: TimeDelta = TimeDelta::days(30);

/// A session that was just made: the only time its token is known.
#[derive(Debug)]
pub struct NewSession {
    /// For the browser's cookie.
    pub token: SecretString,
    /// For the page's forms.
    pub csrf: SecretString,
    /// When it ends unless used.
    pub expires_at: DateTime<Utc>,
}

/// Who is signed in.
#[derive(Debug)]
pub struct Session {
    /// SHA-256 of the token: names the session without giving it away.
    pub token_hash: String,
    /// Who.
    pub user: User,
    /// What a form must send back. Compare with [`Session::csrf_matches`].
    pub csrf: SecretString,
    /// When it ends unless used.
    pub expires_at: DateTime<Utc>,
}

impl Session {
    /// Whether a form came from a page of this session; takes the same time for every wrong answer of that length.
    #[must_use]
    pub fn csrf_matches(&self, sent: &str) -> bool {
        use subtle::ConstantTimeEq as _;
        self.csrf.expose_secret().as_bytes().ct_eq(sent.as_bytes()).into()
    }
}

impl Store {
    /// Begins a session. Also forgets those that have ended.
    ///
    /// # Errors
    ///
    /// `Database` when there is no such user or it could not be stored.
    pub async fn create_session(&self, user_id: &str, now: DateTime<Utc>) -> Result<NewSession, StoreError> {
        let (token, csrf, expires_at) = (new_token(), new_token(), now + SESSION_LIFETIME);
        sqlx::query("DELETE FROM sessions WHERE expires_at <= $1")
            .bind(now.timestamp_micros())
            .execute(&self.pool)
            .await
            .doing("forget old sessions")?;
        sqlx::query(
            "INSERT INTO sessions (token_hash, user_id, csrf, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(digest(&token))
        .bind(user_id)
        .bind(&csrf)
        .bind(now.timestamp_micros())
        .bind(expires_at.timestamp_micros())
        .execute(&self.pool)
        .await
        .doing("store a session")?;
        Ok(NewSession { token: token.into(), csrf: csrf.into(), expires_at })
    }

    /// The session of this token, if it has not ended and its user may sign in. Using it makes it last longer; that is
    /// written at most once a day.
    ///
    /// # Errors
    ///
    /// `Database` when it could not be read.
    pub async fn session(
        &self,
        token: &SecretString,
        now: DateTime<Utc>,
    ) -> Result<Option<Session>, StoreError> {
        let token_hash = digest(token.expose_secret());
        let row: Option<(String, String, i64)> = sqlx::query_as(
            "SELECT user_id, csrf, expires_at FROM sessions WHERE token_hash = $1 AND expires_at > $2",
        )
        .bind(&token_hash)
        .bind(now.timestamp_micros())
        .fetch_optional(&self.pool)
        .await
        .doing("read a session")?;
        let Some((user_id, csrf, expires_at)) = row else { return Ok(None) };
        let Some(user) = self.user(&user_id).await?.filter(|user| !user.disabled) else { return Ok(None) };
        let expires_at = self.slide(&token_hash, time(expires_at)?, now).await?;
        Ok(Some(Session { token_hash, user, csrf: csrf.into(), expires_at }))
    }

    /// Ends a session. No error when there is none.
    ///
    /// # Errors
    ///
    /// `Database` when it could not be deleted.
    pub async fn delete_session(&self, token: &SecretString) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE token_hash = $1")
            .bind(digest(token.expose_secret()))
            .execute(&self.pool)
            .await
            .doing("end a session")?;
        Ok(())
    }

    /// Ends every session of a user; returns how many.
    ///
    /// # Errors
    ///
    /// `Database` when they could not be deleted.
    pub async fn delete_sessions_of(&self, user_id: &str) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM sessions WHERE user_id = $1")
            .bind(user_id)
            .execute(&self.pool)
            .await
            .doing("end a user's sessions")?;
        Ok(done.rows_affected())
    }

    async fn slide(
        &self,
        token_hash: &str,
        expires_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, StoreError> {
        let later = now + SESSION_LIFETIME;
        if later - expires_at < TimeDelta::days(1) {
            return Ok(expires_at);
        }
        sqlx::query("UPDATE sessions SET expires_at = $2 WHERE token_hash = $1")
            .bind(token_hash)
            .bind(later.timestamp_micros())
            .execute(&self.pool)
            .await
            .doing("extend a session")?;
        Ok(later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{at, store};
    use crate::users::Role;
    use crate::users::tests::someone;

    const DAY: i64 = 86_400;

    #[tokio::test]
    async fn a_session_lasts_thirty_days_after_its_last_use() {
        let store = store().await;
        let user = store.create_user(&someone("a@example.com", Role::Admin), at(0)).await.unwrap();
        let new = store.create_session(&user.id, at(0)).await.unwrap();
        assert!(store.session(&new.token, at(30 * DAY)).await.unwrap().is_none());
        let used = store.session(&new.token, at(20 * DAY)).await.unwrap().unwrap();
        assert_eq!(used.user, user);
        assert_eq!(used.expires_at, at(50 * DAY));
        assert!(store.session(&new.token, at(50 * DAY - 1)).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn the_token_itself_is_not_stored_nor_shown() {
        let store = store().await;
        let user = store.create_user(&someone("a@example.com", Role::Admin), at(0)).await.unwrap();
        let new = store.create_session(&user.id, at(0)).await.unwrap();
        let stored: String =
            sqlx::query_scalar("SELECT token_hash FROM sessions").fetch_one(&store.pool).await.unwrap();
        assert_ne!(stored, new.token.expose_secret());
        assert!(store.session(&stored.into(), at(1)).await.unwrap().is_none());
        assert!(!format!("{new:?}").contains(new.token.expose_secret()));
    }

    #[tokio::test]
    async fn each_session_has_its_own_csrf_token() {
        let store = store().await;
        let user = store.create_user(&someone("a@example.com", Role::Admin), at(0)).await.unwrap();
        let (one, two) = (
            store.create_session(&user.id, at(0)).await.unwrap(),
            store.create_session(&user.id, at(0)).await.unwrap(),
        );
        let session = store.session(&one.token, at(1)).await.unwrap().unwrap();
        assert!(session.csrf_matches(one.csrf.expose_secret()));
        assert!(!session.csrf_matches(two.csrf.expose_secret()));
        assert!(!session.csrf_matches(""));
    }

    #[tokio::test]
    async fn sessions_end_one_by_one_and_all_at_once() {
        let store = store().await;
        let user = store.create_user(&someone("a@example.com", Role::Admin), at(0)).await.unwrap();
        let mut sessions = Vec::new();
        for _ in 0..3 {
            sessions.push(store.create_session(&user.id, at(0)).await.unwrap());
        }
        store.delete_session(&sessions[0].token).await.unwrap();
        assert!(store.session(&sessions[0].token, at(1)).await.unwrap().is_none());
        assert!(store.session(&sessions[1].token, at(1)).await.unwrap().is_some());
        assert_eq!(store.delete_sessions_of(&user.id).await.unwrap(), 2);
        assert!(store.session(&sessions[1].token, at(1)).await.unwrap().is_none());
    }
}
