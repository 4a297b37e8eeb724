//! Browsers that somebody has signed in with.
//!
//! Attempts to sign in are limited for each email address, and whoever knows the address can use them up. Limiting by
//! network address instead would not help: behind a proxy everybody has one, and an attacker has many. So a browser
//! that has signed in before keeps a token, and its attempts are counted by themselves: nobody else can lock it out, and
//! who steals the token has gained no more than a few guesses.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use crate::error::{Doing as _, StoreError};
use crate::store::Store;
use crate::token::{digest, new_token};

/// How long a browser is known after somebody last signed in with it.
pub const BROWSER_LIFETIME: TimeDelta = TimeDelta::days(365);

impl Store {
    /// Makes a browser known for the user who just signed in with it. A browser that is known keeps its token; else
    /// another one is given. Also forgets those that were not used for long.
    ///
    /// # Errors
    ///
    /// `Database` when there is no such user or it could not be stored.
    pub async fn remember_browser(
        &self,
        user_id: &str,
        known: Option<SecretString>,
        now: DateTime<Utc>,
    ) -> Result<SecretString, StoreError> {
        let expires_at = (now + BROWSER_LIFETIME).timestamp_micros();
        let mut change = self.write().await?;
        sqlx::query("DELETE FROM browsers WHERE expires_at <= $1")
            .bind(now.timestamp_micros())
            .execute(&mut *change)
            .await
            .doing("forget old browsers")?;
        let known = known.unwrap_or_default();
        let kept = sqlx::query("UPDATE browsers SET expires_at = $3 WHERE token_hash = $1 AND user_id = $2")
            .bind(digest(known.expose_secret()))
            .bind(user_id)
            .bind(expires_at)
            .execute(&mut *change)
            .await
            .doing("remember a browser")?;
        let token = if kept.rows_affected() > 0 { known } else { SecretString::from(new_token()) };
        sqlx::query(
            "INSERT INTO browsers (token_hash, user_id, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(digest(token.expose_secret()))
        .bind(user_id)
        .bind(expires_at)
        .execute(&mut *change)
        .await
        .doing("remember a browser")?;
        change.commit().await.doing("remember a browser")?;
        Ok(token)
    }

    /// The hash of the token when the browser is known for the user with this address; empty otherwise.
    pub(crate) async fn known_browser(
        &self,
        email: &str,
        browser: Option<&SecretString>,
        now: DateTime<Utc>,
    ) -> Result<String, StoreError> {
        let Some(browser) = browser else { return Ok(String::new()) };
        let found: Option<String> = sqlx::query_scalar(
            "SELECT b.token_hash FROM browsers AS b JOIN users AS u ON u.id = b.user_id \
             WHERE b.token_hash = $1 AND u.email = $2 AND b.expires_at > $3",
        )
        .bind(digest(browser.expose_secret()))
        .bind(email)
        .bind(now.timestamp_micros())
        .fetch_optional(&self.pool)
        .await
        .doing("look for a known browser")?;
        Ok(found.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passwords::tests::cheap;
    use crate::store::testing::{at, store};
    use crate::throttle::LOGIN_LIMIT;
    use crate::users::Role;
    use crate::users::tests::someone;

    async fn attempt(
        store: &Store,
        email: &str,
        password: &str,
        browser: Option<&SecretString>,
    ) -> Option<bool> {
        match store.begin_login(email, browser, at(10)).await {
            Ok(login) => {
                let checked = login.check(&cheap(), &password.into());
                Some(store.finish_login(checked).await.unwrap().is_some())
            }
            Err(StoreError::Throttled { .. }) => None,
            Err(other) => panic!("{other}"),
        }
    }

    #[tokio::test]
    async fn who_only_knows_the_address_cannot_lock_a_known_browser_out() {
        let store = store().await;
        let user = store.create_user(&someone("a@example.com", Role::Admin), at(0)).await.unwrap();
        let browser = store.remember_browser(&user.id, None, at(0)).await.unwrap();
        let guess: SecretString = "guessed".into();
        for _ in 0..LOGIN_LIMIT {
            assert_eq!(attempt(&store, "a@example.com", "wrong", Some(&guess)).await, Some(false));
        }
        assert_eq!(attempt(&store, "a@example.com", "correct horse", None).await, None);
        assert_eq!(attempt(&store, "a@example.com", "correct horse", Some(&browser)).await, Some(true));
        // The success is the known browser's own: it gives nobody else more attempts.
        assert_eq!(attempt(&store, "a@example.com", "wrong", None).await, None);
    }

    #[tokio::test]
    async fn a_known_browser_is_limited_too_and_known_for_its_user_only() {
        let store = store().await;
        let one = store.create_user(&someone("a@example.com", Role::Admin), at(0)).await.unwrap();
        store.create_user(&someone("b@example.com", Role::Admin), at(0)).await.unwrap();
        let browser = store.remember_browser(&one.id, None, at(0)).await.unwrap();
        for _ in 0..LOGIN_LIMIT {
            assert_eq!(attempt(&store, "a@example.com", "wrong", Some(&browser)).await, Some(false));
            assert_eq!(attempt(&store, "b@example.com", "wrong", Some(&browser)).await, Some(false));
        }
        assert_eq!(attempt(&store, "a@example.com", "correct horse", Some(&browser)).await, None);
        assert_eq!(attempt(&store, "b@example.com", "correct horse", None).await, None);
        assert_eq!(attempt(&store, "a@example.com", "correct horse", None).await, Some(true));
    }

    #[tokio::test]
    async fn a_browser_keeps_its_token_until_it_is_forgotten() {
        let store = store().await;
        let user = store.create_user(&someone("a@example.com", Role::Admin), at(0)).await.unwrap();
        let first = store.remember_browser(&user.id, None, at(0)).await.unwrap();
        let same = store.remember_browser(&user.id, Some(first.clone()), at(5)).await.unwrap();
        assert_eq!(first.expose_secret(), same.expose_secret());
        let made_up = store.remember_browser(&user.id, Some("made up".into()), at(5)).await.unwrap();
        assert_ne!(made_up.expose_secret(), "made up");
        let late = at(5) + BROWSER_LIFETIME;
        assert_eq!(store.known_browser("a@example.com", Some(&first), late).await.unwrap(), "");
    }
}
