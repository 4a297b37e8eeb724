//! Whose data it is.

use serde::Deserialize;

use crate::StripeError;

/// Opens `/v1/account` to a restricted key.
const PERMISSION: &str = "rak_accounts_kyc_basic_read";

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

impl Account {
    /// What a refusal to show the account tells all the same.
    ///
    /// Restricted keys without a permission of their own are answered "The provided key 'rk_...' does not have the
    /// required permissions for this endpoint on account 'acct_...'. Having the 'rak_...' permission would allow this
    /// request to continue.": <https://github.com/stripe/stripe-node/issues/2246>, and without a permission that would
    /// do <https://github.com/dj-stripe/dj-stripe/pull/1131>. Other refusals name accounts too, but not the key's own.
    pub(crate) fn from_refusal(message: String) -> Result<Self, StripeError> {
        if !message.contains("required permissions") {
            return Err(StripeError::Forbidden { message });
        }
        match named(&message, "acct_") {
            Some(id) => Ok(Self { id, name: None, country: None, default_currency: None, time_zone: None }),
            None => {
                let permission = named(&message, "rak_").unwrap_or_else(|| PERMISSION.to_owned());
                let message = format!(
                    "the key may not tell whose account it is; give it the permission '{permission}'. Stripe said: {message}"
                );
                Err(StripeError::Forbidden { message })
            }
        }
    }
}

/// The first word in `message` that begins with `prefix`, unless it is masked.
fn named(message: &str, prefix: &str) -> Option<String> {
    let of_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '*';
    let word = message.split(|letter| !of_word(letter)).find(|word| word.starts_with(prefix))?;
    let rest = word.strip_prefix(prefix)?;
    let whole = |letter: char| letter.is_ascii_alphanumeric() || (letter == '_' && prefix == "rak_");
    (!rest.is_empty() && rest.chars().all(whole)).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(on: &str, end: &str) -> Result<Account, StripeError> {
        let message = format!(
            "The provided key '[key]' does not have the required permissions for this endpoint{on}. {end}"
        );
        Account::from_refusal(message)
    }

    #[test]
    fn trap_23_a_refusal_tells_whose_account_it_is() {
        let end =
            "Having the 'rak_accounts_kyc_id_numbers_read' permission would allow this request to continue.";
        let account = refused(" on account 'acct_1PJBLEBBLEfV'", end).unwrap();
        assert_eq!((account.id.as_str(), account.name), ("acct_1PJBLEBBLEfV", None));
        for nobody in ["", " on account 'acct_ABC***'", " on account 'acct_'"] {
            let error = refused(nobody, end).unwrap_err().to_string();
            assert!(error.contains("the permission 'rak_accounts_kyc_id_numbers_read'"), "{error}");
            let error = refused(nobody, "").unwrap_err().to_string();
            assert!(error.contains(PERMISSION), "{error}");
        }
    }

    #[test]
    fn trap_27_an_account_that_is_not_open_is_not_the_keys_own() {
        let message = "The provided key '[key]' does not have access to account 'acct_1' (or that account does not \
                       exist). Application access may have been revoked.";
        assert!(Account::from_refusal(message.to_owned()).is_err());
    }
}
