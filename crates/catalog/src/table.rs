//! The types of the catalogue, and a table's Arrow schema.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The table a child row's parent id and place are kept in.
pub(crate) const PARENT: &str = "_parent";
pub(crate) const POSITION: &str = "_position";
pub(crate) const EXTRA: &str = "_extra";
pub(crate) const ABSENT: &str = "_absent";
pub(crate) const AS_OF: &str = "_as_of";
pub(crate) const DELETED: &str = "_deleted";

/// Where the objects of one type rest.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// As in Stripe Sigma, "invoice_line_items".
    pub name: &'static str,
    /// As the objects call themselves, "line_item"; empty where several kinds rest together, which a column tells apart.
    pub object: &'static str,
    /// For people.
    pub description: &'static str,
    /// The properties, `id` first.
    pub columns: &'static [Column],
}

/// One property.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// As Stripe names the property.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// Stripe says that it can be null.
    pub nullable: bool,
}

impl Column {
    /// One that is never null.
    #[must_use]
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, nullable: false }
    }

    /// The same, but it can be null.
    #[must_use]
    pub const fn nullable(self) -> Self {
        Self { nullable: true, ..self }
    }

    /// For people.
    #[must_use]
    pub fn description(&self) -> String {
        let words = self.name.replace('_', " ");
        let capital: String =
            words.chars().take(1).flat_map(char::to_uppercase).chain(words.chars().skip(1)).collect();
        match self.kind {
            Kind::Id => "Stripe's id, unique in its account and mode".to_owned(),
            Kind::Reference(object) => format!("Id of the {}", object.replace(['_', '.'], " ")),
            Kind::Timestamp | Kind::DateTime => format!("When: {words}, UTC"),
            Kind::Money => format!("{capital} in the currency's smallest unit"),
            Kind::Decimal => format!("{capital}, exactly as Stripe writes it"),
            Kind::Json => format!("{capital} as Stripe sent it"),
            Kind::Text | Kind::Boolean | Kind::Integer | Kind::Float => capital,
        }
    }

    /// Whether the values are ids of `object`, "customer".
    #[must_use]
    pub fn refers_to(&self, object: &str) -> bool {
        matches!(self.kind, Kind::Reference(target) if target == object)
    }
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The object's own id.
    Id,
    /// The id of another object, "customer".
    Reference(&'static str),
    /// Text.
    Text,
    /// True or false.
    Boolean,
    /// A whole number that is no money.
    Integer,
    /// An amount in the currency's smallest unit: 1099 is 10.99 USD, but 1,099 JPY.
    Money,
    /// A moment, UTC; Stripe sends seconds.
    Timestamp,
    /// A moment, UTC; Stripe sends text, as API v2 does: "2026-10-28T12:00:00.000Z".
    DateTime,
    /// An exact number of up to 12 places, as the text that Stripe sent.
    Decimal,
    /// A number that is not exact, such as a percentage.
    Float,
    /// A nested object or list, as the text that Stripe sent.
    Json,
}

impl Kind {
    /// The Arrow type of its columns.
    #[must_use]
    pub fn data_type(self) -> DataType {
        match self {
            Self::Id | Self::Reference(_) | Self::Text | Self::Decimal | Self::Json => DataType::Utf8,
            Self::Boolean => DataType::Boolean,
            Self::Integer | Self::Money => DataType::Int64,
            Self::Timestamp | Self::DateTime => moment(),
            Self::Float => DataType::Float64,
        }
    }
}

/// The columns of `table`'s rows: the catalogue's, then `_parent` and `_position` of child tables, then the system's.
#[must_use]
pub fn schema(table: &Table) -> SchemaRef {
    Arc::clone(&layout(table).schema)
}

/// Whether the rows of `table` belong to those of another: they have `_parent` and `_position`.
#[must_use]
pub fn is_child(table: &Table) -> bool {
    layout(table).is_child
}

/// What follows from a table's columns.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) schema: SchemaRef,
    /// Where a column is.
    pub(crate) by_name: HashMap<&'static str, usize>,
    pub(crate) is_child: bool,
}

/// Those of the catalogue's tables are made once: each page has a decoder of its own, and most see few rows.
pub(crate) fn layout(table: &Table) -> Arc<Layout> {
    static KNOWN: LazyLock<HashMap<&str, (&Table, Arc<Layout>)>> = LazyLock::new(|| {
        crate::tables().map(|table| (table.name, (table, Arc::new(Layout::new(table))))).collect()
    });
    match KNOWN.get(table.name) {
        Some((known, layout)) if std::ptr::eq(*known, table) => Arc::clone(layout),
        Some(_) | None => Arc::new(Layout::new(table)),
    }
}

impl Layout {
    fn new(table: &Table) -> Self {
        let is_child = belongs(table);
        let own = table.columns.iter().map(|column| Field::new(column.name, column.kind.data_type(), true));
        let mut fields: Vec<Field> = own.collect();
        if is_child {
            fields.push(Field::new(PARENT, DataType::Utf8, false));
            fields.push(Field::new(POSITION, DataType::Int64, false));
        }
        fields.push(Field::new(EXTRA, DataType::Utf8, true));
        fields.push(Field::new(ABSENT, DataType::Utf8, true));
        fields.push(Field::new(AS_OF, moment(), false));
        fields.push(Field::new(DELETED, DataType::Boolean, false));
        let by_name = table.columns.iter().enumerate().map(|(index, column)| (column.name, index)).collect();
        Self { schema: Arc::new(Schema::new(fields)), by_name, is_child }
    }
}

fn belongs(table: &Table) -> bool {
    let belongs = |resource: &&crate::Resource| {
        (resource.is_apart() && resource.table.name == table.name)
            || resource.children.iter().any(|child| child.table.name == table.name)
    };
    crate::resources().iter().any(belongs)
}

fn moment() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}
