//! What carries requests and answers.

use std::{future::Future, pin::Pin, time::Duration};

use bytes::{Bytes, BytesMut};
use secrecy::SecretString;
use serde::de::Error;
use url::{Host, Url};

use crate::{KeyKind, Mode, StripeError, error::Obstacle};

/// Chooses what encrypts connections, for the whole process; once is enough, again is harmless.
pub fn install_tls() {
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
}

/// Carries requests somewhere else than to a socket: a test's simulator stands in the same process, so that nothing
/// but the test decides what happens in which order.
pub trait InProcess: Send + Sync + 'static {
    /// The answer, whole. An error is what a broken connection would have been.
    fn carry(&self, request: http::Request<()>) -> Carried;
}

/// An answer on its way.
pub type Carried = Pin<
    Box<dyn Future<Output = Result<http::Response<Bytes>, Box<dyn std::error::Error + Send + Sync>>> + Send>,
>;

/// Sends `request`, over the network unless something else carries it.
pub(crate) async fn sent(
    request: reqwest::RequestBuilder,
    carrier: Option<&dyn InProcess>,
) -> Result<reqwest::Response, StripeError> {
    let Some(carrier) = carrier else { return request.send().await.map_err(network) };
    let request = request.build().and_then(http::Request::<reqwest::Body>::try_from).map_err(network)?;
    let answer = carrier.carry(request.map(drop)).await;
    answer.map(Into::into).map_err(|source| StripeError::Network { source })
}

/// What carries requests: no redirects, since the key would go with them.
pub(crate) fn transport() -> Result<reqwest::Client, StripeError> {
    install_tls();
    reqwest::Client::builder()
        .user_agent(concat!("tallyhouse/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(Duration::from_secs(60))
        .build()
        .map_err(|error| StripeError::Network { source: Box::new(error) })
}

/// Passes addresses that a key may be sent to: a live one leaves this machine only encrypted.
pub(crate) fn check_address(address: &Url, key: &SecretString) -> Result<(), StripeError> {
    let live = KeyKind::parse(key).is_ok_and(|kind| kind.mode == Mode::Live);
    let here = match address.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if live && !here && address.scheme() != "https" {
        return Err(Obstacle::Plain(address.scheme().to_owned()).into());
    }
    Ok(())
}

/// Room that is made at once for a body that says it is so long; for longer ones it is made as they come.
const ROOM: usize = 1 << 20;

/// The whole body, if it is not larger than allowed.
pub(crate) async fn whole(mut answer: reqwest::Response, largest: usize) -> Result<Bytes, StripeError> {
    let told = answer.content_length().and_then(|length| usize::try_from(length).ok());
    let mut body = BytesMut::with_capacity(told.unwrap_or(0).min(ROOM).min(largest));
    while let Some(chunk) = answer.chunk().await.map_err(network)? {
        if body.len() + chunk.len() > largest {
            let message = format!("it is larger than {} MiB", largest / 1024 / 1024);
            return Err(StripeError::Answer(serde_json::Error::custom(message)));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The address stays out of the message: it can hold what people typed.
pub(crate) fn network(error: reqwest::Error) -> StripeError {
    StripeError::Network { source: Box::new(error.without_url()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_keys_leave_this_machine_only_encrypted() {
        let passes = |address: &str, key: &str| {
            check_address(&address.parse().unwrap(), &SecretString::from(key.to_owned()))
        };
        for key in ["sk_live_1", "rk_live_1"] {
            for fine in ["https://api.stripe.com", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost"]
            {
                assert!(passes(fine, key).is_ok(), "{fine}");
            }
            for bad in ["http://api.stripe.com", "http://10.0.0.1", "http://localhost.example.com"] {
                let error = passes(bad, key).unwrap_err().to_string();
                assert!(error.contains("https only"), "{error}");
            }
        }
        assert!(passes("http://stripe-sim:12111", "sk_test_1").is_ok());
    }
}
