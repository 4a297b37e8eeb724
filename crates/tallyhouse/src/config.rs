//! Configuration: defaults, then one TOML file, then the environment, then flags. The only place that reads the
//! environment.

mod sections;

use std::{
    ffi::OsString,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use store::MasterKey;
use stripe_api::{KeyKind, Mode};

pub use sections::{OauthScope, Security, Server, Stripe, Updates, Warehouse, Webhooks};

/// Environment variables that configure: `TALLYHOUSE__SECTION__KEY`.
const PREFIX: &str = "TALLYHOUSE__";
/// The file within the data folder that is read when no other is named.
const FILE: &str = "tallyhouse.toml";

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
                "stripe.webhook_secret must begin with whsec_ and be {SHORTEST_SECRET} characters or longer, as the \
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

/// The shortest text that can be one of Stripe's signing secrets: a shorter one could be guessed.
const SHORTEST_SECRET: usize = 16;

/// Whether a text can be one of Stripe's signing secrets.
#[must_use]
pub fn is_signing_secret(text: &str) -> bool {
    text.starts_with("whsec_") && text.len() >= SHORTEST_SECRET && text.chars().all(|c| c.is_ascii_graphic())
}

/// Those of our variables, as text. Others may hold what they like.
fn ours(variables: impl Iterator<Item = (OsString, OsString)>) -> anyhow::Result<Vec<(String, String)>> {
    let ours = variables.filter(|(name, _)| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
    ours.map(|(name, value)| {
        let shown = name.to_string_lossy().into_owned();
        let text = name.into_string().ok().zip(value.into_string().ok());
        text.with_context(|| format!("the environment variable {shown} is not UTF-8; write it as UTF-8 text"))
    })
    .collect()
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
    // The line itself stays out: it can hold a key.
    let explained = |error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        anyhow::anyhow!("{}, line {line}: {}", path.display(), error.message())
    };
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

/// A secret that is given as it is or in a file.
fn secret(
    given: Option<&SecretString>,
    file: Option<&Path>,
    name: &str,
) -> anyhow::Result<Option<SecretString>> {
    one_of(given.is_some(), file.is_some(), name)?;
    let Some(path) = file else { return Ok(given.cloned()) };
    require_private(path, name)?;
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("could not read {}, named by {name}_file", path.display()))?;
    Ok(Some(SecretString::from(text.trim().to_owned())))
}

/// What others of this machine can read is no secret. The master key's file is looked at by the store.
fn require_private(path: &Path, name: &str) -> anyhow::Result<()> {
    let known = std::fs::metadata(path)
        .with_context(|| format!("could not read {}, named by {name}_file", path.display()))?;
    let mode = known.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.display();
        bail!("{name}_file: others may use {path} (mode {mode:03o}): run `chmod 600 {path}` and start again");
    }
    Ok(())
}

