use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a schema of ours: `[a-z_][a-z0-9_]{0,62}`, and none of those a warehouse keeps for itself.
///
/// One connection to Stripe has one schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SchemaName(String);

/// The text is not a [`SchemaName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchemaName {
    /// Not made of the letters allowed, or too long.
    #[error(
        "a schema name is 1 to 63 lower-case letters, digits and underscores, and does not begin with a digit"
    )]
    Shape,
    /// Kept for the warehouse or for Tallyhouse itself.
    #[error("the schema name {0} is reserved")]
    Reserved(String),
}

const LONGEST: usize = 63;
const RESERVED: &[&str] = &["main", "temp", "system", "information_schema", "tallyhouse"];

impl SchemaName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`BadSchemaName`] says why the text cannot be one.
    pub fn new(name: &str) -> Result<Self, BadSchemaName> {
        let mut letters = name.bytes();
        let begins = letters.next().is_some_and(|first| first == b'_' || first.is_ascii_lowercase());
        let goes_on = letters.all(|c| c == b'_' || c.is_ascii_lowercase() || c.is_ascii_digit());
        if !begins || !goes_on || name.len() > LONGEST {
            return Err(BadSchemaName::Shape);
        }
        if RESERVED.contains(&name) || name.starts_with("pg_") {
            return Err(BadSchemaName::Reserved(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SchemaName {
    type Err = BadSchemaName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl TryFrom<String> for SchemaName {
    type Error = BadSchemaName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<SchemaName> for String {
    fn from(name: SchemaName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_plain_names() {
        for good in ["stripe", "_a1", "s_2", &"x".repeat(63)] {
            assert_eq!(SchemaName::new(good).map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "1a", "A", "a-b", "a.b", "a\"b", "ä", &"x".repeat(64)] {
            assert_eq!(SchemaName::new(bad), Err(BadSchemaName::Shape), "{bad}");
        }
        for kept in ["main", "tallyhouse", "information_schema", "pg_catalog"] {
            assert_eq!(SchemaName::new(kept), Err(BadSchemaName::Reserved(kept.to_owned())));
        }
    }

    #[test]
    fn stays_parsed_through_serde() {
        assert!(serde_json::from_str::<SchemaName>("\"main\"").is_err());
        let name: SchemaName = serde_json::from_str("\"stripe\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"stripe\"");
    }
}
