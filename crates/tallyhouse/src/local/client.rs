//! The commands' end.

use std::{path::Path, sync::Arc};

use anyhow::{Context, bail};
use bytes::{Buf, BytesMut};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::UnixStream, sync::watch};

use super::{Answered, Ask, Told};
use crate::{
    config::Config,
    updates::{Standing, Summary},
    web::ProgressView,
};

/// A way to ask the running server.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
}

impl Client {
    /// The server that runs on this data folder, if one does.
    ///
    /// # Errors
    /// When its socket is there and cannot be used.
    pub async fn find(config: &Config) -> anyhow::Result<Option<Self>> {
        let path = config.socket_file();
        if !answers(&path).await? {
            return Ok(None);
        }
        // The provider is installed for requests to Stripe; the socket itself is not encrypted.
        stripe_api::install_tls();
        let http =
            reqwest::Client::builder().unix_socket(path).build().context("could not use the socket")?;
        Ok(Some(Self { http }))
    }

    /// Asks the warehouse.
    ///
    /// # Errors
    /// The server's sentence.
    pub async fn query(&self, ask: &Ask) -> anyhow::Result<Answered> {
        self.post("/query", ask).await
    }

    /// How the tables of a connection stand.
    ///
    /// # Errors
    /// The server's sentence.
    pub async fn status(&self, connection: &str) -> anyhow::Result<Vec<Standing>> {
        let answer = self.http.get(address(&format!("/status/{connection}"))).send().await;
        read(answer.context("could not ask the running server")?).await
    }

    /// Runs an update, or joins the one that runs; tells `progress` how it goes.
    ///
    /// # Errors
    /// The server's sentence; or it ended meanwhile.
    pub async fn update(
        &self,
        connection: &str,
        progress: watch::Sender<ProgressView>,
    ) -> anyhow::Result<Arc<Summary>> {
        let answer = self.http.post(address(&format!("/update/{connection}"))).send().await;
        let mut answer = well(answer.context("could not ask the running server")?).await?;
        let mut unread = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.context("the server ended")? {
            unread.extend_from_slice(&chunk);
            while let Some(line) = next_line(&mut unread) {
                match serde_json::from_slice(&line).context("the server is another version of Tallyhouse")? {
                    Told::Progress(view) => {
                        progress.send_replace(view);
                    }
                    Told::Ended(summary) => return Ok(Arc::new(summary)),
                }
            }
        }
        bail!("the server ended before the update did; the next one goes on from there")
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        let answer = self.http.post(address(path)).json(body).send().await;
        read(answer.context("could not ask the running server")?).await
    }
}

fn next_line(unread: &mut BytesMut) -> Option<BytesMut> {
    let end = unread.iter().position(|byte| *byte == b'\n')?;
    let line = unread.split_to(end);
    unread.advance(1);
    Some(line)
}

/// A socket without a server behind it is what a killed one leaves.
async fn answers(path: &Path) -> anyhow::Result<bool> {
    use std::io::ErrorKind::{ConnectionRefused, NotFound};
    match UnixStream::connect(path).await {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), NotFound | ConnectionRefused) => Ok(false),
        Err(error) => Err(error).with_context(|| format!("could not use the socket {}", path.display())),
    }
}

/// The host is not looked up: the socket is the address.
fn address(path: &str) -> String {
    format!("http://tallyhouse{path}")
}

async fn well(answer: reqwest::Response) -> anyhow::Result<reqwest::Response> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    bail!("{}", answer.text().await.context("the server ended")?)
}

async fn read<T: DeserializeOwned>(answer: reqwest::Response) -> anyhow::Result<T> {
    well(answer).await?.json().await.context("the server is another version of Tallyhouse")
}
