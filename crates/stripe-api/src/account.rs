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

impl Account {
    /// The account that a message of Stripe's names; nothing else is known of it.
    pub(crate) fn named_in(message: &str) -> Option<Self> {
        let words = message.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let id = words.filter(|word| word.len() > "acct_".len()).find(|word| word.starts_with("acct_"))?;
        Some(Self { id: id.to_owned(), name: None, country: None, default_currency: None, time_zone: None })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_23_a_refusal_names_the_account() {
        let refusal = "The provided key 'rk_test_*****1234' does not have the required permissions for this endpoint \
            on account 'acct_1Nv0FGQ9RKHgCVdK'. Having the 'rak_accounts_kyc_basic_read' permission would allow this \
            request to continue.";
        assert_eq!(Account::named_in(refusal).unwrap().id, "acct_1Nv0FGQ9RKHgCVdK");
        assert_eq!(Account::named_in("No such account: acct_"), None);
    }
}
