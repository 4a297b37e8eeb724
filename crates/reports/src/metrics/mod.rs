//! One function for each metric: from a [`Frame`](crate::Frame) to a [`Question`](crate::Question).

mod active_subscriptions;
mod decline_reasons;
mod failed_payments;
mod gross_volume;
mod invoices_billed;
mod invoices_collected;
mod open_receivables;
mod payment_success_rate;
mod subscriptions_by_month;

pub use active_subscriptions::active_subscriptions;
pub use decline_reasons::decline_reasons;
pub use failed_payments::failed_payments;
pub use gross_volume::gross_volume;
pub use invoices_billed::invoices_billed;
pub use invoices_collected::invoices_collected;
pub use open_receivables::open_receivables;
pub use payment_success_rate::payment_success_rate;
pub use subscriptions_by_month::subscriptions_by_month;
