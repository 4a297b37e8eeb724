//! The way back from Stripe. The state is used up first, whatever the answer says: what was not asked for is not read.

use axum::{
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use secrecy::SecretString;
use serde::Deserialize;
use store::{How, OauthPurpose, OauthStateError, StoreError};

use super::{
    Admin, App, Granted, Refusal, Viewer,
    connect::about,
    connections::{self, reauthenticate},
    grants::Access,
    join::{Accepted, Joined, Purpose, join},
    page::{Flash, Tone},
    sign_in::audit,
    words::sentence,
};

/// Where Stripe sends people back to.
pub(super) const PATH: &str = "/oauth/callback";

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
    /// What became of access that was granted all the same.
    access: Option<Access>,
}

/// Makes the connection, or says why not.
pub(super) async fn arrive(
    State(app): State<App>,
    Admin(viewer): Admin,
    Query(answer): Query<Answer>,
) -> Result<Response, Refusal> {
    match finish(&app, &viewer, answer).await? {
        Ok(Joined { to, .. }) => Ok(Redirect::to(&to).into_response()),
        Err(Failed { title, sentence, again, access }) => {
            audit(&app, viewer.id(), "connection.refused", title).await?;
            let access = access.map(|access| format!(" {}", access.words())).unwrap_or_default();
            let text = format!("{sentence} Nothing was connected and nothing was changed.{access}");
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
    let failed = |(title, sentence), access| Failed { title, sentence, again, access };
    let Some(code) = answer.code else {
        let sentence = declined(answer.error.as_deref(), &answer.error_description);
        return Ok(Err(failed(("Stripe gave no access", sentence), None)));
    };
    let joined = trade(app, viewer, purpose, &code).await?;
    Ok(joined.map_err(|(refused, access)| failed(refused, access)))
}

/// A title and sentences.
type Refused = (&'static str, String);

/// Trades the code and connects what it opens. Access that no connection comes to live by is given back.
async fn trade(
    app: &App,
    viewer: &Viewer,
    purpose: Purpose,
    code: &SecretString,
) -> Result<Result<Joined, (Refused, Option<Access>)>, Refusal> {
    let turn = app.grants.turn().await;
    let granted = match app.stripe.exchange(code).await {
        Ok(granted) => granted,
        Err(error) => return Ok(Err((("Stripe gave no access", about(&error)), None))),
    };
    let account_id = granted.account_id.clone();
    // The platform that traded the code is the one to give the access back.
    let livemode = app.settings.oauth.as_ref().map_or(granted.livemode, |oauth| oauth.livemode);
    match take(app, viewer, purpose, granted).await {
        Ok(Ok(joined)) => Ok(Ok(joined)),
        refused => {
            let access = turn.give_back(app, &account_id, livemode).await;
            Ok(refused?.map_err(|refused| (refused, Some(access))))
        }
    }
}

/// Looks whose account was opened, and connects it.
async fn take(
    app: &App,
    viewer: &Viewer,
    purpose: Purpose,
    granted: Granted,
) -> Result<Result<Joined, Refused>, Refusal> {
    let accepted = match accepted(app, granted).await {
        Ok(accepted) => accepted,
        Err(refused) => return Ok(Err(refused)),
    };
    let joined = join(app, viewer, purpose, accepted).await?;
    Ok(joined.map_err(|sentence| ("This account cannot be connected", sentence)))
}

async fn accepted(app: &App, granted: Granted) -> Result<Accepted, Refused> {
    let expected = app.settings.oauth.as_ref().map(|oauth| oauth.livemode);
    if expected.is_some_and(|livemode| livemode != granted.livemode) {
        return Err(("Wrong mode", wrong_mode(granted.livemode)));
    }
    let account = app.stripe.account(&granted.credentials).await;
    let account = account.map_err(|error| ("Stripe gave no access", about(&error)))?;
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
    Failed { title, sentence: sentence(&refused.to_string()), again: again.to_owned(), access: None }
}
