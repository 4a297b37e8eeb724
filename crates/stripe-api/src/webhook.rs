//! Whether a webhook comes from Stripe, and lately (trap 20).
//!
//! Pure: the time is a parameter. What is signed is the body as it came, so it must be checked before it is parsed.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "stripe-signature";
/// How far the time of signing may be from now, in both directions: older is a replay.
pub const TOLERANCE: TimeDelta = TimeDelta::seconds(300);

/// Signatures of one header that are looked at. Stripe sends as many as the endpoint has secrets, two while one rolls.
const MOST: usize = 16;
/// Bytes of an HMAC-SHA256.
const LENGTH: usize = 32;

/// Why a webhook is refused. No variant holds a secret or a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header is not there.
    #[error("the Stripe-Signature header is missing: only Stripe may send to this address")]
    Missing,
    /// The header has no time or no `v1` signature.
    #[error("the Stripe-Signature header cannot be read: it needs a time (t=...) and a signature (v1=...)")]
    Malformed,
    /// None of the signatures was made with any of the secrets, or the body was changed on its way.
    #[error(
        "no signature of the webhook was made with a signing secret that is stored here: \
         compare the secret with the endpoint's in Stripe's dashboard, and leave the body unchanged on its way"
    )]
    Mismatch,
    /// Signed by Stripe, or so it says, but too long ago.
    #[error(
        "the webhook was signed {0}, more than 300 s ago: it is a replay, or this machine's clock is ahead"
    )]
    TooOld(Signed),
    /// Signed by Stripe, or so it says, but in the future.
    #[error("the webhook was signed {0}, more than 300 s in the future: this machine's clock is behind")]
    TooNew(Signed),
}

/// When a webhook was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed(i64);

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp(self.0, 0) {
            Some(at) => write!(f, "at {}", at.format("%Y-%m-%d %H:%M:%S UTC")),
            None => write!(f, "at second {}", self.0),
        }
    }
}

/// Checks that `body`, the raw bytes, was signed with one of `secrets` within the [`TOLERANCE`] of `now`. An endpoint has
/// two secrets while one rolls, and Stripe then signs with both: any of the signatures may match any of the secrets.
///
/// # Errors
/// [`SignatureError`] says what failed. A wrong time is only told of what Stripe has signed; see [`plausible`].
pub fn verify<'a>(
    header: &str,
    body: &[u8],
    secrets: impl IntoIterator<Item = &'a SecretString>,
    now: DateTime<Utc>,
) -> Result<(), SignatureError> {
    let header = Header::parse(header)?;
    let Header { time, signatures, .. } = &header;
    let mut matches = Choice::from(0);
    for secret in secrets {
        let ours = signature(secret, time, body);
        for theirs in signatures {
            matches |= ours.ct_eq(theirs);
        }
    }
    if !bool::from(matches) {
        return Err(SignatureError::Mismatch);
    }
    header.timely(now)
}

/// Checks what can be known before the body has come: that the header has a signature, and a time within the
/// [`TOLERANCE`] of `now`. Anybody can write such a header, so it opens nothing; but Stripe writes no other.
///
/// # Errors
/// [`SignatureError`] says what is missing or how far the time is from now.
pub fn plausible(header: &str, now: DateTime<Utc>) -> Result<(), SignatureError> {
    Header::parse(header)?.timely(now)
}

/// What the header says. Schemes other than `v1` are passed over: `v0` is for tests of Stripe's own.
struct Header<'a> {
    /// As it was signed.
    time: &'a str,
    at: i64,
    signatures: Vec<[u8; LENGTH]>,
}

impl<'a> Header<'a> {
    fn parse(header: &'a str) -> Result<Self, SignatureError> {
        let pairs = || header.split(',').filter_map(|pair| pair.trim().split_once('='));
        let time = pairs().find(|(name, _)| *name == "t").map(|(_, time)| time);
        let time = time.ok_or(SignatureError::Malformed)?;
        let at = time.parse().map_err(|_| SignatureError::Malformed)?;
        let own = pairs().filter(|(name, _)| *name == "v1").take(MOST);
        let signatures: Vec<_> = own.filter_map(|(_, text)| bytes(text)).collect();
        if signatures.is_empty() {
            return Err(SignatureError::Malformed);
        }
        Ok(Self { time, at, signatures })
    }

    fn timely(&self, now: DateTime<Utc>) -> Result<(), SignatureError> {
        let (at, now, tolerance) = (self.at, now.timestamp(), TOLERANCE.num_seconds());
        if now.saturating_sub(at) > tolerance {
            return Err(SignatureError::TooOld(Signed(at)));
        }
        if at.saturating_sub(now) > tolerance {
            return Err(SignatureError::TooNew(Signed(at)));
        }
        Ok(())
    }
}

fn bytes(text: &str) -> Option<[u8; LENGTH]> {
    hex::decode(text).ok()?.try_into().ok()
}

