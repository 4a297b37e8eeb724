//! What Stripe has: resources, tables, columns, and JSON to rows and back.
//!
//! Pure: no I/O, no async, no clock. The columns in `generated` are derived from Stripe's official SDK by
//! `tools/generate.py`; what a generator cannot know stands in `resource.rs`.
//!
//! Nothing is lost on the way into a row: what the catalogue does not know, and what does not fit its column, goes to
//! `_extra` under its own name, and what was not there at all is named in `_absent`. So [`encode()`] gives back the
//! object that Stripe sent.

mod decoder;
mod encode;
mod generated;
mod object;
mod resource;
mod row;
mod table;

pub use decoder::{DecodeError, Decoded, Decoder, Incomplete, Key, Nested, One, Page, Reject};
pub use encode::{EncodeError, encode, with_children};
pub use resource::{by_object, resource, resources, tables};
pub use table::{Child, Column, Kind, Resource, Table, schema};
