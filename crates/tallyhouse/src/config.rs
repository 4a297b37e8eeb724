//! Configuration: defaults, then one TOML file, then the environment, then flags. The only place that reads the
//! environment.

mod secrets;
mod sections;
mod sources;

use std::path::PathBuf;

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use store::MasterKey;
use stripe_api::{KeyKind, Mode};

pub use secrets::is_signing_secret;
use secrets::{SHORTEST, one_of, secret};
pub use sections::{OauthScope, Security, Server, Stripe, Updates, Warehouse, Webhooks};
use sources::{ours, read_file, set};

/// Everything that can be configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder that holds the warehouse, the connections and the key that seals them.
    pub data_dir: PathBuf,
    /// Where the pages are and how they tell time.
    pub server: Server,
    /// When tables are brought up to date.
    pub updates: Updates,
    /// How much may wait of what Stripe pushes.
    pub webhooks: Webhooks,
    /// What seals credentials.
    pub security: Security,
    /// Where Stripe lives and how it may be asked.
    pub stripe: Stripe,
    /// How the warehouse may use the machine.
    pub warehouse: Warehouse,
}

/// A Stripe Connect platform: what is needed to send people to Stripe and to trade what they come back with.
#[derive(Debug, Clone)]
pub struct Platform {
    /// `ca_...`
    pub client_id: String,
    /// Its secret key.
    pub key: SecretString,
    /// The key is a live one.
    pub livemode: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("tallyhouse-data"),
            server: Server::default(),
            updates: Updates::default(),
            webhooks: Webhooks::default(),
            security: Security::default(),
            stripe: Stripe::default(),
            warehouse: Warehouse::default(),
        }
    }
}

/// What the command line says about configuration.
#[derive(Debug, Default)]
pub struct Flags {
    /// `--config FILE`.
    pub file: Option<PathBuf>,
    /// `--data DIR`.
    pub data: Option<PathBuf>,
}

impl Config {
    /// Reads every source.
    ///
    /// # Errors
    /// A sentence that names the file and line, or the variable, and what is expected there.
    pub fn load(flags: &Flags) -> anyhow::Result<Self> {
        Self::from_sources(flags, ours(std::env::vars_os())?)
    }

