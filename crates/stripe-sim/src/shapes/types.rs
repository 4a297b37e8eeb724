//! The types of properties, as `tools/shapes.py` writes them.

use serde::Deserialize;
use serde_json::Value;

/// What a property can hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) enum Type {
    Text,
    Whole,
    /// Seconds since the Unix epoch.
    Moment,
    /// A moment in ISO 8601.
    Instant,
    Flag,
    Number,
    /// A number in a text.
    Decimal,
    /// A whole number in a text.
    WholeText,
    /// Nothing but `true`.
    True,
    Any,
    OneOf(Vec<String>),
    /// The id of an object of one of these kinds.
    Reference(Vec<String>),
    /// An object of this kind, whole.
    Object(String),
    /// A list of objects of these kinds.
    List(Vec<String>),
    Array(Box<Type>),
    /// An object whose keys are free.
    Free(Box<Type>),
    Record(Vec<Property>),
}

/// A property of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) name: String,
    /// Whether it can be null or absent.
    pub(crate) optional: bool,
    pub(crate) kind: Type,
}

impl TryFrom<Value> for Type {
    type Error = String;

    fn try_from(written: Value) -> Result<Self, String> {
        match written {
            Value::String(text) => Self::from_text(&text),
            Value::Array(inner) => match <[Value; 1]>::try_from(inner) {
                Ok([inner]) => Ok(Self::Array(Box::new(inner.try_into()?))),
                Err(inner) => Err(format!("an array of one type, not {}", inner.len())),
            },
            Value::Object(mut members) => {
                if let Some(inner) = members.remove("*") {
                    return Ok(Self::Free(Box::new(inner.try_into()?)));
                }
                let property = |(name, kind): (String, Value)| {
                    let plain = name.strip_suffix('?');
                    let optional = plain.is_some();
                    let name = plain.unwrap_or(&name).to_owned();
                    Ok(Property { name, optional, kind: kind.try_into()? })
                };
                Ok(Self::Record(members.into_iter().map(property).collect::<Result<_, String>>()?))
            }
            other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => Err(format!("no type: {other}")),
        }
    }
}

impl Type {
    /// The values that it is one of.
    pub(crate) fn values(&self) -> Option<&[String]> {
        if let Self::OneOf(values) = self { Some(values) } else { None }
    }

    /// The types that it is made of.
    pub(crate) fn parts(&self) -> Vec<&Self> {
        if let Self::Array(inner) | Self::Free(inner) = self {
            return vec![inner];
        }
        if let Self::Record(properties) = self {
            return properties.iter().map(|property| &property.kind).collect();
        }
        Vec::new()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let several = |names: &str| names.split('|').map(str::to_owned).collect();
        Ok(match (text, text.split_once(':')) {
            ("s", _) => Self::Text,
            ("i", _) => Self::Whole,
            ("t", _) => Self::Moment,
            ("z", _) => Self::Instant,
            ("b", _) => Self::Flag,
            ("f", _) => Self::Number,
            ("d", _) => Self::Decimal,
            ("n", _) => Self::WholeText,
            ("true", _) => Self::True,
            ("any", _) => Self::Any,
            (_, Some(("e", names))) => Self::OneOf(several(names)),
            (_, Some(("r", names))) => Self::Reference(several(names)),
            (_, Some(("o", name))) => Self::Object(name.to_owned()),
            (_, Some(("l", names))) => Self::List(several(names)),
            _ => return Err(format!("no type: {text}")),
        })
    }
}
