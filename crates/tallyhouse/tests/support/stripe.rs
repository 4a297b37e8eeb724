//! A simulated Stripe within the test, so that the test can steer it.

use stripe_sim::Sim;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Answers until it is told to stop, or the test's runtime ends.
#[expect(clippy::disallowed_methods, reason = "a server that ends with its test's runtime")]
pub(crate) fn serve(sim: &Sim, listener: TcpListener) -> (CancellationToken, JoinHandle<()>) {
    let stop = CancellationToken::new();
    let (sim, own) = (sim.clone(), stop.clone());
    (stop, tokio::spawn(async move { sim.serve(listener, own).await }))
}
