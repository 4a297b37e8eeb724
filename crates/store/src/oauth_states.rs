use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::error::{Doing as _, StoreError};
use crate::store::Store;
use crate::token::{digest, new_token};

/// What the user set out to do when leaving for Stripe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "snake_case")]
pub enum OauthPurpose {
    /// Make a connection.
    Connect {
        /// Its name.
        name: String,
    },
    /// Give a connection new credentials.
    Reauthenticate {
        /// Which one.
        connection_id: String,
    },
}

/// Why an OAuth state is refused. Nothing may be stored then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OauthStateError {
    /// It was never given out: forged, or long forgotten.
    #[error("this answer from Stripe was not asked for: start connecting again")]
    Unknown,
    /// The user took too long.
    #[error("connecting took longer than ten minutes: start connecting again")]
    Expired,
    /// It came a second time.
    #[error("this answer from Stripe was used already: start connecting again if the connection is missing")]
    Used,
    /// It was given to another session.
    #[error("connecting was started in another session: start connecting again in this one")]
    OtherSession,
}

impl Store {
    /// A new state for the way to Stripe and back, bound to the session and good for ten minutes.
    ///
    /// # Errors
    ///
    /// `Database` when it could not be stored.
    pub async fn create_oauth_state(
        &self,
        session_hash: &str,
        purpose: &OauthPurpose,
        now: DateTime<Utc>,
    ) -> Result<SecretString, StoreError> {
        let text = serde_json::to_string(purpose)
            .map_err(|source| StoreError::Json { what: "purpose of an OAuth state", source })?;
        let state = new_token();
        sqlx::query("DELETE FROM oauth_states WHERE expires_at <= $1")
            .bind((now - REMEMBERED).timestamp_micros())
            .execute(&self.pool)
            .await
            .doing("forget old OAuth states")?;
        sqlx::query(
            "INSERT INTO oauth_states (state_hash, session_hash, purpose, expires_at, used_at) \
             VALUES ($1, $2, $3, $4, NULL)",
        )
        .bind(digest(&state))
        .bind(session_hash)
        .bind(text)
        .bind((now + LIFETIME).timestamp_micros())
        .execute(&self.pool)
        .await
        .doing("store an OAuth state")?;
        Ok(state.into())
    }

    /// Uses a state up and says what it was for. Of any number of callers at once, one succeeds; another session's
    /// attempt does not use it up.
    ///
    /// # Errors
    ///
    /// `OauthState` says why it is refused.
    pub async fn consume_oauth_state(
        &self,
        state: &SecretString,
        session_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<OauthPurpose, StoreError> {
        let hash = digest(state.expose_secret());
        let purpose: Option<String> = sqlx::query_scalar(
            "UPDATE oauth_states SET used_at = $3 \
             WHERE state_hash = $1 AND session_hash = $2 AND used_at IS NULL AND expires_at > $3 RETURNING purpose",
        )
        .bind(&hash)
        .bind(session_hash)
        .bind(now.timestamp_micros())
        .fetch_optional(&self.pool)
        .await
        .doing("use an OAuth state up")?;
        let Some(purpose) = purpose else { return Err(self.why_refused(&hash, session_hash).await?.into()) };
        serde_json::from_str(&purpose)
            .map_err(|_| StoreError::Unreadable { what: "purpose of an OAuth state" })
    }

    async fn why_refused(&self, hash: &str, session_hash: &str) -> Result<OauthStateError, StoreError> {
        let row: Option<(String, Option<i64>)> =
            sqlx::query_as("SELECT session_hash, used_at FROM oauth_states WHERE state_hash = $1")
                .bind(hash)
                .fetch_optional(&self.pool)
                .await
                .doing("read an OAuth state")?;
        Ok(match row {
            None => OauthStateError::Unknown,
            Some((session, _)) if session != session_hash => OauthStateError::OtherSession,
            Some((_, Some(_))) => OauthStateError::Used,
            Some((_, None)) => OauthStateError::Expired,
        })
    }
}

const LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// How long an ended state is kept, to tell a replayed one from a forged one.
const REMEMBERED: TimeDelta = TimeDelta::days(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{at, key, store};

    fn purpose() -> OauthPurpose {
        OauthPurpose::Connect { name: "shop".to_owned() }
    }

    fn refusal(result: &Result<OauthPurpose, StoreError>) -> OauthStateError {
        let Err(StoreError::OauthState(error)) = result else { panic!("{result:?}") };
        *error
    }

    #[tokio::test]
    async fn trap_27_oauth_state_is_single_use() {
        let store = store().await;
        let state = store.create_oauth_state("mine", &purpose(), at(0)).await.unwrap();
        assert_eq!(store.consume_oauth_state(&state, "mine", at(1)).await.unwrap(), purpose());
        let replayed = store.consume_oauth_state(&state, "mine", at(2)).await;
        assert_eq!(refusal(&replayed), OauthStateError::Used);
        let forged = store.consume_oauth_state(&"forged".into(), "mine", at(2)).await;
        assert_eq!(refusal(&forged), OauthStateError::Unknown);
    }

    #[tokio::test]
    async fn it_expires_after_ten_minutes() {
        let store = store().await;
        let state = store.create_oauth_state("mine", &purpose(), at(0)).await.unwrap();
        assert_eq!(
            refusal(&store.consume_oauth_state(&state, "mine", at(600)).await),
            OauthStateError::Expired
        );
        assert_eq!(store.consume_oauth_state(&state, "mine", at(599)).await.unwrap(), purpose());
    }

    #[tokio::test]
    async fn another_session_is_refused_and_does_not_use_it_up() {
        let store = store().await;
        let again = OauthPurpose::Reauthenticate { connection_id: "con_1".to_owned() };
        let state = store.create_oauth_state("mine", &again, at(0)).await.unwrap();
        assert_eq!(
            refusal(&store.consume_oauth_state(&state, "theirs", at(1)).await),
            OauthStateError::OtherSession
        );
        assert_eq!(store.consume_oauth_state(&state, "mine", at(2)).await.unwrap(), again);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_many_at_once_one_uses_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = std::sync::Arc::new(Store::open(&dir.path().join("store.db"), key(1)).await.unwrap());
        let state = store.create_oauth_state("mine", &purpose(), at(0)).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (store, state) = (std::sync::Arc::clone(&store), state.clone());
            tasks.spawn(async move { store.consume_oauth_state(&state, "mine", at(1)).await });
        }
        assert_eq!(tasks.join_all().await.into_iter().filter(Result::is_ok).count(), 1);
    }
}
