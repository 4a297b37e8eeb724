//! Signing in, in three steps: [`Store::begin_login`] counts the attempt, [`Login::check`] does the slow work on a thread
//! that may block, [`Store::finish_login`] gives the user. The types allow no other order.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;

use crate::error::{Doing as _, StoreError};
use crate::passwords::{PasswordDigest, Passwords};
use crate::store::{Store, time};
use crate::token::new_id;
use crate::users::{User, UserRow, normalised};

/// How many attempts for one email address are heard within [`LOGIN_WINDOW`].
pub const LOGIN_LIMIT: i64 = 10;

/// For how long an attempt counts.
pub const LOGIN_WINDOW: TimeDelta = TimeDelta::minutes(15);

/// An attempt to sign in that was counted and may be checked.
#[derive(Debug)]
pub struct Login {
    counted: Counted,
    found: Option<(User, PasswordDigest)>,
}

/// An attempt whose password was checked. Whether it matched is said only by [`Store::finish_login`].
#[derive(Debug)]
pub struct CheckedLogin {
    counted: Counted,
    user: Option<User>,
}

/// With which attempts one is counted.
#[derive(Debug)]
struct Counted {
    email: String,
    /// The hash of a known browser's token; empty for all others together.
    browser: String,
}

impl Login {
    /// Checks the password. Slow on purpose, and as slow for an unknown or disabled user: run it where blocking is fine.
    #[must_use]
    pub fn check(self, passwords: &Passwords, password: &SecretString) -> CheckedLogin {
        let digest = self.found.as_ref().map(|(_, digest)| digest);
        let matches = passwords.verify(password, digest);
        let user = self.found.map(|(user, _)| user).filter(|user| matches && !user.disabled);
        CheckedLogin { counted: self.counted, user }
    }
}

impl Store {
    /// Counts an attempt to sign in. Unknown addresses are counted too, so that the answer does not tell who exists.
    /// Attempts of a browser that the user has signed in with before are counted apart: see
    /// [`Store::remember_browser`].
    ///
    /// # Errors
    ///
    /// `Throttled` when there were too many lately; that attempt is not counted.
    pub async fn begin_login(
        &self,
        email: &str,
        browser: Option<&SecretString>,
        now: DateTime<Utc>,
    ) -> Result<Login, StoreError> {
        let email = normalised(email).unwrap_or_default();
        let browser = self.known_browser(&email, browser, now).await?;
        let counted = Counted { email, browser };
        self.count_attempt(&counted, now).await?;
        let row: Option<UserRow> = sqlx::query_as(
            "SELECT id, email, name, role, password_hash, created_at, disabled FROM users WHERE email = $1",
        )
        .bind(&counted.email)
        .fetch_optional(&self.pool)
        .await
        .doing("read a user")?;
        let Some(row) = row else { return Ok(Login { counted, found: None }) };
        let digest = PasswordDigest(row.password_hash.clone());
        Ok(Login { counted, found: Some((row.user()?, digest)) })
    }

    /// The user, when the password was right; then those it was counted with start again with none.
    ///
    /// # Errors
    ///
    /// `Database` when the count could not be cleared.
    pub async fn finish_login(&self, checked: CheckedLogin) -> Result<Option<User>, StoreError> {
        let Some(user) = checked.user else { return Ok(None) };
        let Counted { email, browser } = &checked.counted;
        sqlx::query("DELETE FROM login_attempts WHERE email = $1 AND browser = $2")
            .bind(email)
            .bind(browser)
            .execute(&self.pool)
            .await
            .doing("clear the attempts to sign in")?;
        Ok(Some(user))
    }

    async fn count_attempt(&self, counted: &Counted, now: DateTime<Utc>) -> Result<(), StoreError> {
        let Counted { email, browser } = counted;
        let mut change = self.write().await?;
        sqlx::query("DELETE FROM login_attempts WHERE at <= $1")
            .bind((now - LOGIN_WINDOW).timestamp_micros())
            .execute(&mut *change)
            .await
            .doing("forget old attempts to sign in")?;
        let (count, oldest): (i64, Option<i64>) =
            sqlx::query_as("SELECT COUNT(*), MIN(at) FROM login_attempts WHERE email = $1 AND browser = $2")
                .bind(email)
                .bind(browser)
                .fetch_one(&mut *change)
                .await
                .doing("count the attempts to sign in")?;
        if let Some(oldest) = oldest.filter(|_| count >= LOGIN_LIMIT) {
            return Err(StoreError::Throttled { until: time(oldest)? + LOGIN_WINDOW });
        }
        sqlx::query("INSERT INTO login_attempts (id, email, browser, at) VALUES ($1, $2, $3, $4)")
            .bind(new_id("try"))
            .bind(email)
            .bind(browser)
            .bind(now.timestamp_micros())
            .execute(&mut *change)
            .await
            .doing("count an attempt to sign in")?;
        change.commit().await.doing("count an attempt to sign in")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passwords::tests::cheap;
    use crate::store::testing::{at, store};
    use crate::users::Role;
    use crate::users::tests::someone;

    async fn try_with(
        store: &Store,
        email: &str,
        password: &str,
        seconds: i64,
    ) -> Result<Option<User>, StoreError> {
        let login = store.begin_login(email, None, at(seconds)).await?;
        store.finish_login(login.check(&cheap(), &password.into())).await
    }

    #[tokio::test]
    async fn the_right_password_gives_the_user_and_nothing_else_does() {
        let store = store().await;
        store.create_user(&someone("admin@example.com", Role::Admin), at(0)).await.unwrap();
        let user = store.create_user(&someone("a@example.com", Role::Standard), at(0)).await.unwrap();
        assert_eq!(try_with(&store, "A@example.com", "correct horse", 1).await.unwrap(), Some(user.clone()));
        assert_eq!(try_with(&store, "a@example.com", "wrong", 1).await.unwrap(), None);
        assert_eq!(try_with(&store, "nobody@example.com", "correct horse", 1).await.unwrap(), None);
        store.set_user_disabled(&user.id, true).await.unwrap();
        assert_eq!(try_with(&store, "a@example.com", "correct horse", 2).await.unwrap(), None);
    }

    #[tokio::test]
    async fn too_many_attempts_wait_known_user_or_not() {
        let store = store().await;
        store.create_user(&someone("a@example.com", Role::Admin), at(0)).await.unwrap();
        for email in ["a@example.com", "nobody@example.com"] {
            for n in 0..LOGIN_LIMIT {
                assert_eq!(try_with(&store, email, "wrong", n).await.unwrap(), None);
            }
            let refused = try_with(&store, email, "correct horse", 20).await;
            let Err(StoreError::Throttled { until }) = refused else { panic!("{refused:?}") };
            assert_eq!(until, at(0) + LOGIN_WINDOW);
        }
        let after = LOGIN_WINDOW.num_seconds();
        assert!(try_with(&store, "a@example.com", "correct horse", after).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn success_clears_the_count() {
        let store = store().await;
        store.create_user(&someone("a@example.com", Role::Admin), at(0)).await.unwrap();
        for n in 0..3 * LOGIN_LIMIT {
            let password = if n % LOGIN_LIMIT == LOGIN_LIMIT - 1 { "correct horse" } else { "wrong" };
            try_with(&store, "a@example.com", password, n).await.unwrap();
        }
    }
}
