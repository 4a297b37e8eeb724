use chrono::{DateTime, Utc};
use sqlx::{Sqlite, Transaction};

use crate::error::{Doing as _, StoreError};
use crate::passwords::PasswordDigest;
use crate::store::{Store, time};
use crate::token::new_id;

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything, users and connections included.
    Admin,
    /// Everything but users.
    Standard,
    /// Look.
    ReadOnly,
}

/// Someone who may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `usr_...`; never changes.
    pub id: String,
    /// Lower case, without space around it; unique.
    pub email: String,
    /// As the user wrote it.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// When the user was made.
    pub created_at: DateTime<Utc>,
    /// Whether signing in is refused.
    pub disabled: bool,
}

/// A user to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Any case.
    pub email: String,
    /// What to call the user.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// From [`crate::Passwords::hash`].
    pub password: PasswordDigest,
}

impl Role {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Standard => "standard",
            Self::ReadOnly => "read_only",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        match text {
            "admin" => Ok(Self::Admin),
            "standard" => Ok(Self::Standard),
            "read_only" => Ok(Self::ReadOnly),
            _ => Err(StoreError::Unreadable { what: "role" }),
        }
    }
}

impl Store {
    /// Makes a user.
    ///
    /// # Errors
    ///
    /// `InvalidEmail`, or `EmailTaken` when another user has the address.
    pub async fn create_user(&self, new: &NewUser, now: DateTime<Utc>) -> Result<User, StoreError> {
        let mut change = self.write().await?;
        let user = insert(&mut change, new, now).await?;
        change.commit().await.doing("store a user")?;
        Ok(user)
    }

    /// Every user, by email address.
    ///
    /// # Errors
    ///
    /// `Database` when they could not be read.
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        let rows: Vec<UserRow> = sqlx::query_as(
            "SELECT id, email, name, role, password_hash, created_at, disabled FROM users ORDER BY email",
        )
        .fetch_all(&self.pool)
        .await
        .doing("list the users")?;
        rows.into_iter().map(UserRow::user).collect()
    }

    /// The user with this id.
    ///
    /// # Errors
    ///
    /// `Database` when it could not be read.
    pub async fn user(&self, id: &str) -> Result<Option<User>, StoreError> {
        let row: Option<UserRow> = sqlx::query_as(
            "SELECT id, email, name, role, password_hash, created_at, disabled FROM users WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await
        .doing("read a user")?;
        row.map(UserRow::user).transpose()
    }

    /// Lets a user sign in or not. Disabling ends the user's sessions.
    ///
    /// # Errors
    ///
    /// `NotFound`, or `LastAdmin` when nobody else could administer.
    pub async fn set_user_disabled(&self, id: &str, disabled: bool) -> Result<(), StoreError> {
        let mut change = self.write().await?;
        let done = sqlx::query("UPDATE users SET disabled = $2 WHERE id = $1")
            .bind(id)
            .bind(disabled)
            .execute(&mut *change)
            .await
            .doing("change a user")?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "user" });
        }
        if disabled {
            sqlx::query("DELETE FROM sessions WHERE user_id = $1")
                .bind(id)
                .execute(&mut *change)
                .await
                .doing("end a user's sessions")?;
        }
        require_admin(&mut change).await?;
        change.commit().await.doing("change a user")
    }

    /// Changes what a user may do; holds from the user's next request.
    ///
    /// # Errors
    ///
    /// `NotFound`, or `LastAdmin` when nobody else could administer.
    pub async fn set_user_role(&self, id: &str, role: Role) -> Result<(), StoreError> {
        let mut change = self.write().await?;
        let done = sqlx::query("UPDATE users SET role = $2 WHERE id = $1")
            .bind(id)
            .bind(role.text())
            .execute(&mut *change)
            .await
            .doing("change a user")?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "user" });
        }
        require_admin(&mut change).await?;
        change.commit().await.doing("change a user")
    }

    /// Replaces a user's password and ends the user's sessions.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such user.
    pub async fn set_password(&self, id: &str, password: &PasswordDigest) -> Result<(), StoreError> {
        let mut change = self.write().await?;
        let done = sqlx::query("UPDATE users SET password_hash = $2 WHERE id = $1")
            .bind(id)
            .bind(&password.0)
            .execute(&mut *change)
            .await
            .doing("change a password")?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "user" });
        }
        sqlx::query("DELETE FROM sessions WHERE user_id = $1")
            .bind(id)
            .execute(&mut *change)
            .await
            .doing("end a user's sessions")?;
        change.commit().await.doing("change a password")
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct UserRow {
    id: String,
    email: String,
    name: String,
    role: String,
    pub(crate) password_hash: String,
    created_at: i64,
    disabled: bool,
}

