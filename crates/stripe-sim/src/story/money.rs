//! Currencies, taxes, fees: whole numbers of the smallest unit, rounded in one place.

use serde_json::{Value, json};

/// A currency that the business sells in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Currency {
    Usd,
    Eur,
    /// No decimals.
    Jpy,
    /// Three decimals; settled in dollars.
    Kwd,
    /// Two decimals and large numbers; settled in dollars.
    Idr,
}

impl Currency {
    pub(super) const ALL: [Self; 5] = [Self::Usd, Self::Eur, Self::Jpy, Self::Kwd, Self::Idr];
    /// Those that the business has bank accounts in.
    pub(super) const SETTLED: [Self; 3] = [Self::Usd, Self::Eur, Self::Jpy];

    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Usd => "usd",
            Self::Eur => "eur",
            Self::Jpy => "jpy",
            Self::Kwd => "kwd",
            Self::Idr => "idr",
        }
    }

    /// The amount in the currency it is settled in.
    pub(super) fn settle(self, amount: i64) -> Settled {
        match self {
            Self::Usd | Self::Eur | Self::Jpy => Settled { amount, currency: self, rate: None },
            Self::Kwd => Settled {
                amount: portion(amount, 3255, 10_000),
                currency: Self::Usd,
                rate: Some(json!(3.255)),
            },
            Self::Idr => Settled {
                amount: portion(amount, 61, 1_000_000),
                currency: Self::Usd,
                rate: Some(json!(0.000_061)),
            },
        }
    }

    /// Stripe's fee for a payment whose settled amount is `settled`.
    pub(super) fn fee(self, settled: i64) -> i64 {
        match self {
            Self::Usd => portion(settled, 29, 1000) + 30,
            Self::Eur => portion(settled, 15, 1000) + 25,
            Self::Jpy => portion(settled, 36, 1000),
            Self::Kwd | Self::Idr => portion(settled, 54, 1000) + 30,
        }
    }

    /// What a lost payment costs on top, in the currency of settlement.
    pub(super) fn dispute_fee(self) -> i64 {
        match self {
            Self::Jpy => 1500,
            Self::Eur => 2000,
            Self::Usd | Self::Kwd | Self::Idr => 1500,
        }
    }

    /// Place in tables that give an amount per currency.
    pub(super) fn of<T: Copy>(self, table: &[T; 5]) -> T {
        let [usd, eur, jpy, kwd, idr] = *table;
        match self {
            Self::Usd => usd,
            Self::Eur => eur,
            Self::Jpy => jpy,
            Self::Kwd => kwd,
            Self::Idr => idr,
        }
    }
}

/// An amount as it reaches the balance.
pub(super) struct Settled {
    pub(super) amount: i64,
    pub(super) currency: Currency,
    pub(super) rate: Option<Value>,
}

/// `amount` x `part` / `whole`, halves away from zero.
pub(super) fn portion(amount: i64, part: i64, whole: i64) -> i64 {
    let (product, whole) = (i128::from(amount) * i128::from(part), i128::from(whole));
    let half = if product < 0 { -whole } else { whole };
    i64::try_from((product * 2 + half) / (whole * 2)).unwrap_or(i64::MAX)
}

/// How sales to a country are taxed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tax {
    /// Hundredths of a percent.
    pub(super) rate: i64,
    /// Whether prices contain it.
    pub(super) inclusive: bool,
    pub(super) id: &'static str,
}

impl Tax {
    pub(super) fn of(country: &str) -> Option<Self> {
        let (rate, inclusive, id) = match country {
            "DE" => (1900, false, "txr_1NvA0deB7tQ2mLkE9uWcXyRz"),
            "FR" => (2000, false, "txr_1NvA0frC4nH8sPbT6vJdKqMw"),
            "FI" => (2550, false, "txr_1NvA0fiG9rD3xZaY5hUoNeLt"),
            "ES" => (2100, false, "txr_1NvA0esK2wF7jVgS8cXiBmPq"),
            "ID" => (1100, false, "txr_1NvA0idM6yR1kTnO4fZlHsWd"),
            "JP" => (1000, true, "txr_1NvA0jpQ5bE0pUvI3gAxCtJn"),
            _ => return None,
        };
        Some(Self { rate, inclusive, id })
    }

    /// The tax on, or in, `amount`.
    pub(super) fn on(self, amount: i64) -> i64 {
        if self.inclusive {
            amount - portion(amount, 10_000, 10_000 + self.rate)
        } else {
            portion(amount, self.rate, 10_000)
        }
    }

    pub(super) fn render(self, amount: i64, taxable: i64) -> Value {
        json!({
            "amount": amount,
            "tax_behavior": if self.inclusive { "inclusive" } else { "exclusive" },
            "tax_rate_details": { "tax_rate": self.id },
            "taxability_reason": "standard_rated",
            "taxable_amount": taxable,
            "type": "tax_rate_details",
        })
    }
}
