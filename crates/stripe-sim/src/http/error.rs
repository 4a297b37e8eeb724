//! Answers that say no, in Stripe's own envelope and wording.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

/// A refusal in Stripe's error envelope.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) code: Option<&'static str>,
    pub(super) message: String,
    pub(super) param: Option<String>,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let kind = if status.is_server_error() { "api_error" } else { "invalid_request_error" };
        Self { status, kind, code: None, message: message.into(), param: None, headers: Vec::new() }
    }

    pub(super) fn bad(message: impl Into<String>, param: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message).param(param)
    }

    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    /// 404 for an object asked for by its address; 400 when only a parameter names it.
    pub(super) fn missing(object: &str, id: &str, param: &str) -> Self {
        let status = if param == "id" { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
        Self::new(status, format!("No such {object}: '{id}'")).code("resource_missing").param(param)
    }

    pub(super) fn unrecognized(method: &str, path: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!(
                "Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at \
                 https://support.stripe.com/."
            ),
        )
    }

    pub(super) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(super) fn param(mut self, param: &str) -> Self {
        self.param = Some(param.to_owned());
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The refusal in the envelope of API v2.
    pub(super) fn respond_v2(self, request_id: &str) -> Response {
        let Self { status, kind, code, message, headers, param: _ } = self;
        let code = match (code, status) {
            (_, StatusCode::NOT_FOUND) => "not_found",
            (Some(code), _) => code,
            (None, StatusCode::FORBIDDEN) => "forbidden",
            (None, StatusCode::UNAUTHORIZED) => "unauthorized",
            (None, _) => "invalid_fields",
        };
        let log = format!("https://dashboard.stripe.com/logs/{request_id}");
        let error =
            json!({ "error": { "code": code, "message": message, "request_log_url": log, "type": kind } });
        with_headers(json_response(status, error.to_string()), headers)
    }

    pub(super) fn respond(self, request_id: &str) -> Response {
        let Self { status, kind, code, message, param, headers } = self;
        let mut error = Map::new();
        if let Some(code) = code {
            error.insert("code".to_owned(), json!(code));
            let page = code.replace('_', "-");
            error.insert("doc_url".to_owned(), json!(format!("https://stripe.com/docs/error-codes/{page}")));
        }
        error.insert("message".to_owned(), json!(message));
        if let Some(param) = param {
            error.insert("param".to_owned(), json!(param));
        }
        let log = format!("https://dashboard.stripe.com/logs/{request_id}");
        error.insert("request_log_url".to_owned(), json!(log));
        error.insert("type".to_owned(), json!(kind));
        with_headers(json_response(status, json!({ "error": Value::Object(error) }).to_string()), headers)
    }
}

fn with_headers(mut response: Response, headers: Vec<(&'static str, String)>) -> Response {
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// An answer whose body is already JSON.
pub(super) fn json_response(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
