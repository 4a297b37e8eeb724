//! Coupons, and the discounts that came of them.

use serde_json::{Value, json};

use super::books::{View, stands_on};
use super::customer::Customer;
use super::money::Currency;
use super::price::decimal;
use super::shelf::{Handle, Id, Record};
use super::subscription::Subscription;

/// What a coupon takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Off {
    /// Hundredths of a percent.
    Percent(i64),
    /// Per invoice.
    Amount(i64, Currency),
}

/// For how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duration {
    Once,
    Months(u32),
    Forever,
}

/// A coupon.
pub(super) struct Coupon {
    pub(super) id: Id,
    pub(super) created: i64,
    pub(super) name: &'static str,
    pub(super) off: Off,
    pub(super) duration: Duration,
    pub(super) redeemed: i64,
    pub(super) redeem_by: Option<i64>,
    pub(super) deleted: bool,
}

/// A coupon at work for one customer or one subscription.
pub(super) struct Discount {
    pub(super) id: Id,
    pub(super) coupon: Handle<Coupon>,
    pub(super) customer: Handle<Customer>,
    pub(super) subscription: Option<Handle<Subscription>>,
    pub(super) start: i64,
    pub(super) end: Option<i64>,
}

impl Record for Coupon {
    stands_on!(coupons);

    fn created(&self) -> i64 {
        self.created
    }

    fn is_deleted(&self) -> bool {
        self.deleted
    }

    fn render(&self, view: &View<'_>) -> Value {
        let (amount, currency, percent) = match self.off {
            Off::Amount(amount, currency) => (Some(amount), Some(currency.code()), None),
            Off::Percent(hundredths) => {
                (None, None, serde_json::from_str::<Value>(&decimal(hundredths)).ok())
            }
        };
        let (duration, months) = match self.duration {
            Duration::Once => ("once", None),
            Duration::Months(months) => ("repeating", Some(months)),
            Duration::Forever => ("forever", None),
        };
        json!({
            "amount_off": amount,
            "created": self.created,
            "currency": currency,
            "duration": duration,
            "duration_in_months": months,
            "id": &*self.id,
            "livemode": view.livemode,
            "max_redemptions": null,
            "metadata": {},
            "name": self.name,
            "object": "coupon",
            "percent_off": percent,
            "redeem_by": self.redeem_by,
            "times_redeemed": self.redeemed,
            "valid": self.redeem_by.is_none_or(|by| by > view.now),
        })
    }
}

impl Record for Discount {
    stands_on!(discounts);

    fn created(&self) -> i64 {
        self.start
    }

    fn render(&self, view: &View<'_>) -> Value {
        json!({
            "checkout_session": null,
            "customer": view.id(self.customer),
            "customer_account": null,
            "end": self.end,
            "id": &*self.id,
            "invoice": null,
            "invoice_item": null,
            "object": "discount",
            "promotion_code": null,
            "source": { "coupon": view.id(self.coupon), "type": "coupon" },
            "start": self.start,
            "subscription": view.id_or_null(self.subscription),
            "subscription_item": null,
        })
    }
}
