//! Scripts, styles and fonts: part of the program, told apart by their hash.

use axum::{
    extract::Path,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, header};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../ui/dist"]
struct Dist;

/// Files that never change under one name: their name holds their hash.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// Files to ask for again, which is cheap with an ETag.
const REVALIDATE: &str = "no-cache";

/// Gives a file, or says that the browser's copy is good.
pub(super) async fn serve(Path(path): Path<String>, asked: HeaderMap) -> Response {
    let Some(file) = Dist::get(&path) else {
        return (StatusCode::NOT_FOUND, "there is no such file").into_response();
    };
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(file.metadata.sha256_hash()));
    let cache =
        if path.starts_with("chunks/") || path.starts_with("files/") { IMMUTABLE } else { REVALIDATE };
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|given| given.as_bytes() == tag.as_bytes());
    let headers = [
        (header::CONTENT_TYPE, kind(&path).to_owned()),
        (header::ETAG, tag),
        (header::CACHE_CONTROL, cache.to_owned()),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, file.data.into_owned()).into_response()
}

fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("woff2") => "font/woff2",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
