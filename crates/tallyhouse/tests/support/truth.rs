//! What the simulated Stripe itself has.

/// Every object of a kind, each a line of JSON.
pub(crate) async fn truth(address: &str, kind: &str) -> String {
    stripe_api::install_tls();
    let asked = reqwest::Client::new().get(format!("{address}/_sim/truth/{kind}")).header("Sim-Truth", "1");
    asked.send().await.unwrap().error_for_status().unwrap().text().await.unwrap()
}
