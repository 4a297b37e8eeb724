//! Forms: read only when they carry the token of the session that sends them.

use axum::{
    Form,
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Request},
};
use http::request::Parts;
use serde::{Deserialize, de::DeserializeOwned};

use super::{App, Refusal, auth::Viewer};

/// A form that a page of the viewer's own session sent. `V` says who may send it.
#[derive(Debug)]
pub(super) struct Posted<V, T> {
    /// Who sent it.
    pub(super) by: V,
    /// What it says.
    pub(super) form: T,
}

/// A form without fields of its own.
#[derive(Debug, Deserialize)]
pub(super) struct Nothing {}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    csrf: String,
}

impl<V, T> FromRequest<App> for Posted<V, T>
where
    V: FromRequestParts<App, Rejection = Refusal> + AsRef<Viewer> + Send,
    T: DeserializeOwned,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let by = V::from_request_parts(&mut parts, app).await?;
        let body = Bytes::from_request(Request::from_parts(parts.clone(), body), app).await;
        let body = body.map_err(|_| Refusal::unreadable_form())?;
        let Token { csrf } = read(&parts, &body).await?;
        if !by.as_ref().session.csrf_matches(&csrf) {
            return Err(Refusal::foreign_form());
        }
        Ok(Self { by, form: read(&parts, &body).await? })
    }
}

async fn read<T: DeserializeOwned>(parts: &Parts, body: &Bytes) -> Result<T, Refusal> {
    let request = Request::from_parts(parts.clone(), Body::from(body.clone()));
    let form = Form::<T>::from_request(request, &()).await;
    form.map(|Form(form)| form).map_err(|_| Refusal::unreadable_form())
}
