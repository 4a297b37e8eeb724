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

/// One whose list takes no `created`.
const fn timeless(
    path: &'static str,
    kind: &'static str,
    filters: &'static [&'static str],
    permission: &'static str,
) -> Endpoint {
    Endpoint { path, kind, created: false, filters, permission }
}

/// Every list the simulator keeps objects for.
pub(super) static ENDPOINTS: &[Endpoint] = &[
    // Accounts connected to this one: there are none. Its own is not among them (trap 10).
    endpoint("accounts", "account", &[], "rak_connected_account_read"),
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
    timeless("payment_methods", "payment_method", &["customer", "type"], "rak_payment_method_read"),
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
static UNUSED: &[Endpoint] = &[
    timeless("apple_pay/domains", "apple_pay_domain", &["domain_name"], "rak_apple_pay_domain_read"),
    endpoint("apps/installs", "apps.install", &["app", "status"], "rak_app_read"),
    timeless("apps/secrets", "apps.secret", &["scope[type]"], "rak_secret_read"),
    timeless(
        "billing/credit_balance_transactions",
        "billing.credit_balance_transaction",
        &["credit_grant", "customer"],
        "rak_billing_credit_grant_read",
    ),
    timeless("billing/feedback_options", "billing.feedback_option", &["status"], "rak_subscription_read"),
    timeless("climate/products", "climate.product", &[], "rak_climate_order_read"),
    timeless("climate/suppliers", "climate.supplier", &[], "rak_climate_order_read"),
    timeless("country_specs", "country_spec", &[], "rak_country_spec_read"),
    timeless("exchange_rates", "exchange_rate", &[], "rak_exchange_rate_read"),
    endpoint(
        "identity/verification_reports",
        "identity.verification_report",
        &["client_reference_id", "type", "verification_session"],
        "rak_identity_verification_session_read",
    ),
    timeless(
        "invoice_rendering_templates",
        "invoice_rendering_template",
        &["status"],
        "rak_invoice_rendering_template_read",
    ),
    timeless(
        "payment_method_domains",
        "payment_method_domain",
        &["domain_name", "enabled"],
        "rak_payment_method_domain_read",
    ),
    timeless("payment_records", "payment_record", &[], "rak_payment_record_read"),
    endpoint("product_catalog/trial_offers", "product_catalog.trial_offer", &["active"], "rak_product_read"),
    timeless("reporting/report_types", "reporting.report_type", &[], "rak_report_run_read"),
    timeless("tax/locations", "tax.location", &["type"], "rak_tax_location_read"),
    timeless("tax_codes", "tax_code", &[], "rak_tax_code_read"),
    timeless(
        "terminal/configurations",
        "terminal.configuration",
        &["is_account_default"],
        "rak_terminal_configuration_read",
    ),
    endpoint(
        "three_d_secure/authentications",
        "three_d_secure.authentication",
        &["status"],
        "rak_three_d_secure_read",
    ),
    endpoint("application_fees", "application_fee", &["charge"], "rak_application_fee_read"),
    timeless("billing/alerts", "billing.alert", &["alert_type", "meter"], "rak_billing_alert_read"),
    timeless("billing/credit_grants", "billing.credit_grant", &["customer"], "rak_billing_credit_grant_read"),
    timeless("billing/meters", "billing.meter", &["status"], "rak_billing_meter_read"),
    timeless(
        "billing_portal/configurations",
        "billing_portal.configuration",
        &["active", "is_default"],
        "rak_customer_portal_read",
    ),
    endpoint(
        "checkout/sessions",
        "checkout.session",
        &["customer", "customer_details", "payment_intent", "payment_link", "status", "subscription"],
        "rak_checkout_session_read",
    ),
    timeless("climate/orders", "climate.order", &[], "rak_climate_order_read"),
    timeless(
        "entitlements/features",
        "entitlements.feature",
        &["archived", "lookup_key"],
        "rak_entitlement_read",
    ),
    endpoint("file_links", "file_link", &["expired", "file"], "rak_file_read"),
    endpoint("files", "file", &["purpose"], "rak_file_read"),
    timeless(
        "financial_connections/accounts",
        "financial_connections.account",
        &["account_holder", "session"],
        "rak_financial_connections_read",
    ),
    endpoint("forwarding/requests", "forwarding.request", &[], "rak_forwarding_request_read"),
    endpoint(
        "identity/verification_sessions",
        "identity.verification_session",
        &["client_reference_id", "related_customer", "status"],
        "rak_identity_verification_session_read",
    ),
    timeless("payment_links", "payment_link", &["active"], "rak_payment_link_read"),
    timeless(
        "payment_method_configurations",
        "payment_method_configuration",
        &["application"],
        "rak_payment_method_configuration_read",
    ),
    endpoint(
        "promotion_codes",
        "promotion_code",
        &["active", "code", "coupon", "customer"],
        "rak_promotion_code_read",
    ),
    timeless("quotes", "quote", &["customer", "status", "test_clock"], "rak_quote_read"),
    endpoint(
        "radar/early_fraud_warnings",
        "radar.early_fraud_warning",
        &["charge", "payment_intent"],
        "rak_radar_read",
    ),
    endpoint("radar/value_lists", "radar.value_list", &["alias", "contains"], "rak_radar_read"),
    endpoint("reporting/report_runs", "reporting.report_run", &[], "rak_report_run_read"),
    endpoint("reviews", "review", &[], "rak_review_read"),
    endpoint(
        "setup_intents",
        "setup_intent",
        &["attach_to_self", "customer", "payment_method"],
        "rak_setup_intent_read",
    ),
    endpoint("shipping_rates", "shipping_rate", &["active", "currency"], "rak_shipping_rate_read"),
    timeless("sigma/scheduled_query_runs", "scheduled_query_run", &[], "rak_sigma_read"),
    endpoint(
        "subscription_schedules",
        "subscription_schedule",
        &["canceled_at", "completed_at", "customer", "released_at", "scheduled"],
        "rak_subscription_read",
    ),
    timeless("tax/registrations", "tax.registration", &["status"], "rak_tax_registration_read"),
    timeless("tax_ids", "tax_id", &["owner"], "rak_tax_id_read"),
    endpoint("tax_rates", "tax_rate", &["active", "inclusive"], "rak_tax_rate_read"),
    timeless("terminal/locations", "terminal.location", &[], "rak_terminal_location_read"),
    timeless(
        "terminal/readers",
        "terminal.reader",
        &["device_type", "location", "serial_number", "status"],
        "rak_terminal_reader_read",
    ),
    timeless("test_helpers/test_clocks", "test_helpers.test_clock", &[], "rak_test_clock_read"),
    endpoint("topups", "topup", &["amount", "status"], "rak_topup_read"),
    endpoint("transfers", "transfer", &["destination", "transfer_group"], "rak_transfer_read"),
    timeless("webhook_endpoints", "webhook_endpoint", &[], "rak_webhook_read"),
];

/// Whether the list has one page and takes no parameters for paging.
pub(super) fn is_whole(endpoint: &Endpoint) -> bool {
    endpoint.path == "reporting/report_types"
}

pub(super) fn by_path(path: &str) -> Option<&'static Endpoint> {
    ENDPOINTS.iter().find(|endpoint| endpoint.path == path)
}

pub(super) fn by_kind(kind: &str) -> Option<&'static Endpoint> {
    ENDPOINTS.iter().find(|endpoint| endpoint.kind == kind)
}

/// The empty list at this path or right above it, and the id within.
pub(super) fn unused<'a>(parts: &[&'a str]) -> Option<(&'static Endpoint, Option<&'a str>)> {
    let at = |path: &str| UNUSED.iter().find(|endpoint| endpoint.path == path);
    let (id, list) = parts.split_last()?;
    at(&parts.join("/")).map(|endpoint| (endpoint, None)).or_else(|| Some((at(&list.join("/"))?, Some(*id))))
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