fn signature(secret: &SecretString, time: &str, body: &[u8]) -> [u8; LENGTH] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).expect("any key is good");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;
    const BODY: &[u8] = br#"{"id":"evt_1"}"#;
    /// HMAC-SHA256 of `1790000000.{"id":"evt_1"}` with the key `whsec_first`, by another implementation (OpenSSL).
    const BY_OPENSSL: &str = "5c41e3b4dba62dc3645da632f4ef97f6b04d45f91ea3342efb0e1944569cf3f5";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(NOW + seconds, 0).unwrap()
    }

    fn secret(name: &str) -> SecretString {
        SecretString::from(format!("whsec_{name}"))
    }

    fn signed(name: &str) -> String {
        hex::encode(signature(&secret(name), &NOW.to_string(), BODY))
    }

    fn check(header: &str, secrets: &[&str]) -> Result<(), SignatureError> {
        let secrets: Vec<_> = secrets.iter().map(|name| secret(name)).collect();
        verify(header, BODY, &secrets, at(0))
    }

    #[test]
    fn trap_20_a_signature_is_what_another_implementation_makes() {
        assert_eq!(signed("first"), BY_OPENSSL);
        check(&format!("t={NOW},v1={BY_OPENSSL}"), &["first"]).unwrap();
    }

    #[test]
    fn trap_20_any_signature_may_match_any_secret() {
        let (first, second) = (signed("first"), signed("second"));
        for header in [
            format!("t={NOW},v1={first}"),
            format!("t={NOW},v1={first},v1={second}"),
            format!("t={NOW},v1={second},v1={first}"),
            format!("v0={second},v1={second}, t={NOW} ,v1={first}"),
            format!("t={NOW},v1=zz,v1={first}"),
        ] {
            check(&header, &["first"]).unwrap();
            check(&header, &["old", "first"]).unwrap();
        }
        assert_eq!(check(&format!("t={NOW},v1={first}"), &["second"]), Err(SignatureError::Mismatch));
        assert_eq!(check(&format!("t={NOW},v1={first}"), &[]), Err(SignatureError::Mismatch));
    }

    #[test]
    fn trap_20_a_changed_or_cut_body_and_another_time_are_refused() {
        let first = signed("first");
        let header = format!("t={NOW},v1={first}");
        for body in [&BODY[..BODY.len() - 1], b"", br#"{"id":"evt_2"}"#, br#"{"id":"evt_1"} "#] {
            assert_eq!(verify(&header, body, [&secret("first")], at(0)), Err(SignatureError::Mismatch));
        }
        let later = format!("t={},v1={first}", NOW + 1);
        assert_eq!(check(&later, &["first"]), Err(SignatureError::Mismatch));
    }

    #[test]
    fn trap_20_more_than_five_minutes_from_now_is_refused_in_both_directions() {
        let header = format!("t={NOW},v1={}", signed("first"));
        let after = |seconds| verify(&header, BODY, [&secret("first")], at(seconds));
        assert_eq!((after(300), after(-300)), (Ok(()), Ok(())));
        assert_eq!(after(301), Err(SignatureError::TooOld(Signed(NOW))));
        assert_eq!(after(-301), Err(SignatureError::TooNew(Signed(NOW))));
        assert!(after(301).unwrap_err().to_string().contains("signed at 2026-09-21 14:13:20 UTC"));
    }

    #[test]
    fn trap_20_before_the_body_has_come_the_header_must_be_one_that_stripe_could_write_now() {
        let header = format!("t={NOW},v1={}", "ab".repeat(LENGTH));
        let after = |seconds| plausible(&header, at(seconds));
        assert_eq!((after(300), after(-300)), (Ok(()), Ok(())));
        assert_eq!(after(301), Err(SignatureError::TooOld(Signed(NOW))));
        assert_eq!(after(-301), Err(SignatureError::TooNew(Signed(NOW))));
        for header in ["", "v1=ab", &format!("t={NOW}"), &format!("t={NOW},v1=ab")] {
            assert_eq!(plausible(header, at(0)), Err(SignatureError::Malformed), "{header}");
        }
    }

    #[test]
    fn trap_20_a_header_without_time_or_signature_cannot_be_read() {
        let first = signed("first");
        for header in
            ["", "t=", "v1=", "t=1", &format!("v1={first}"), &format!("t=x,v1={first}"), "t=1,v1=ab"]
        {
            assert_eq!(check(header, &["first"]), Err(SignatureError::Malformed), "{header}");
        }
        let other_scheme = format!("t={NOW},v0={first}");
        assert_eq!(check(&other_scheme, &["first"]), Err(SignatureError::Malformed));
    }

    #[test]
    fn refusals_hold_no_secret_and_no_signature() {
        for error in [
            SignatureError::Missing,
            SignatureError::Malformed,
            SignatureError::Mismatch,
            SignatureError::TooOld(Signed(i64::MIN)),
            SignatureError::TooNew(Signed(NOW)),
        ] {
            assert!(!error.to_string().contains("whsec"), "{error}");
        }
    }
}
