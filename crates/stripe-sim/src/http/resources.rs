//! Which paths the simulator answers, with what parameters and permissions.

/// One listable resource.
pub(super) struct Endpoint {
    /// Path after `/v1/`.
    pub(super) path: &'static str,
    /// The objects' `object`, which is also the world's name of the kind.
    pub(super) kind: &'static str,
    /// Whether the list takes `created`.
    pub(super) created: bool,
    /// Equality filters.
    pub(super) filters: &'static [&'static str],
    /// The permission of a restricted key that opens it.
    pub(super) permission: &'static str,
}

const fn endpoint(
    path: &'static str,
    kind: &'static str,
    filters: &'static [&'static str],
    permission: &'static str,
) -> Endpoint {
    Endpoint { path, kind, created: true, filters, permission }
}

/// Every list the simulator keeps objects for.
pub(super) static ENDPOINTS: &[Endpoint] = &[
    endpoint("charges", "charge", &["customer", "payment_intent", "transfer_group"], "rak_charge_read"),
    endpoint("customers", "customer", &["email", "test_clock"], "rak_customer_read"),
    endpoint("coupons", "coupon", &[], "rak_coupon_read"),
    endpoint(
        "invoices",
        "invoice",
        &["customer", "subscription", "status", "collection_method"],
        "rak_invoice_read",
    ),
    endpoint("plans", "plan", &["active", "product"], "rak_plan_read"),
    endpoint(
        "subscriptions",
        "subscription",
        &["customer", "price", "plan", "status", "collection_method", "test_clock"],
        "rak_subscription_read",
    ),
    endpoint("events", "event", &["type", "delivery_success"], "rak_event_read"),
    endpoint("products", "product", &["active", "shippable", "url"], "rak_product_read"),
    endpoint("prices", "price", &["active", "product", "currency", "type"], "rak_plan_read"),
    endpoint("invoiceitems", "invoiceitem", &["customer", "invoice", "pending"], "rak_invoice_read"),
    endpoint("payment_intents", "payment_intent", &["customer"], "rak_payment_intent_read"),
    Endpoint {
        path: "payment_methods",
        kind: "payment_method",
        created: false,
        filters: &["customer", "type"],
        permission: "rak_payment_method_read",
    },
    endpoint("refunds", "refund", &["charge", "payment_intent"], "rak_charge_read"),
    endpoint("disputes", "dispute", &["charge", "payment_intent"], "rak_dispute_read"),
    endpoint("credit_notes", "credit_note", &["customer", "invoice"], "rak_credit_note_read"),
    endpoint(
        "balance_transactions",
        "balance_transaction",
        &["currency", "payout", "source", "type"],
        "rak_balance_transaction_source_read",
    ),
    endpoint("payouts", "payout", &["status", "destination"], "rak_payout_read"),
    endpoint("invoice_payments", "invoice_payment", &["invoice", "status"], "rak_invoice_read"),
];

/// Lists of features this business never used: they answer, and are empty.
static UNUSED: &[&str] = &[
    "application_fees",
    "billing/alerts",
    "billing/credit_grants",
    "billing/meters",
    "billing_portal/configurations",
    "checkout/sessions",
    "climate/orders",
    "entitlements/features",
    "file_links",
    "files",
    "financial_connections/accounts",
    "forwarding/requests",
    "identity/verification_sessions",
    "payment_links",
    "payment_method_configurations",
    "promotion_codes",
    "quotes",
    "radar/early_fraud_warnings",
    "radar/value_lists",
    "reporting/report_runs",
    "reviews",
    "setup_intents",
    "shipping_rates",
    "sigma/scheduled_query_runs",
    "subscription_schedules",
    "tax/registrations",
    "tax_ids",
    "tax_rates",
    "terminal/locations",
    "terminal/readers",
    "test_helpers/test_clocks",
    "topups",
    "transfers",
    "webhook_endpoints",
];

pub(super) fn by_path(path: &str) -> Option<&'static Endpoint> {
    ENDPOINTS.iter().find(|endpoint| endpoint.path == path)
}

pub(super) fn by_kind(kind: &str) -> Option<&'static Endpoint> {
    ENDPOINTS.iter().find(|endpoint| endpoint.kind == kind)
}

pub(super) fn is_unused(path: &str) -> bool {
    UNUSED.contains(&path)
}

/// The product that must be switched on before this path answers, if any.
pub(super) fn not_enabled(path: &str) -> Option<&'static str> {
    match path.split('/').next() {
        Some("issuing") => Some("Issuing"),
        Some("treasury") => Some("Treasury"),
        _ => None,
    }
}

/// The kind an id belongs to, told by its prefix.
pub(super) fn kind_of_id(id: &str) -> Option<&'static str> {
    let (prefix, _) = id.split_once('_')?;
    let kind = match prefix {
        "ch" | "py" => "charge",
        "cus" => "customer",
        "in" => "invoice",
        "sub" => "subscription",
        "prod" => "product",
        "price" => "price",
        "plan" => "plan",
        "ii" => "invoiceitem",
        "pi" => "payment_intent",
        "pm" | "card" => "payment_method",
        "re" | "pyr" => "refund",
        "dp" | "du" => "dispute",
        "cn" => "credit_note",
        "txn" => "balance_transaction",
        "po" => "payout",
        "inpay" => "invoice_payment",
        _ => return None,
    };
    Some(kind)
}
