//! The pages to look at: `cargo test -p tallyhouse web::tests::preview -- --ignored --nocapture`, then open the address.

use std::time::Duration;

use axum::{body::Body, extract::Request, middleware::Next};
use http::header;
use store::{CycleEnd, Outcome, RunMark, Status};
use stripe_api::Clock;

use super::{Here, numbers::sample, pages::progress};

#[tokio::test]
#[ignore = "serves for ten minutes, for people and for the browser checks"]
async fn serve_every_state() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let now = here.clock.now();
    let statuses = [
        ("stripe", Status::Backfilling { percent: 42 }),
        ("eu_shop", Status::Success),
        ("a_connection_whose_name_is_as_long_as_a_name_may_be_63_letters_", Status::ReauthenticationRequired { why: "Stripe refused the key: it was rolled. Connect again to go on.".to_owned() }),
        ("partly", Status::Partial { why: "invoices: the key lacks read access to invoices. Add that permission to the key, then try again.".to_owned() }),
        ("resting", Status::Paused),
    ];
    for (name, status) in statuses {
        let connection = here.connection(name).await;
        here.store.mark_started(&connection.id, now).await.unwrap();
        let mark = RunMark {
            began_at: now,
            ended_at: now + chrono::TimeDelta::seconds(75),
            success: true,
            brought_rows: true,
        };
        here.store.mark_ended(&connection.id, mark).await.unwrap();
        here.store.set_status(&connection.id, &status).await.unwrap();
        for (outcome, rows) in
            [(Outcome::Success, 1_234_567), (Outcome::PartlyFailed, 0), (Outcome::Failed, 12)]
        {
            let cycle = here.store.begin_cycle(&connection.id, rows == 0, now).await.unwrap();
            let detail = serde_json::json!({"charges": "12,345 rows", "invoices": "The key lacks read access to invoices."});
            here.store
                .finish_cycle(
                    &cycle,
                    &CycleEnd { at: now + chrono::TimeDelta::seconds(9), outcome, rows, detail },
                )
                .await
                .unwrap();
        }
    }
    here.sync.show("stripe", progress(now));
    let mut resting = progress(now);
    (resting.phase, resting.began_at) = (crate::web::SyncPhase::Resting, None);
    here.sync.show("eu_shop", resting);
    *here.numbers.0.lock().unwrap() = sample();
    here.clock.advance(240);
    let cookie = admin.cookie.clone();
    let signed_in = axum::middleware::from_fn(move |mut request: Request<Body>, next: Next| {
        let cookie = cookie.clone();
        async move {
            let own = request.headers().get(header::COOKIE).is_some();
            if !own && request.uri().path() != "/login" {
                request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
            }
            next.run(request).await
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8499").await.unwrap();
    let serving = axum::serve(listener, here.router.clone().layer(signed_in));
    let _ = tokio::time::timeout(Duration::from_secs(600), serving.into_future()).await;
}
