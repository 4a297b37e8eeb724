//! Whose data it is.

use serde::Deserialize;

/// The account that a key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// "acct_…".
    pub id: String,
    /// What its owner calls it, if anything.
    pub name: Option<String>,
    /// The country, as two letters.
    pub country: Option<String>,
    /// The currency it settles in.
    pub default_currency: Option<String>,
    /// Its time zone, "Europe/Berlin".
    pub time_zone: Option<String>,
}

/// `/v1/account` as Stripe sends it.
#[derive(Deserialize)]
pub(crate) struct Wire {
    id: String,
    country: Option<String>,
    default_currency: Option<String>,
    business_profile: Option<Named>,
    settings: Option<Settings>,
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Settings {
    dashboard: Option<Dashboard>,
}

#[derive(Deserialize)]
struct Dashboard {
    display_name: Option<String>,
    timezone: Option<String>,
}

impl From<Wire> for Account {
    fn from(wire: Wire) -> Self {
        let Wire { id, country, default_currency, business_profile, settings } = wire;
        let dashboard = settings.and_then(|settings| settings.dashboard);
        let (shown, time_zone) =
            dashboard.map_or((None, None), |dashboard| (dashboard.display_name, dashboard.timezone));
        let name = shown.or_else(|| business_profile?.name).filter(|name| !name.is_empty());
        Self { id, name, country, default_currency, time_zone }
    }
}