fn one_of(given: bool, file: bool, name: &str) -> anyhow::Result<()> {
    if given && file {
        bail!("{name} and {name}_file are both set; keep one");
    }
    Ok(())
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
        assert_eq!(config.stripe.requests_per_second, Some(7));
        assert_eq!(config.stripe.api_url.as_str(), "http://127.0.0.1:1/");
        let config = Config::from_sources(&Flags { data: Some("/c".into()), ..flags }, set).unwrap();
        assert_eq!(config.data_dir, PathBuf::from("/c"));
    }

    #[test]
    fn trap_28_read_only_is_asked_for_unless_the_platform_is_not_granted_it() {
        let scope = |pairs: &[(&str, &str)]| {
            Config::from_sources(&Flags::default(), variables(pairs))
                .map(|config| config.stripe.oauth_scope.as_str())
        };
        assert_eq!(scope(&[]).unwrap(), "read_only");
        assert_eq!(scope(&[("TALLYHOUSE__STRIPE__OAUTH_SCOPE", "read_write")]).unwrap(), "read_write");
        assert!(scope(&[("TALLYHOUSE__STRIPE__OAUTH_SCOPE", "everything")]).is_err());
    }

    #[test]
    fn trap_21_every_webhook_has_room_when_no_other_waits() {
        let set = |mb| {
            let set = variables(&[("TALLYHOUSE__WEBHOOKS__MOST_WAITING_MB", mb)]);
            Config::from_sources(&Flags::default(), set).map(|config| config.webhooks)
        };
        let said = format!("{:#}", set("1").unwrap_err());
        assert!(said.contains("most_waiting_mb must be at least 2"), "{said}");
        let largest = store::Level { events: 1, bytes: crate::inbox::LARGEST as u64 };
        assert!(set("2").unwrap().holds(largest));
    }

    #[test]
    fn trap_22_a_sandbox_is_asked_more_slowly_unless_told_how_fast() {
        let rates = |pairs: &[(&str, &str)], mode| {
            Config::from_sources(&Flags::default(), variables(pairs)).unwrap().stripe.rates(mode).per_second
        };
        assert!(rates(&[], Mode::Test) < 25);
        assert_eq!(rates(&[], Mode::Live), 80);
        let told = [("TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND", "5000")];
        assert_eq!([Mode::Live, Mode::Test].map(|mode| rates(&told, mode)), [5_000, 5_000]);
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
    fn a_mistake_does_not_show_the_secret_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        for text in
            ["[stripe]\nplatfrom_key = \"sk_live_Hidden\"\n", "[stripe]\nplatform_key = \"sk_live_Hidden\n"]
        {
            std::fs::write(&file, text).unwrap();
            let flags = Flags { file: Some(file.clone()), data: None };
            let said = format!("{:#}", Config::from_sources(&flags, Vec::new()).unwrap_err());
            assert!(said.contains("line 2") && !said.contains("Hidden"), "{said}");
        }
    }

    #[test]
    fn an_unknown_variable_is_refused() {
        let set = variables(&[("TALLYHOUSE__STRIPE__API_ULR", "x")]);
        let error = Config::from_sources(&Flags::default(), set).unwrap_err();
        assert!(format!("{error:#}").contains("api_ulr"));
    }

    #[test]
    fn a_variable_that_is_no_text_is_named_and_others_are_left_alone() {
        use std::os::unix::ffi::OsStringExt as _;
        let odd = || OsString::from_vec(vec![b'a', 0xff]);
        let good = (OsString::from("TALLYHOUSE__DATA_DIR"), OsString::from("/a"));
        let kept = ours([(odd(), odd()), ("OTHER".into(), odd()), good.clone()].into_iter()).unwrap();
        assert_eq!(kept, variables(&[("TALLYHOUSE__DATA_DIR", "/a")]));
        let said = ours([good, ("TALLYHOUSE__STRIPE__CLIENT_ID".into(), odd())].into_iter()).unwrap_err();
        assert!(said.to_string().contains("TALLYHOUSE__STRIPE__CLIENT_ID is not UTF-8"), "{said}");
    }

    #[test]
    fn a_platform_key_that_others_may_read_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("platform.key");
        std::fs::write(&path, "sk_test_platform\n").unwrap();
        let set = variables(&[
            ("TALLYHOUSE__STRIPE__CLIENT_ID", "ca_1"),
            ("TALLYHOUSE__STRIPE__PLATFORM_KEY_FILE", path.to_str().unwrap()),
        ]);
        let load = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Config::from_sources(&Flags::default(), set.clone())
        };
        load(0o600).unwrap();
        for mode in [0o640, 0o604] {
            let said = format!("{:#}", load(mode).unwrap_err());
            assert!(said.contains(&format!("chmod 600 {}", path.display())), "{said}");
        }
    }

    #[test]
    fn webhook_secrets_are_one_or_more_and_never_shown() {
        let load = |text: &str| {
            let set = variables(&[("TALLYHOUSE__STRIPE__WEBHOOK_SECRET", text)]);
            let loaded = Config::from_sources(&Flags::default(), set);
            loaded.and_then(|config| config.webhook_secrets()).map(|secrets| secrets.len())
        };
        assert_eq!(load("whsec_HiddenHidden1").unwrap(), 1);
        assert_eq!(load("whsec_HiddenHidden1, whsec_HiddenHidden2\n").unwrap(), 2);
        // The last two could be guessed.
        for text in ["", "sk_live_Hidden", "whsec_HiddenHidden1 Hidden2", "whsec_Hidden1", "whsec_"] {
            let said = format!("{:#}", load(text).unwrap_err());
            assert!(said.contains("must begin with whsec_") && !said.contains("Hidden"), "{said}");
        }
        assert_eq!(Config::default().webhook_secrets().unwrap().len(), 0);
    }

    #[test]
    fn a_master_key_that_others_may_read_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.key");
        std::fs::write(&path, "ab".repeat(32)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let set = variables(&[("TALLYHOUSE__SECURITY__MASTER_KEY_FILE", path.to_str().unwrap())]);
        let config = Config::from_sources(&Flags::default(), set).unwrap();
        let said = format!("{:#}", config.master_key().unwrap_err());
        assert!(said.contains(&format!("chmod 600 {}", path.display())), "{said}");
    }

    #[test]
    fn a_master_key_that_is_gone_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
        config.master_key().unwrap();
        std::fs::write(config.store_file(), "").unwrap();
        config.master_key().unwrap();
        std::fs::remove_file(config.key_file()).unwrap();
        let said = format!("{:#}", config.master_key().unwrap_err());
        assert!(said.contains("master.key is missing") && said.contains("security.master_key"), "{said}");
        assert!(!config.key_file().exists());
    }
}
