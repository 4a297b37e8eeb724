//! `tallyhouse serve`: the pages, and tables kept up to date.

use std::process::ExitCode;

use secrecy::ExposeSecret;

use crate::{commands::stop_on_signal, config::Config, output::Output, server::Server};

pub(crate) async fn run(config: Config, output: Output) -> anyhow::Result<ExitCode> {
    let stop = stop_on_signal()?;
    let server = Server::open(config).await?;
    output.tell(&format!("Tallyhouse is at {}", server.public_url()));
    if let Some(url) = server.setup_url().await? {
        output.tell(&format!("Make the first administrator, within 24 hours: {}", url.expose_secret()));
    }
    server.run(stop).await?;
    Ok(ExitCode::SUCCESS)
}
