//! Access that owners granted on Stripe's page. It is taken up and given back in turns: Stripe knows one access of this
//! platform to an account, however often it was granted, so giving back an old one would end a new one.

use store::{Connection, How};
use tokio::sync::{Mutex, MutexGuard};

use super::App;

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Grants(Mutex<()>);

/// Proof that nobody else takes up or gives back access meanwhile.
pub(super) struct Turn<'a> {
    _turn: MutexGuard<'a, ()>,
}

/// What became of access that is not needed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Stripe ended it.
    GivenBack,
    /// Another connection lives by it.
    StillUsed,
    /// It could not be given back; the log says why.
    Open,
}

impl Grants {
    /// Waits until nobody else takes up or gives back access.
    pub(super) async fn turn(&self) -> Turn<'_> {
        Turn { _turn: self.0.lock().await }
    }
}

impl Turn<'_> {
    /// Gives the access to an account back, unless a connection lives by it. `livemode` is the platform's.
    pub(super) async fn give_back(&self, app: &App, account_id: &str, livemode: bool) -> Access {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            tracing::warn!(account = account_id, error, "could not give the access to an account back");
            Access::Open
        };
        let lives_by_it = |connection: &Connection| {
            connection.how == How::Oauth
                && connection.account_id == account_id
                && connection.livemode == livemode
        };
        match app.store.connections().await {
            Ok(connections) if connections.iter().any(lives_by_it) => return Access::StillUsed,
            Ok(_) => {}
            Err(error) => return failed(&error),
        }
        match app.stripe.give_back(account_id, livemode).await {
            Ok(()) => Access::GivenBack,
            Err(error) => failed(&error),
        }
    }
}

impl Access {
    /// For an address, which tells it to the next page.
    pub(super) fn note(self) -> &'static str {
        match self {
            Self::GivenBack => "given_back",
            Self::StillUsed => "still_used",
            Self::Open => "not_given_back",
        }
    }

    /// What [`Self::note`] told.
    pub(super) fn noted(note: &str) -> Option<Self> {
        [Self::GivenBack, Self::StillUsed, Self::Open].into_iter().find(|access| access.note() == note)
    }

    /// A sentence.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::GivenBack => "Stripe was told that the access ends.",
            Self::StillUsed => "The access at Stripe stays, since another connection uses it.",
            Self::Open => {
                "But Stripe did not take the access back: remove this installation's platform in the account's settings \
                 at Stripe. The log says why."
            }
        }
    }
}
