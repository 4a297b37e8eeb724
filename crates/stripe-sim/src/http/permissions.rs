//! Which permission of a restricted key opens which list.

/// Lists whose permission is not called like them.
static NAMED: &[(&str, &str)] = &[
    ("accounts", "rak_connected_account_read"),
    ("apps/installs", "rak_app_read"),
    ("balance_transactions", "rak_balance_transaction_source_read"),
    ("billing/credit_balance_transactions", "rak_billing_credit_grant_read"),
    ("billing/feedback_options", "rak_subscription_read"),
    ("billing_portal/configurations", "rak_customer_portal_read"),
    ("climate/products", "rak_climate_order_read"),
    ("climate/suppliers", "rak_climate_order_read"),
    ("entitlements/features", "rak_entitlement_read"),
    ("file_links", "rak_file_read"),
    ("financial_connections/accounts", "rak_financial_connections_read"),
    ("identity/verification_reports", "rak_identity_verification_session_read"),
    ("invoice_payments", "rak_invoice_read"),
    ("invoiceitems", "rak_invoice_read"),
    ("prices", "rak_plan_read"),
    ("product_catalog/trial_offers", "rak_product_read"),
    ("radar/early_fraud_warnings", "rak_radar_read"),
    ("radar/value_lists", "rak_radar_read"),
    ("refunds", "rak_charge_read"),
    ("reporting/report_runs", "rak_report_run_read"),
    ("reporting/report_types", "rak_report_run_read"),
    ("sigma/scheduled_query_runs", "rak_sigma_read"),
    ("subscription_items", "rak_subscription_read"),
    ("subscription_schedules", "rak_subscription_read"),
    ("test_helpers/test_clocks", "rak_test_clock_read"),
    ("three_d_secure/authentications", "rak_three_d_secure_read"),
    ("webhook_endpoints", "rak_webhook_read"),
];

/// The permission for what is at this path, such as `rak_charge_read`: that of the outermost list.
pub(super) fn permission(path: &str) -> String {
    let rest = path.get("/v1/".len()..).unwrap_or_default();
    let outer = rest.split("/{").next().unwrap_or_default();
    let outer = outer.strip_suffix("/preview/lines").unwrap_or(outer);
    match NAMED.iter().find(|(list, _)| *list == outer) {
        Some((_, permission)) => (*permission).to_owned(),
        None => {
            let words: Vec<String> = outer.split('/').map(singular).collect();
            format!("rak_{}_read", words.join("_"))
        }
    }
}

fn singular(word: &str) -> String {
    match word.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => word.strip_suffix('s').unwrap_or(word).to_owned(),
    }
}
