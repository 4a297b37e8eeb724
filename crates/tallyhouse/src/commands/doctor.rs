//! `tallyhouse doctor`: what keeps this installation from working, and what to do about it. It makes nothing that is not
//! there.

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use secrecy::SecretString;
use store::{Connection, Status, Store};
use stripe_api::{RetryPolicy, StripeError};

use crate::{
    clock::SystemClock,
    config::Config,
    installation::{open_store, open_to_others, open_warehouse, stripe},
    local::Client,
    output::Output,
};

/// Once is enough: the question is whether it works now.
const ONCE: RetryPolicy =
    RetryPolicy { attempts: 1, base: Duration::from_millis(1), longest: Duration::from_millis(1) };
/// Looks like a key and is none, so that Stripe's refusal shows that Stripe is there.
const NO_KEY: &str = "rk_test_tallyhouseDoctorAsksWhetherStripeAnswers";

/// What was found about one thing.
enum Finding {
    Well(String),
    Odd(String),
    Broken(String),
}

use Finding::{Broken, Odd, Well};

pub(crate) async fn run(config: Config, output: Output) -> anyhow::Result<ExitCode> {
    let mut findings: Vec<(String, Finding)> = [
        ("configuration", Well("read without mistakes".to_owned())),
        ("pages", pages(&config)),
        ("Stripe", stripe_answers(&config).await),
        ("Connect with Stripe", platform(&config)),
        ("data folder", folder(&config.data_dir)),
        ("warehouse", warehouse(&config).await),
    ]
    .map(|(what, finding)| (what.to_owned(), finding))
    .into();
    findings.extend(stored(&config).await);
    for (what, finding) in &findings {
        output.line(&line(what, finding))?;
    }
    let broken = findings.iter().any(|(_, finding)| matches!(finding, Broken(_)));
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn line(what: &str, finding: &Finding) -> String {
    let (word, text) = match finding {
        Well(text) => ("ok", text),
        Odd(text) => ("note", text),
        Broken(text) => ("FAILED", text),
    };
    format!("{word:7} {what}: {text}")
}

fn pages(config: &Config) -> Finding {
    let listen = config.server.listen;
    match &config.server.public_url {
        Some(url) if url.scheme() == "http" && !listen.ip().is_loopback() => Odd(format!(
            "{url} is not encrypted: passwords can be read on the way; put a proxy with https before it"
        )),
        Some(url) => Well(format!("at {url}, listening on {listen}")),
        None if listen.ip().is_loopback() => Well(format!("at http://{listen}, from this machine only")),
        None => Odd(format!("listening on {listen}; set server.public_url to the address that people use")),
    }
}

async fn stripe_answers(config: &Config) -> Finding {
    let url = &config.stripe.api_url;
    let asked = match stripe(&config.stripe, SecretString::from(NO_KEY), ONCE, Arc::new(SystemClock)) {
        Ok(stripe) => stripe.account().await.map(|_| ()),
        Err(error) => Err(error),
    };
    match asked {
        Ok(()) | Err(StripeError::Unauthorized { .. }) => Well(format!("{url} answers")),
        Err(error) => Broken(format!("{url}: {:#}", anyhow::Error::from(error))),
    }
}

fn platform(config: &Config) -> Finding {
    match config.platform() {
        Ok(Some(platform)) => {
            let mode = if platform.livemode { "live" } else { "test" };
            Well(format!(
                "platform {} in {mode} mode; Stripe must know the redirect address …/oauth/callback",
                platform.client_id
            ))
        }
        Ok(None) => {
            Odd("no platform is configured (stripe.client_id); accounts are joined by a pasted key"
                .to_owned())
        }
        Err(error) => Broken(format!("{error:#}")),
    }
}

fn folder(folder: &Path) -> Finding {
    let shown = folder.display();
    if !folder.exists() {
        return Odd(format!("{shown} is not there yet: the first command that needs it makes it"));
    }
    match open_to_others(folder) {
        Ok(None) => Well(format!("{shown} is its owner's alone")),
        Ok(Some(open)) => Odd(format!("{}: the next start makes it private", open.how)),
        Err(error) => Broken(format!("{error:#}")),
    }
}

async fn warehouse(config: &Config) -> Finding {
    let file = config.warehouse_file();
    match Client::find(config).await {
        Ok(Some(_)) => Well("a running server has it open and answers".to_owned()),
        Err(error) => Broken(format!("{error:#}")),
        Ok(None) if !file.exists() => {
            Odd(format!("{} is not there yet: a first update makes it", file.display()))
        }
        Ok(None) => match open_warehouse(config) {
            Ok(_) => Well(format!("{} opens", file.display())),
            Err(error) => Broken(format!("{error:#}")),
        },
    }
}

const NOBODY: &str =
    "nobody can sign in yet: `tallyhouse serve` prints the link that makes the first administrator";

/// What is found about users and connections.
async fn stored(config: &Config) -> Vec<(String, Finding)> {
    let alone = |finding| vec![("store".to_owned(), finding)];
    if !config.store_file().exists() {
        return alone(Odd(NOBODY.to_owned()));
    }
    if config.has_lost_its_key() {
        return alone(Broken(config.lost_key()));
    }
    match open_store(config).await {
        Ok(store) => {
            let mut findings = alone(users(&store).await);
            findings.extend(connections(config, &store).await);
            store.close().await;
            findings
        }
        Err(error) => alone(Broken(format!("{error:#}"))),
    }
}

async fn users(store: &Store) -> Finding {
    match store.needs_setup().await {
        Ok(true) => Odd(NOBODY.to_owned()),
        Ok(false) => Well("opens, and there is an administrator".to_owned()),
        Err(error) => Broken(error.to_string()),
    }
}

async fn connections(config: &Config, store: &Store) -> Vec<(String, Finding)> {
    let connections = match store.connections().await {
        Ok(connections) => connections,
        Err(error) => return vec![("connections".to_owned(), Broken(error.to_string()))],
    };
    let mut findings = Vec::new();
    for connection in connections {
        let finding = connection_works(config, store, &connection).await;
        findings.push((format!("connection {}", connection.name), finding));
    }
    findings
}

async fn connection_works(config: &Config, store: &Store, connection: &Connection) -> Finding {
    let key = match store.credentials(&connection.id).await {
        Ok(key) => key,
        Err(error) => return Broken(format!("{error}; was the master key changed? Connect again")),
    };
    let asked = match stripe(&config.stripe, key, ONCE, Arc::new(SystemClock)) {
        Ok(stripe) => stripe.account().await,
        Err(error) => Err(error),
    };
    match asked {
        Ok(account) if account.id != connection.account_id => {
            Broken(format!("the key is of {}, not of {}; connect again", account.id, connection.account_id))
        }
        Ok(_) if connection.status == Status::Paused => {
            Odd("Stripe accepts the key; updates are paused".to_owned())
        }
        Ok(_) => Well("Stripe accepts the key".to_owned()),
        Err(error) => Broken(format!("{:#}", anyhow::Error::from(error))),
    }
}
