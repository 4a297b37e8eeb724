//! Who is calling: keys, restricted keys, OAuth tokens and connected accounts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode, header};

use super::Sim;
use super::error::ApiError;
use super::oauth::Standing;
use super::options::Access;

/// A caller whose key was recognised.
pub(super) struct Caller {
    /// The key as sent.
    pub(super) key: String,
    /// What it opens.
    pub(super) access: Access,
    /// The account whose data it asks for.
    pub(super) account: String,
    /// What of the world it sees.
    pub(super) view: View,
}

/// What of the world a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// The world's objects.
    World,
    /// The other mode of the same account, which is empty.
    OtherMode,
    /// The platform's own account, which is empty.
    Platform,
}

/// The account of the platform that registered the application.
pub(super) const PLATFORM_ACCOUNT: &str = "acct_simulatedPlatform";

impl Sim {
    /// The caller behind a request.
    pub(super) fn identify(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let key = presented_key(headers).ok_or_else(no_key)?;
        let mut caller = self.owner_of(key)?;
        let wanted = headers.get("stripe-account").and_then(|value| value.to_str().ok());
        if let Some(wanted) = wanted.filter(|wanted| *wanted != caller.account) {
            self.act_for(&mut caller, wanted)?;
        }
        Ok(caller)
    }

    fn owner_of(&self, key: String) -> Result<Caller, ApiError> {
        if key.starts_with("pk_") {
            return Err(ApiError::new(StatusCode::FORBIDDEN, PUBLISHABLE).code("secret_key_required"));
        }
        let options = &self.inner.options;
        if let Some(known) = options.keys.iter().find(|known| known.secret == key) {
            let view = if is_live(&key) == options.livemode { View::World } else { View::OtherMode };
            return Ok(Caller {
                access: known.access.clone(),
                account: self.account_id().to_owned(),
                view,
                key,
            });
        }
        if options.applications.iter().any(|application| application.platform_key == key) {
            let account = PLATFORM_ACCOUNT.to_owned();
            return Ok(Caller { access: Access::Full, account, view: View::Platform, key });
        }
        match self.grants().standing_of_token(&key) {
            Standing::Granted { read_only } => {
                let access = if read_only { Access::ReadAll } else { Access::Full };
                Ok(Caller { access, account: self.account_id().to_owned(), view: View::World, key })
            }
            Standing::Revoked => {
                let message = format!("Expired API Key provided: {}", masked(&key));
                Err(ApiError::unauthorized(message).code("api_key_expired"))
            }
            Standing::Never => {
                Err(ApiError::unauthorized(format!("Invalid API Key provided: {}", masked(&key))))
            }
        }
    }

    /// Lets a platform act for an account that granted it access.
    fn act_for(&self, caller: &mut Caller, wanted: &str) -> Result<(), ApiError> {
        let applications = &self.inner.options.applications;
        let application = applications.iter().find(|application| application.platform_key == caller.key);
        let standing = match application {
            Some(application) if wanted == self.account_id() => {
                self.grants().standing_of_application(&application.client_id)
            }
            Some(_) | None => Standing::Never,
        };
        let status = match standing {
            Standing::Granted { read_only } => {
                caller.access = if read_only { Access::ReadAll } else { Access::Full };
                wanted.clone_into(&mut caller.account);
                caller.view = View::World;
                return Ok(());
            }
            Standing::Revoked => StatusCode::UNAUTHORIZED,
            Standing::Never => StatusCode::FORBIDDEN,
        };
        let message = format!(
            "The provided key '{}' does not have access to account '{wanted}' (or that account does not exist). \
             Application access may have been revoked.",
            masked(&caller.key)
        );
        Err(ApiError::new(status, message).code("account_invalid"))
    }
}

impl Caller {
    /// Passes if the key may do what `permission` names.
    pub(super) fn require(&self, permission: &str) -> Result<(), ApiError> {
        let allowed = match &self.access {
            Access::Full => true,
            Access::ReadAll => permission.ends_with("_read"),
            Access::Permissions(names) => names.iter().any(|name| name == permission),
        };
        if allowed {
            return Ok(());
        }
        Err(ApiError::new(
            StatusCode::FORBIDDEN,
            format!(
                "The provided key '{}' does not have the required permissions for this endpoint on account '{}'. \
                 Having the '{permission}' permission would allow this request to continue.",
                masked(&self.key),
                self.account
            ),
        ))
    }
}

/// The key in the `Authorization` header: as bearer token, or as user name of basic authentication.
pub(super) fn presented_key(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let key = if scheme.eq_ignore_ascii_case("bearer") {
        rest.trim().to_owned()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        decoded.split_once(':').map_or(decoded.as_str(), |(user, _)| user).to_owned()
    } else {
        return None;
    };
    (!key.is_empty()).then_some(key)
}

fn is_live(key: &str) -> bool {
    key.split('_').nth(1) == Some("live")
}

/// A key fit for a message: prefix and last four characters.
fn masked(key: &str) -> String {
    let count = key.chars().count();
    let shown = key.match_indices('_').nth(1).map_or(0, |(at, _)| at + 1);
    key.chars()
        .enumerate()
        .map(|(at, letter)| if at < shown || at + 4 >= count { letter } else { '*' })
        .collect()
}

fn no_key() -> ApiError {
    ApiError::unauthorized(
        "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer \
         auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for \
         details, or we can help at https://support.stripe.com/.",
    )
}

const PUBLISHABLE: &str = "This API call cannot be made with a publishable API key. Please use a secret API key. You \
    can find a list of your API keys at https://dashboard.stripe.com/account/apikeys.";