    /// Reads the file and the given variables.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_sources(flags: &Flags, variables: Vec<(String, String)>) -> anyhow::Result<Self> {
        let mut table = read_file(flags, &variables)?;
        for (name, value) in variables {
            set(&mut table, &name, value)?;
        }
        if let Some(data) = &flags.data {
            table.insert("data_dir".to_owned(), toml::Value::String(data.to_string_lossy().into_owned()));
        }
        let config: Self =
            table.try_into().context("could not read the configuration from the environment")?;
        config.check()?;
        Ok(config)
    }

    /// The DuckDB file.
    #[must_use]
    pub fn warehouse_file(&self) -> PathBuf {
        self.data_dir.join("warehouse.duckdb")
    }

    /// The SQLite file with users and connections.
    #[must_use]
    pub fn store_file(&self) -> PathBuf {
        self.data_dir.join("tallyhouse.sqlite")
    }

    /// The file with the key that seals credentials, when the configuration names no other place.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.data_dir.join("master.key")
    }

    /// The socket on which a running server answers other commands.
    #[must_use]
    pub fn socket_file(&self) -> PathBuf {
        self.data_dir.join("tallyhouse.sock")
    }

    /// The key that seals credentials; made at the first start when the configuration names none.
    ///
    /// # Errors
    /// When it cannot be read, is no key, or others may read its file; when the one that was made is gone, and a new one would
    /// pass for it.
    pub fn master_key(&self) -> anyhow::Result<MasterKey> {
        let Security { master_key, master_key_file } = &self.security;
        match (master_key, master_key_file) {
            (Some(key), _) => MasterKey::from_text(key.expose_secret()).context("security.master_key"),
            (None, Some(path)) if !path.exists() => {
                bail!("security.master_key_file names {}, which does not exist", path.display())
            }
            (None, Some(path)) => Ok(MasterKey::load_or_create(path)?),
            (None, None) if self.has_lost_its_key() => bail!("{}", self.lost_key()),
            (None, None) => Ok(MasterKey::load_or_create(&self.key_file())?),
        }
    }

    /// Whether the key that was made at the first start is gone.
    #[must_use]
    pub fn has_lost_its_key(&self) -> bool {
        let Security { master_key, master_key_file } = &self.security;
        let is_named = master_key.is_some() || master_key_file.is_some();
        let is_gone = self.key_file().try_exists().is_ok_and(|exists| !exists);
        !is_named && self.store_file().exists() && is_gone
    }

    /// What to do then.
    #[must_use]
    pub fn lost_key(&self) -> String {
        format!(
            "{} is missing, and without it no stored credentials can be used. Where security.master_key or its file was \
             named before, name it here too; else put it back from a backup, or name a new key (64 hexadecimal digits) \
             as security.master_key and connect again",
            self.key_file().display()
        )
    }

    /// The Connect platform, when one is configured.
    ///
    /// # Errors
    /// When only half of it is there, or its key is none.
    pub fn platform(&self) -> anyhow::Result<Option<Platform>> {
        let Stripe { client_id, platform_key, platform_key_file, .. } = &self.stripe;
        let key = secret(platform_key.as_ref(), platform_key_file.as_deref(), "stripe.platform_key")?;
        let (client_id, key) = match (client_id, key) {
            (Some(client_id), Some(key)) => (client_id.clone(), key),
            (None, None) => return Ok(None),
            (Some(_), None) => {
                bail!("stripe.client_id needs stripe.platform_key (or platform_key_file) beside it")
            }
            (None, Some(_)) => bail!("stripe.platform_key needs stripe.client_id beside it"),
        };
        let kind = KeyKind::parse(&key).context("stripe.platform_key")?;
        Ok(Some(Platform { client_id, key, livemode: kind.mode == Mode::Live }))
    }

    /// What signs webhooks to the Connect platform's endpoint; empty when there is none.
    ///
    /// # Errors
    /// When it is no signing secret, or its file cannot be read or is open to others.
    pub fn webhook_secrets(&self) -> anyhow::Result<Vec<SecretString>> {
        let Stripe { webhook_secret, webhook_secret_file, .. } = &self.stripe;
        let given = secret(webhook_secret.as_ref(), webhook_secret_file.as_deref(), "stripe.webhook_secret")?;
        let Some(given) = given else { return Ok(Vec::new()) };
        let each = given.expose_secret().split(|c: char| c.is_whitespace() || c == ',');
        let secrets: Vec<&str> = each.filter(|secret| !secret.is_empty()).collect();
        if secrets.is_empty() || !secrets.iter().all(|secret| is_signing_secret(secret)) {
            bail!(
                "stripe.webhook_secret must begin with whsec_ and be {SHORTEST} characters or longer, as the \
                 endpoint's page in Stripe's dashboard shows it"
            );
        }
        Ok(secrets.into_iter().map(SecretString::from).collect())
    }

    fn check(&self) -> anyhow::Result<()> {
        one_of(
            self.security.master_key.is_some(),
            self.security.master_key_file.is_some(),
            "security.master_key",
        )?;
        self.platform()?;
        self.webhook_secrets()?;
        if let Some(url) = &self.server.public_url
            && (!matches!(url.scheme(), "http" | "https") || !url.has_host() || url.path() != "/")
        {
            bail!("server.public_url must be like https://tallyhouse.example.com, without a path");
        }
        let Stripe { requests_per_second, requests_per_second_per_endpoint, concurrent_requests, .. } =
            self.stripe;
        if requests_per_second == Some(0) || requests_per_second_per_endpoint == 0 || concurrent_requests == 0
        {
            bail!("stripe.requests_per_second, …_per_endpoint and concurrent_requests must be at least 1");
        }
        if self.webhooks.most_waiting == 0 {
            bail!("webhooks.most_waiting must be at least 1");
        }
        if self.webhooks.most_waiting_mb < 2 {
            bail!("webhooks.most_waiting_mb must be at least 2: a webhook's body may have so many megabytes");
        }
        if self.warehouse.memory_limit_mb < 64 {
            bail!("warehouse.memory_limit_mb must be at least 64");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
