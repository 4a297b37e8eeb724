//! The kinds of objects that a mixed world has.

use crate::world::Scan;

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Customer,
    PaymentMethod,
    Product,
    Price,
    Plan,
    Subscription,
    SubscriptionItem,
    Invoice,
    LineItem,
    InvoicePayment,
    InvoiceItem,
    PaymentIntent,
    Charge,
    Refund,
    BalanceTransaction,
    Payout,
    Event,
}

/// Every kind, what its objects call themselves, and what their ids begin with.
const KINDS: [(Kind, &str, &str); 17] = [
    (Kind::Customer, "customer", "cus_"),
    (Kind::PaymentMethod, "payment_method", "pm_1"),
    (Kind::Product, "product", "prod_"),
    (Kind::Price, "price", "price_1"),
    (Kind::Plan, "plan", "price_1"),
    (Kind::Subscription, "subscription", "sub_1"),
    (Kind::SubscriptionItem, "subscription_item", "si_"),
    (Kind::Invoice, "invoice", "in_1"),
    (Kind::LineItem, "line_item", "il_1"),
    (Kind::InvoicePayment, "invoice_payment", "inpay_1"),
    (Kind::InvoiceItem, "invoiceitem", "ii_1"),
    (Kind::PaymentIntent, "payment_intent", "pi_3"),
    (Kind::Charge, "charge", "ch_3"),
    (Kind::Refund, "refund", "re_3"),
    (Kind::BalanceTransaction, "balance_transaction", "txn_3"),
    (Kind::Payout, "payout", "po_1"),
    (Kind::Event, "event", "evt_1"),
];

impl Kind {
    pub(super) fn parse(name: &str) -> Option<Self> {
        KINDS.iter().find(|(_, own, _)| *own == name).map(|(kind, _, _)| *kind)
    }

    /// The kind of the objects that a scan is of. None: there are none that it shows.
    pub(super) fn of(scan: &Scan) -> Option<Self> {
        // All payment methods are of customers, and the account's own list leaves those out (trap 10).
        let asked = scan.parent.is_some() || scan.filters.iter().any(|(name, _)| name == "customer");
        Self::parse(&scan.kind).filter(|_| scan.list != "/v1/payment_methods" || asked)
    }

    /// Whether its objects are parts of others, and only some numbers are of one.
    pub(super) fn is_nested(self) -> bool {
        matches!(self, Self::LineItem | Self::SubscriptionItem)
    }

    /// What objects of all kinds call themselves.
    pub(super) fn names() -> Vec<&'static str> {
        KINDS.iter().map(|(_, name, _)| *name).collect()
    }

    /// What its ids begin with.
    pub(super) fn prefix(self) -> &'static str {
        KINDS.iter().find(|(kind, _, _)| *kind == self).map_or("", |(_, _, prefix)| prefix)
    }

    /// What tells its ids from those of other kinds.
    pub(super) fn salt(self) -> u64 {
        // A plan is a price under its old name.
        let own = if self == Self::Plan { Self::Price } else { self };
        KINDS.iter().position(|(kind, _, _)| *kind == own).map_or(0, |place| place as u64)
    }
}
