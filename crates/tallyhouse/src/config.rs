//! Configuration: defaults, then one TOML file, then the environment, then flags. The only place that reads the
//! environment.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;
use url::Url;

/// Environment variables that configure: `TALLYHOUSE__SECTION__KEY`.
const PREFIX: &str = "TALLYHOUSE__";
/// The file within the data folder that is read when no other is named.
const FILE: &str = "tallyhouse.toml";

/// Everything that can be configured.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder that holds the warehouse, the connections and the key that seals them.
    pub data_dir: PathBuf,
    /// Where Stripe lives and how it may be asked.
    pub stripe: Stripe,
    /// How the warehouse may use the machine.
    pub warehouse: Warehouse,
}

/// Where Stripe lives and how it may be asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stripe {
    /// Stripe's API.
    pub api_url: Url,
    /// Requests a second, all together. Stripe allows 100 for a live account and 25 for a sandbox.
    pub requests_per_second: u32,
    /// Requests a second to one endpoint. Stripe allows 25.
    pub requests_per_second_per_endpoint: u32,
    /// Requests under way at once.
    pub concurrent_requests: u32,
}

/// How the warehouse may use the machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Warehouse {
    /// Memory that DuckDB may take, in megabytes.
    pub memory_limit_mb: u32,
    /// Threads that DuckDB may take.
    pub threads: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("tallyhouse-data"),
            stripe: Stripe::default(),
            warehouse: Warehouse::default(),
        }
    }
}

impl Default for Stripe {
    fn default() -> Self {
        Self {
            api_url: known("https://api.stripe.com"),
            requests_per_second: 80,
            requests_per_second_per_endpoint: 24,
            concurrent_requests: 24,
        }
    }
}

impl Default for Warehouse {
    fn default() -> Self {
        Self { memory_limit_mb: 128, threads: 2 }
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
        Self::from_sources(flags, std::env::vars().filter(|(name, _)| name.starts_with(PREFIX)).collect())
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

    /// The key that seals credentials.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.data_dir.join("master.key")
    }

    fn check(&self) -> anyhow::Result<()> {
        let Stripe { requests_per_second, requests_per_second_per_endpoint, concurrent_requests, .. } =
            self.stripe;
        if requests_per_second == 0 || requests_per_second_per_endpoint == 0 || concurrent_requests == 0 {
            bail!("stripe.requests_per_second, …_per_endpoint and concurrent_requests must be at least 1");
        }
        if self.warehouse.memory_limit_mb < 64 {
            bail!("warehouse.memory_limit_mb must be at least 64");
        }
        Ok(())
    }
}

/// The file as a table. It is checked by itself first, so that a mistake is told with its line.
fn read_file(flags: &Flags, variables: &[(String, String)]) -> anyhow::Result<toml::Table> {
    let named = flags.file.clone();
    let data = flags.data.clone().or_else(|| {
        let variable = variables.iter().find(|(name, _)| name == "TALLYHOUSE__DATA_DIR");
        variable.map(|(_, value)| PathBuf::from(value))
    });
    let usual = data.unwrap_or_else(|| Config::default().data_dir).join(FILE);
    let path = match (named, usual.exists()) {
        (Some(path), _) => path,
        (None, true) => usual,
        (None, false) => return Ok(toml::Table::new()),
    };
    parse_file(&path)
}

fn parse_file(path: &Path) -> anyhow::Result<toml::Table> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("could not read the configuration file {}", path.display()))?;
    let explained =
        |error: toml::de::Error| anyhow::anyhow!("{} is not a valid configuration:\n{error}", path.display());
    toml::from_str::<Config>(&text).map_err(explained)?;
    toml::from_str(&text).map_err(explained)
}

/// Puts one variable where it belongs: `TALLYHOUSE__STRIPE__API_URL` is `api_url` under `[stripe]`.
fn set(table: &mut toml::Table, name: &str, value: String) -> anyhow::Result<()> {
    let path = name.trim_start_matches(PREFIX).to_lowercase();
    let value = match value.parse::<i64>() {
        Ok(number) => toml::Value::Integer(number),
        Err(_) => toml::Value::String(value),
    };
    match path.split("__").collect::<Vec<_>>().as_slice() {
        [key] => {
            table.insert((*key).to_owned(), value);
        }
        [section, key] => {
            let entry = table.entry(*section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            let toml::Value::Table(section) = entry else {
                bail!("{name} names no section; expected TALLYHOUSE__SECTION__KEY");
            };
            section.insert((*key).to_owned(), value);
        }
        _ => bail!("{name} is no setting; expected TALLYHOUSE__SECTION__KEY"),
    }
    Ok(())
}

#[expect(clippy::expect_used, reason = "only called with addresses that are part of the program")]
fn known(address: &str) -> Url {
    Url::parse(address).expect("a known address parses")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_environment_overrides_the_file_and_flags_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "data_dir = \"/a\"\n[stripe]\nrequests_per_second = 7\n").unwrap();
        let flags = Flags { file: Some(file), data: None };
        let set = variables(&[
            ("TALLYHOUSE__DATA_DIR", "/b"),
            ("TALLYHOUSE__STRIPE__API_URL", "http://127.0.0.1:1/"),
        ]);
        let config = Config::from_sources(&flags, set.clone()).unwrap();
        assert_eq!(config.data_dir, PathBuf::from("/b"));
        assert_eq!(config.stripe.requests_per_second, 7);
        assert_eq!(config.stripe.api_url.as_str(), "http://127.0.0.1:1/");
        let config = Config::from_sources(&Flags { data: Some("/c".into()), ..flags }, set).unwrap();
        assert_eq!(config.data_dir, PathBuf::from("/c"));
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "\n[stripe]\napi_ulr = \"x\"\n").unwrap();
        let error = Config::from_sources(&Flags { file: Some(file), data: None }, Vec::new()).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("line 3"), "{text}");
        assert!(text.contains("api_ulr"), "{text}");
    }

    #[test]
    fn an_unknown_variable_is_refused() {
        let set = variables(&[("TALLYHOUSE__STRIPE__API_ULR", "x")]);
        let error = Config::from_sources(&Flags::default(), set).unwrap_err();
        assert!(format!("{error:#}").contains("api_ulr"));
    }
}
