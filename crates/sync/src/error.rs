//! Why a cycle or a table stopped.

use tokio_util::sync::CancellationToken;

/// Why a cycle, or one table of it, could not go on.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Stripe did not answer usefully; retries are behind us.
    #[error("could not read {path} from Stripe")]
    Stripe {
        /// The path that was asked for.
        path: String,
        /// What Stripe or the network said.
        #[source]
        source: stripe_api::StripeError,
    },
    /// Stripe's answer was not what a list or an object looks like, even after asking again.
    #[error("could not understand Stripe's answer to {path}")]
    Decode {
        /// The path that was asked for.
        path: String,
        /// Where the answer stopped making sense.
        #[source]
        source: catalog::DecodeError,
    },
    /// The warehouse refused.
    #[error("could not write to the warehouse")]
    Warehouse(#[from] warehouse::WarehouseError),
    /// A stored checkpoint cannot be read; nothing was changed.
    #[error("could not read the checkpoint {key}: it was written by another version of Tallyhouse")]
    Checkpoint {
        /// The key of the checkpoint.
        key: String,
        /// What was wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A list did not move on although it said that there is more.
    #[error("the list {path} said that there is more but gave nothing")]
    Stuck {
        /// The list's path.
        path: String,
    },
    /// An object took too long; it is asked for again later.
    #[error("Stripe took too long to show an object of {path}")]
    Slow {
        /// The path of its list.
        path: String,
    },
    /// A page of events is not what events look like.
    #[error("could not understand a page of Stripe's events")]
    Event {
        /// Where it stopped making sense.
        #[source]
        source: serde_json::Error,
    },
    /// What belongs to objects of another table cannot be asked for before these were looked at.
    #[error("could not ask for what belongs to {parents}, whose list did not come to its end in this update")]
    Parents {
        /// The table of the parents.
        parents: &'static str,
    },
    /// Stripe does not show the key what is only shown when it is expanded: the table stands without that.
    #[error(
        "Stripe does not let this key expand {properties}: the {properties} of {table} are not copied. Give the key read \
         access to them. Stripe says: {why}"
    )]
    Unexpanded {
        /// The table.
        table: &'static str,
        /// What was to be expanded.
        properties: String,
        /// What Stripe said.
        why: String,
    },
    /// Stripe refuses to show some objects, or what belongs to some: the table stands without these.
    #[error("Stripe does not show {what}. Its last answer: {why}")]
    Withheld {
        /// What is missing: "account_persons of 3 parents in accounts".
        what: String,
        /// What Stripe said last.
        why: String,
    },
    /// The cycle could not begin.
    #[error("{0}")]
    Setup(String),
    /// Somebody asked to stop; what was committed stays, the next run goes on from there.
    #[error("stopped before the end; the next run goes on from here")]
    Stopped,
}

/// "1 parent", "3 parents".
pub(crate) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Goes on, unless somebody asked to stop.
pub(crate) fn unless_stopped(stop: &CancellationToken) -> Result<(), SyncError> {
    if stop.is_cancelled() { Err(SyncError::Stopped) } else { Ok(()) }
}

impl SyncError {
    /// Whether only this table is concerned: Stripe refuses it (not enabled, no permission), the others can go on.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Stripe { source, .. } => source.is_unavailable(),
            Self::Decode { .. }
            | Self::Warehouse(_)
            | Self::Checkpoint { .. }
            | Self::Stuck { .. }
            | Self::Slow { .. }
            | Self::Event { .. }
            | Self::Parents { .. }
            | Self::Unexpanded { .. }
            | Self::Withheld { .. }
            | Self::Setup(_)
            | Self::Stopped => false,
        }
    }

    /// Whether no other table can go on either: the warehouse, the credentials, a stop.
    pub(crate) fn concerns_all(&self) -> bool {
        match self {
            Self::Warehouse(_) | Self::Checkpoint { .. } | Self::Setup(_) | Self::Stopped => true,
            Self::Stripe { .. } => self.is_unauthorized(),
            Self::Decode { .. }
            | Self::Stuck { .. }
            | Self::Slow { .. }
            | Self::Event { .. }
            | Self::Unexpanded { .. }
            | Self::Withheld { .. }
            | Self::Parents { .. } => false,
        }
    }

    /// Whether everything is there that Stripe shows: what it does not let the key expand is missing, or what it refuses to
    /// show of single objects.
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        matches!(self, Self::Unexpanded { .. } | Self::Withheld { .. })
    }

    /// Stripe refuses the credentials: somebody must connect again.
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Stripe { source: stripe_api::StripeError::Unauthorized { .. }, .. })
    }

    /// The sentence for people: what happened, with its causes. A warehouse's own words stay out: they can quote rows.
    #[must_use]
    pub fn sentence(&self) -> String {
        if let Self::Warehouse(error) = self {
            return error.to_string();
        }
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
