//! Invoice lines, and the arithmetic of what they come to.

use serde_json::{Value, json};

use super::books::View;
use super::coupon::{Discount, Off};
use super::invoice::Invoice;
use super::invoice_item::InvoiceItem;
use super::money::{Tax, portion};
use super::price::Price;
use super::shelf::{Handle, Id};

/// One line of an invoice.
pub(super) struct Line {
    pub(super) id: Id,
    pub(super) description: String,
    pub(super) price: Handle<Price>,
    pub(super) quantity: i64,
    /// Before discount and tax; negative when it gives back.
    pub(super) amount: i64,
    pub(super) period: (i64, i64),
    pub(super) source: Source,
    pub(super) discount: i64,
    pub(super) tax: i64,
}

/// Where a line comes from.
#[derive(Clone)]
pub(super) enum Source {
    /// A subscription's item.
    Item(Id),
    /// An invoice item: a proration or something bought once.
    InvoiceItem(Handle<InvoiceItem>),
}

/// Spreads the discount over the lines that take part, and puts tax on each.
pub(super) fn settle(
    lines: &mut [Line],
    off: Option<Off>,
    tax: Option<Tax>,
    takes_part: impl Fn(&Line) -> bool,
) {
    let eligible: i64 = lines.iter().filter(|line| takes_part(line)).map(|line| line.amount).sum();
    let mut to_give = match off {
        Some(Off::Amount(amount, _)) => amount.min(eligible),
        Some(Off::Percent(_)) | None => 0,
    };
    let mut left = eligible;
    for line in lines.iter_mut() {
        line.discount = match off {
            Some(Off::Percent(hundredths)) if takes_part(line) => portion(line.amount, hundredths, 10_000),
            Some(Off::Amount(..)) if takes_part(line) && left > 0 => portion(to_give, line.amount, left),
            Some(Off::Percent(_) | Off::Amount(..)) | None => 0,
        };
        if takes_part(line) {
            left -= line.amount;
            to_give -= line.discount.min(to_give);
        }
        line.tax = tax.map_or(0, |tax| tax.on(line.amount - line.discount));
    }
}

impl Line {
    pub(super) fn render(&self, invoice: &Invoice, view: &View<'_>) -> Value {
        let price = view.books.prices.at(self.price);
        let taxable = self.amount - self.discount;
        let included = invoice.tax.filter(|tax| tax.inclusive).map_or(0, |_| self.tax);
        let taxes = invoice.tax.map(|tax| vec![tax.render(self.tax, taxable - included)]).unwrap_or_default();
        let discounts = invoice.discount.filter(|_| self.discount != 0);
        json!({
            "amount": self.amount,
            "currency": invoice.currency.code(),
            "description": self.description,
            "discount_amounts": discount_amounts(discounts, self.discount, view),
            "discountable": !self.is_proration(view),
            "discounts": [],
            "id": &*self.id,
            "invoice": &*invoice.id,
            "livemode": view.livemode,
            "metadata": {},
            "object": "line_item",
            "parent": self.parent(invoice, view),
            "period": { "end": self.period.1, "start": self.period.0 },
            "pretax_credit_amounts": [],
            "pricing": {
                "price_details": { "price": &*price.id, "product": view.id(price.product) },
                "type": "price_details",
                "unit_amount_decimal": price.unit_amount_decimal(),
            },
            "quantity": self.quantity,
            "quantity_decimal": self.quantity.to_string(),
            "subscription": view.id_or_null(invoice.subscription),
            "subtotal": self.amount,
            "taxes": taxes,
        })
    }

    pub(super) fn is_proration(&self, view: &View<'_>) -> bool {
        match self.source {
            Source::Item(_) => false,
            Source::InvoiceItem(item) => view.books.invoice_items.at(item).proration,
        }
    }

    fn parent(&self, invoice: &Invoice, view: &View<'_>) -> Value {
        let no_credit = json!({ "credited_items": null });
        match &self.source {
            Source::Item(item) => json!({
                "invoice_item_details": null,
                "subscription_item_details": {
                    "invoice_item": null,
                    "proration": false,
                    "proration_details": no_credit,
                    "subscription": view.id_or_null(invoice.subscription),
                    "subscription_item": &**item,
                },
                "type": "subscription_item_details",
            }),
            Source::InvoiceItem(item) => json!({
                "invoice_item_details": {
                    "invoice_item": view.id(*item),
                    "proration": self.is_proration(view),
                    "proration_details": no_credit,
                    "subscription": view.id_or_null(invoice.subscription),
                },
                "subscription_item_details": null,
                "type": "invoice_item_details",
            }),
        }
    }
}

/// The amount a discount took off, or nothing.
pub(super) fn discount_amounts(discount: Option<Handle<Discount>>, amount: i64, view: &View<'_>) -> Value {
    discount.map(|discount| json!({ "amount": amount, "discount": view.id(discount) })).into_iter().collect()
}
