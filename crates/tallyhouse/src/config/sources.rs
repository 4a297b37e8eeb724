//! Where settings come from: the environment, and one file.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::{Config, Flags};

/// Environment variables that configure: `TALLYHOUSE__SECTION__KEY`.
const PREFIX: &str = "TALLYHOUSE__";
/// The file within the data folder that is read when no other is named.
const FILE: &str = "tallyhouse.toml";

/// Those of our variables, as text. Others may hold what they like.
pub(super) fn ours(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> anyhow::Result<Vec<(String, String)>> {
    let ours = variables.filter(|(name, _)| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
    ours.map(|(name, value)| {
        let shown = name.to_string_lossy().into_owned();
        let text = name.into_string().ok().zip(value.into_string().ok());
        text.with_context(|| format!("the environment variable {shown} is not UTF-8; write it as UTF-8 text"))
    })
    .collect()
}

/// The file as a table. It is checked by itself first, so that a mistake is told with its line.
pub(super) fn read_file(flags: &Flags, variables: &[(String, String)]) -> anyhow::Result<toml::Table> {
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
pub(super) fn set(table: &mut toml::Table, name: &str, value: String) -> anyhow::Result<()> {
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
