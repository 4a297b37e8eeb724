//! What Stripe has: resources, tables, columns, and JSON to rows and back.
//!
//! Pure: no I/O, no async, no clock. The lists and columns in `generated` are derived from Stripe's official SDK by
//! `tools/generate.py`; what a generator cannot know stands in `tools/exceptions.tsv`, one line each with its reason.
//!
//! Nothing is lost on the way into a row: what the catalogue does not know, and what does not fit its column, goes to
//! `_extra` under its own name, and what was not there at all is named in `_absent`. So [`encode()`] gives back the
//! object that Stripe sent.

mod column;
mod date_time;
mod decoded;
mod decoder;
mod elements;
mod encode;
mod extra;
mod generated;
mod list;
mod object;
mod resource;
mod row;
mod table;

pub use decoded::{DecodeError, Decoded, Incomplete, Key, Nested, One, Page, Reject};
pub use decoder::{Decoder, row};
pub use encode::{EncodeError, encode, with_children};
pub use list::{Api, List, Paging, Parent, Place, Shown, lists};
pub use resource::{Child, Resource, by_object, resource, resource_with, resources, table, tables};
pub use table::{Column, Kind, Table, is_child, schema};