impl UserRow {
    pub(crate) fn user(self) -> Result<User, StoreError> {
        let Self { id, email, name, role, password_hash: _, created_at, disabled } = self;
        Ok(User { id, email, name, role: Role::parse(&role)?, created_at: time(created_at)?, disabled })
    }
}

/// Puts the row; the caller commits.
pub(crate) async fn insert(
    change: &mut Transaction<'static, Sqlite>,
    new: &NewUser,
    now: DateTime<Utc>,
) -> Result<User, StoreError> {
    let email = normalised(&new.email).ok_or(StoreError::InvalidEmail)?;
    let id = new_id("usr");
    let put = sqlx::query(
        "INSERT INTO users (id, email, name, role, password_hash, created_at, disabled) \
         VALUES ($1, $2, $3, $4, $5, $6, FALSE) ON CONFLICT (email) DO NOTHING",
    )
    .bind(&id)
    .bind(&email)
    .bind(new.name.trim())
    .bind(new.role.text())
    .bind(&new.password.0)
    .bind(now.timestamp_micros())
    .execute(&mut **change)
    .await
    .doing("store a user")?;
    if put.rows_affected() == 0 {
        return Err(StoreError::EmailTaken);
    }
    Ok(User { id, email, name: new.name.trim().to_owned(), role: new.role, created_at: now, disabled: false })
}

/// The address in the one form that is stored and compared.
pub(crate) fn normalised(email: &str) -> Option<String> {
    let email = email.trim().to_lowercase();
    let (local, domain) = email.rsplit_once('@')?;
    let plain = !local.is_empty() && !domain.is_empty() && email.len() <= 254;
    (plain && !email.contains(|c: char| c.is_whitespace() || c.is_control())).then_some(email)
}

async fn require_admin(change: &mut Transaction<'static, Sqlite>) -> Result<(), StoreError> {
    let admins: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM users WHERE role = $1 AND disabled = FALSE")
        .bind(Role::Admin.text())
        .fetch_one(&mut **change)
        .await
        .doing("count the administrators")?;
    if admins == 0 { Err(StoreError::LastAdmin) } else { Ok(()) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::passwords::tests::cheap;
    use crate::store::testing::{at, store};

    pub(crate) fn someone(email: &str, role: Role) -> NewUser {
        let password = cheap().hash(&"correct horse".into()).unwrap();
        NewUser { email: email.to_owned(), name: "Ada".to_owned(), role, password }
    }

    #[tokio::test]
    async fn an_email_address_is_normalised_and_unique() {
        let store = store().await;
        let user = store.create_user(&someone(" Ada@Example.com ", Role::Standard), at(0)).await.unwrap();
        assert_eq!(user.email, "ada@example.com");
        assert_eq!(store.user(&user.id).await.unwrap(), Some(user));
        let twice = store.create_user(&someone("ADA@example.com", Role::Admin), at(1)).await;
        assert!(matches!(twice, Err(StoreError::EmailTaken)));
        for bad in ["", "ada", "@example.com", "ada@", "a da@example.com"] {
            let refused = store.create_user(&someone(bad, Role::Admin), at(1)).await;
            assert!(matches!(refused, Err(StoreError::InvalidEmail)), "{bad}");
        }
        assert_eq!(store.users().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn the_last_admin_stays() {
        let store = store().await;
        let first = store.create_user(&someone("a@example.com", Role::Admin), at(0)).await.unwrap();
        assert!(matches!(store.set_user_disabled(&first.id, true).await, Err(StoreError::LastAdmin)));
        assert!(matches!(store.set_user_role(&first.id, Role::ReadOnly).await, Err(StoreError::LastAdmin)));
        store.create_user(&someone("b@example.com", Role::Admin), at(0)).await.unwrap();
        store.set_user_disabled(&first.id, true).await.unwrap();
        assert!(store.user(&first.id).await.unwrap().unwrap().disabled);
    }

    #[tokio::test]
    async fn disabling_or_a_new_password_ends_the_sessions() {
        let store = store().await;
        store.create_user(&someone("admin@example.com", Role::Admin), at(0)).await.unwrap();
        let user = store.create_user(&someone("a@example.com", Role::Standard), at(0)).await.unwrap();
        let session = store.create_session(&user.id, at(0)).await.unwrap();
        store.set_password(&user.id, &cheap().hash(&"new horse".into()).unwrap()).await.unwrap();
        assert!(store.session(&session.token, at(1)).await.unwrap().is_none());
        let session = store.create_session(&user.id, at(2)).await.unwrap();
        store.set_user_disabled(&user.id, true).await.unwrap();
        assert!(store.session(&session.token, at(3)).await.unwrap().is_none());
    }
}
