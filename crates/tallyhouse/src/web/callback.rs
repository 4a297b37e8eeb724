//! The way back from Stripe. The state is used up first, whatever the answer says: what was not asked for is not read.

use axum::{
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use secrecy::SecretString;
use serde::Deserialize;
use store::{How, OauthPurpose, OauthStateError, StoreError};

use super::{
    Admin, App, Refusal, Viewer,
    access::AccessError,
    connect::{Accepted, Joined, Purpose, about, join},
    connections::{self, reauthenticate},
    page::{Flash, Tone},
    sign_in::audit,
    words::sentence,
};

/// What Stripe sends a person back with.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    state: SecretString,
    code: Option<SecretString>,
    error: Option<String>,
    #[serde(default)]
    error_description: String,
}

/// Why there is no connection: a title, sentences and where to try again.
struct Failed {
    title: &'static str,
    sentence: String,
    again: String,
}

/// Makes the connection, or says why not.
pub(super) async fn arrive(
    State(app): State<App>,
    Admin(viewer): Admin,
    Query(answer): Query<Answer>,
) -> Result<Response, Refusal> {
    match finish(&app, &viewer, answer).await? {
        Ok(Joined { to, .. }) => Ok(Redirect::to(&to).into_response()),
        Err(Failed { title, sentence, again }) => {
            audit(&app, viewer.id(), "connection.refused", title).await?;
            let text = format!("{sentence} Nothing was connected and nothing was changed.");
            let way = Some((again, "Try again"));
            connections::refuse(
                &app,
                &viewer,
                Flash { tone: Tone::Bad, title: format!("{title}."), text, way },
            )
            .await
        }
    }
}

async fn finish(app: &App, viewer: &Viewer, answer: Answer) -> Result<Result<Joined, Failed>, Refusal> {
    let hash = &viewer.session.token_hash;
    let purpose = match app.store.consume_oauth_state(&answer.state, hash, app.clock.now()).await {
        Ok(purpose) => purpose,
        Err(StoreError::OauthState(refused)) => return Ok(Err(stale(refused))),
        Err(error) => return Err(Refusal::store(error)),
    };
    let purpose = match purpose {
        OauthPurpose::Connect { name } => Purpose::Make(name),
        OauthPurpose::Reauthenticate { connection_id } => {
            let found = app.store.connection(&connection_id).await.map_err(Refusal::store)?;
            let connection =
                found.ok_or_else(|| Refusal::nothing_here(Some(viewer), "such connection any more"))?;
            Purpose::Again(Box::new(connection))
        }
    };
    let again = match &purpose {
        Purpose::Make(_) => "/admin/connections/new/stripe".to_owned(),
        Purpose::Again(connection) => reauthenticate(&connection.name),
    };
    let failed = |title, sentence| Failed { title, sentence, again };
    let Some(code) = answer.code else {
        return Ok(Err(failed(
            "Stripe gave no access",
            declined(answer.error.as_deref(), &answer.error_description),
        )));
    };
    let accepted = match accepted(app, &code).await {
        Ok(accepted) => accepted,
        Err((title, sentence)) => return Ok(Err(failed(title, sentence))),
    };
    let joined = join(app, viewer, purpose, accepted).await?;
    Ok(joined.map_err(|sentence| failed("This account cannot be connected", sentence)))
}

/// Trades the code, and looks whose account it opens.
async fn accepted(app: &App, code: &SecretString) -> Result<Accepted, (&'static str, String)> {
    let refused = |error: AccessError| ("Stripe gave no access", about(&error));
    let granted = app.stripe.exchange(code).await.map_err(refused)?;
    let expected = app.settings.oauth.as_ref().map(|oauth| oauth.livemode);
    if expected.is_some_and(|livemode| livemode != granted.livemode) {
        return Err(("Wrong mode", wrong_mode(granted.livemode)));
    }
    let account = app.stripe.account(&granted.credentials).await.map_err(refused)?;
    if account.id != granted.account_id {
        let sentence = "Stripe gave access to one account and answered for another. Try again; if it stays so, paste a restricted key instead.";
        return Err(("Another account", sentence.to_owned()));
    }
    Ok(Accepted { account, livemode: granted.livemode, how: How::Oauth, credentials: granted.credentials })
}

fn wrong_mode(livemode: bool) -> String {
    let (got, have) = if livemode { ("live", "test") } else { ("test", "live") };
    format!(
        "Stripe gave access to {got} data, but this installation's platform key is a {have} one. \
         Switch the account to {have} mode on Stripe's page, or paste a restricted {got} key instead."
    )
}

/// Somebody clicked Deny, or Stripe would not ask them.
fn declined(error: Option<&str>, description: &str) -> String {
    match error {
        Some("access_denied") => {
            "Access was declined on Stripe's page. If that was a mistake, try again and choose to allow it.".to_owned()
        }
        Some("invalid_scope") => {
            "Stripe does not grant read-only access to this platform. Set the scope to read_write in the configuration \
             (Tallyhouse still only reads), or paste a restricted key instead."
                .to_owned()
        }
        Some(other) => {
            let words = if description.is_empty() { other } else { description };
            format!("Stripe said: {} Try again, or paste a restricted key instead.", sentence(words))
        }
        None => "Stripe's answer holds no code. Try again, or paste a restricted key instead.".to_owned(),
    }
}

fn stale(refused: OauthStateError) -> Failed {
    let title = match refused {
        OauthStateError::Unknown => "This answer was not asked for",
        OauthStateError::Expired => "That took too long",
        OauthStateError::Used => "This answer was used already",
        OauthStateError::OtherSession => "Another session began this",
    };
    let again = match refused {
        OauthStateError::Used => "/admin/connections",
        OauthStateError::Unknown | OauthStateError::Expired | OauthStateError::OtherSession => {
            "/admin/connections/new/stripe"
        }
    };
    Failed { title, sentence: sentence(&refused.to_string()), again: again.to_owned() }
}
