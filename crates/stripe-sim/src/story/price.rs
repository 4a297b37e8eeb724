//! What is sold, and for how much.

use serde_json::{Value, json};

use super::books::{View, assemble, stands_on};
use super::money::{Currency, portion};
use super::shelf::{Handle, Id, Record};

/// A product.
pub(super) struct Product {
    pub(super) id: Id,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) name: String,
    pub(super) description: Option<&'static str>,
    pub(super) unit_label: Option<&'static str>,
    pub(super) default_price: Option<Handle<Price>>,
}

/// How long a price covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interval {
    Month,
    /// Three months.
    Quarter,
    Year,
}

impl Interval {
    pub(super) const ALL: [Self; 3] = [Self::Month, Self::Quarter, Self::Year];

    pub(super) fn months(self) -> u32 {
        match self {
            Self::Month => 1,
            Self::Quarter => 3,
            Self::Year => 12,
        }
    }

    fn unit(self) -> (&'static str, u32) {
        match self {
            Self::Month => ("month", 1),
            Self::Quarter => ("month", 3),
            Self::Year => ("year", 1),
        }
    }
}

/// A price; recurring ones have a [`Plan`] of the same id.
#[derive(Clone)]
pub(super) struct Price {
    pub(super) id: Id,
    pub(super) created: i64,
    pub(super) product: Handle<Product>,
    pub(super) currency: Currency,
    /// None: paid once.
    pub(super) interval: Option<Interval>,
    /// For one unit, in hundredths of the smallest unit of the currency.
    pub(super) hundredths: i64,
    /// Whether use is counted and billed afterwards.
    pub(super) metered: bool,
    pub(super) active: bool,
    pub(super) nickname: Option<String>,
}

impl Price {
    pub(super) fn amount(&self, quantity: i64) -> i64 {
        portion(self.hundredths, quantity, 100)
    }

    pub(super) fn unit_amount_decimal(&self) -> String {
        decimal(self.hundredths)
    }

    fn unit_amount(&self) -> Option<i64> {
        (self.hundredths % 100 == 0).then_some(self.hundredths / 100)
    }

    fn usage_type(&self) -> &'static str {
        if self.metered { "metered" } else { "licensed" }
    }

    fn meter(&self) -> Option<&'static str> {
        self.metered.then_some("mtr_61RgYkQm4PvXe8Lw241JtBnU")
    }
}

/// Hundredths as a decimal text without needless zeros.
pub(super) fn decimal(hundredths: i64) -> String {
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The same price, as the older part of the API shows it.
pub(super) struct Plan {
    pub(super) id: Id,
    pub(super) price: Handle<Price>,
    pub(super) created: i64,
}

impl Record for Product {
    stands_on!(products);

    fn created(&self) -> i64 {
        self.created
    }

    fn render(&self, view: &View<'_>) -> Value {
        let nulls = ["package_dimensions", "shippable", "tax_details", "url"];
        let facts = json!({
            "active": true,
            "created": self.created,
            "default_price": view.id_or_null(self.default_price),
            "description": self.description,
            "id": &*self.id,
            "images": [],
            "livemode": view.livemode,
            "marketing_features": [{ "name": "Support by people" }],
            "metadata": {},
            "name": self.name,
            "object": "product",
            "statement_descriptor": "NORTHWIND",
            "tax_code": "txcd_10103001",
            "type": "service",
            "unit_label": self.unit_label,
            "updated": self.updated,
        });
        assemble(&nulls, [facts])
    }
}

impl Record for Price {
    stands_on!(prices);

    fn created(&self) -> i64 {
        self.created
    }

    fn passes(&self, view: &View<'_>, name: &str, wanted: &str) -> Option<bool> {
        match name {
            "product" => Some(view.is(Some(self.product), wanted)),
            _ => None,
        }
    }

    fn render(&self, view: &View<'_>) -> Value {
        let recurring = self.interval.map(|interval| {
            let (unit, count) = interval.unit();
            json!({
                "interval": unit,
                "interval_count": count,
                "meter": self.meter(),
                "trial_period_days": null,
                "usage_type": self.usage_type(),
            })
        });
        json!({
            "active": self.active,
            "billing_scheme": "per_unit",
            "created": self.created,
            "currency": self.currency.code(),
            "custom_unit_amount": null,
            "id": &*self.id,
            "livemode": view.livemode,
            "lookup_key": null,
            "metadata": {},
            "nickname": self.nickname,
            "object": "price",
            "product": view.id(self.product),
            "recurring": recurring,
            "tax_behavior": if self.currency == Currency::Jpy { "inclusive" } else { "exclusive" },
            "tiers_mode": null,
            "transform_quantity": null,
            "type": if self.interval.is_some() { "recurring" } else { "one_time" },
            "unit_amount": self.unit_amount(),
            "unit_amount_decimal": self.unit_amount_decimal(),
        })
    }
}

impl Record for Plan {
    stands_on!(plans);

    fn created(&self) -> i64 {
        self.created
    }

    fn passes(&self, view: &View<'_>, name: &str, wanted: &str) -> Option<bool> {
        view.books.prices.at(self.price).passes(view, name, wanted)
    }

    fn render(&self, view: &View<'_>) -> Value {
        let price = view.books.prices.at(self.price);
        let (unit, count) = price.interval.unwrap_or(Interval::Month).unit();
        json!({
            "active": price.active,
            "amount": price.unit_amount(),
            "amount_decimal": price.unit_amount_decimal(),
            "billing_scheme": "per_unit",
            "created": price.created,
            "currency": price.currency.code(),
            "id": &*price.id,
            "interval": unit,
            "interval_count": count,
            "livemode": view.livemode,
            "metadata": {},
            "meter": price.meter(),
            "nickname": price.nickname,
            "object": "plan",
            "product": view.id(price.product),
            "tiers_mode": null,
            "transform_usage": null,
            "trial_period_days": null,
            "usage_type": price.usage_type(),
        })
    }
}
