//! Sends signed webhooks as fast as they are taken, and says how fast that was.
//!
//! `printf 'whsec_...\ncus_...\n' | webhook_load URL ACCOUNT COUNT [AT_ONCE]`: so many events, each with an id of its own,
//! of the customers of the account that are named a line each after the secret, in turn, over so many connections.
#![expect(clippy::print_stdout, reason = "what it finds is for whoever runs it")]

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, SystemTimeError},
};

use axum::body::Body;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::json;
use sha2::Sha256;

/// About as long as Stripe's events of customers are.
const PADDING: usize = 2_500;

type Failure = Box<dyn Error + Send + Sync>;

struct Load {
    url: String,
    account: String,
    secret: String,
    /// Whose events they are: those that there are, since what is named is read.
    customers: Vec<String>,
    count: u64,
    /// Apart from those of other runs.
    run: u128,
    next: AtomicU64,
    refused: AtomicU64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, account, count, rest @ ..] = arguments.as_slice() else {
        return Err(
            "usage: printf 'SECRET\\nCUSTOMER\\n...' | webhook_load URL ACCOUNT COUNT [AT_ONCE]".into()
        );
    };
    let at_once: usize = rest.first().map_or(Ok(64), |text| text.parse())?;
    let mut lines = std::io::stdin().lines();
    let secret = lines.next().ok_or("the first line is to be the secret")??;
    let customers: Vec<String> = lines.collect::<Result<_, _>>()?;
    if customers.is_empty() {
        return Err("after the secret there are to be ids of customers, a line each".into());
    }
    let load = Arc::new(Load {
        url: url.clone(),
        account: account.clone(),
        secret: secret.trim().to_owned(),
        customers,
        count: count.parse()?,
        run: now()?.as_millis(),
        next: AtomicU64::new(0),
        refused: AtomicU64::new(0),
    });
    let began = Instant::now();
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..at_once {
        senders.spawn(Arc::clone(&load).send());
    }
    let mut took = Vec::new();
    while let Some(sent) = senders.join_next().await {
        took.extend(sent??);
    }
    tell(&load, &mut took, began.elapsed());
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "signatures are of the real time")]
fn now() -> Result<Duration, SystemTimeError> {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)
}

impl Load {
    /// One connection's part; how long each answer took.
    async fn send(self: Arc<Self>) -> Result<Vec<Duration>, Failure> {
        let client: Client<HttpConnector, Body> = Client::builder(TokioExecutor::new()).build_http();
        let mut took = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.count {
                return Ok(took);
            }
            let request = self.request(number)?;
            let began = Instant::now();
            let answer = client.request(request).await?;
            let taken = answer.status().is_success();
            answer.into_body().collect().await?;
            took.push(began.elapsed());
            self.refused.fetch_add(u64::from(!taken), Ordering::Relaxed);
        }
    }

    fn request(&self, number: u64) -> Result<Request<Body>, Failure> {
        let now = now()?.as_secs();
        let turn = usize::try_from(number)? % self.customers.len();
        let customer = json!({
            "id": self.customers.get(turn), "object": "customer", "description": "x".repeat(PADDING),
        });
        let event = json!({
            "id": format!("evt_{}_{number}", self.run), "object": "event", "account": self.account, "livemode": false,
            "api_version": "2026-10-28.endive", "created": now, "type": "customer.updated", "pending_webhooks": 1,
            "request": null, "data": { "object": customer },
        });
        let body = event.to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())?;
        mac.update(format!("{now}.{body}").as_bytes());
        let signature = format!("t={now},v1={}", hex::encode(mac.finalize().into_bytes()));
        let request = Request::post(&self.url)
            .header("content-type", "application/json; charset=utf-8")
            .header("stripe-signature", signature);
        Ok(request.body(Body::from(body))?)
    }
}

#[expect(clippy::float_arithmetic, reason = "rates and times for people")]
fn tell(load: &Load, took: &mut [Duration], all: Duration) {
    took.sort_unstable();
    let part =
        |of: usize| took.get(took.len() * of / 100).copied().unwrap_or_default().as_secs_f64() * 1000.0;
    let refused = load.refused.load(Ordering::Relaxed);
    let taken = load.count - refused;
    let rate = taken as f64 / all.as_secs_f64();
    println!("webhooks taken     {taken} in {:.1} s, {refused} refused", all.as_secs_f64());
    println!("webhooks/s         {rate:.0}");
    println!("answered within    {:.0} ms (half), {:.0} ms (99 of 100)", part(50), part(99));
}
