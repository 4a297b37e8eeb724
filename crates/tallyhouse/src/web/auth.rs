//! Who is asking, and what they may do. A handler that takes an [`Admin`] cannot be reached by anybody else.

use axum::extract::FromRequestParts;
use http::{HeaderMap, Method, header, request::Parts};
use secrecy::{ExposeSecret, SecretString};
use store::{Role, Session};

use super::{App, Refusal, callback, connections};

/// Somebody who is signed in.
#[derive(Debug)]
pub(super) struct Viewer {
    /// Their session.
    pub(super) session: Session,
}

/// Somebody who may see numbers: Standard or Admin.
#[derive(Debug)]
pub(super) struct Analyst(pub(super) Viewer);

/// Somebody who may do everything.
#[derive(Debug)]
pub(super) struct Admin(pub(super) Viewer);

impl Viewer {
    /// What the forms of this session carry.
    pub(super) fn csrf(&self) -> &str {
        self.session.csrf.expose_secret()
    }

    /// What they may do.
    pub(super) fn role(&self) -> Role {
        self.session.user.role
    }

    /// For the audit log.
    pub(super) fn id(&self) -> &str {
        &self.session.user.id
    }
}

/// What a role is called on the pages.
pub(super) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "Admin",
        Role::Standard => "Standard",
        Role::ReadOnly => "Read-Only",
    }
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let session = match session_token(&parts.headers, app) {
            Some(token) => app.store.session(&token, app.clock.now()).await.map_err(Refusal::store)?,
            None => None,
        };
        if let Some(session) = session {
            return Ok(Self { session });
        }
        if app.store.needs_setup().await.map_err(Refusal::store)? {
            return Err(Refusal::not_set_up());
        }
        Err(Refusal::sign_in(next(parts).as_deref()))
    }
}

/// Where somebody who is not signed in wanted to go. What Stripe sends people back with is not kept: it is for the session
/// that asked, and holds a code that opens an account.
fn next(parts: &Parts) -> Option<String> {
    if parts.uri.path() == callback::PATH {
        return Some(format!("/admin/connections?note={}", connections::SESSION_ENDED));
    }
    let reads = parts.method == Method::GET;
    parts.uri.path_and_query().filter(|_| reads).map(ToString::to_string)
}

impl FromRequestParts<App> for Analyst {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let viewer = Viewer::from_request_parts(parts, app).await?;
        match viewer.role() {
            Role::Admin | Role::Standard => Ok(Self(viewer)),
            Role::ReadOnly => Err(Refusal::needs_role(&viewer, Role::Standard)),
        }
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let viewer = Viewer::from_request_parts(parts, app).await?;
        match viewer.role() {
            Role::Admin => Ok(Self(viewer)),
            Role::Standard | Role::ReadOnly => Err(Refusal::needs_role(&viewer, Role::Admin)),
        }
    }
}

impl AsRef<Viewer> for Viewer {
    fn as_ref(&self) -> &Viewer {
        self
    }
}

impl AsRef<Viewer> for Admin {
    fn as_ref(&self) -> &Viewer {
        &self.0
    }
}

/// Cookies of this installation. With https their names bind them to this host.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cookie {
    /// The session.
    Session,
    /// What forms carry before there is a session.
    Form,
    /// Somebody has signed in with this browser before.
    Browser,
}

impl Cookie {
    fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Session, true) => "__Host-tallyhouse_session",
            (Self::Session, false) => "tallyhouse_session",
            (Self::Form, true) => "__Host-tallyhouse_form",
            (Self::Form, false) => "tallyhouse_form",
            (Self::Browser, true) => "__Host-tallyhouse_browser",
            (Self::Browser, false) => "tallyhouse_browser",
        }
    }

    /// What the browser sent.
    pub(super) fn read<'a>(self, headers: &'a HeaderMap, app: &App) -> Option<&'a str> {
        let name = self.name(app.is_secure());
        let sent = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            sent.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(given, _)| *given == name).map(|(_, value)| value)
    }

    /// The header that sets it for so many seconds; 0 takes it away.
    pub(super) fn set(self, value: &str, seconds: i64, app: &App) -> String {
        let name = self.name(app.is_secure());
        let secure = if app.is_secure() { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
    }
}

/// The token by which the browser claims to be known.
pub(super) fn browser_token(headers: &HeaderMap, app: &App) -> Option<SecretString> {
    Cookie::Browser.read(headers, app).map(|token| SecretString::from(token.to_owned()))
}

/// The token of the session that the browser claims.
pub(super) fn session_token(headers: &HeaderMap, app: &App) -> Option<SecretString> {
    Cookie::Session.read(headers, app).map(|token| SecretString::from(token.to_owned()))
}
