//! The words that every Perennial crate shares. Nothing here touches a file, a clock or the network.
//!
//! - [`Sample`]: one ingested record, in canonical form, named by the hash of what it teaches.
//! - [`Row`]: one line of input, in one of the forms of `dialect/`, judged and turned into the parts of a sample.
//! - [`Fingerprint`]: blake3 of canonical content; [`SampleId`], [`CycleId`], [`AdapterId`] name things.
//! - [`Publication`]: what a target of publishing serves.

mod body;
mod dialect;
mod domain;
mod fingerprint;
mod ids;
mod json;
mod message;
mod prompt;
mod publication;
mod question;
mod row;
mod row_error;
mod sample;
mod text;

pub use body::{Body, Kind};
pub use domain::{DEFAULT_DOMAIN, DOMAIN_CHARS_MAX, Domain, DomainError};
pub use fingerprint::{Fingerprint, FingerprintError, Fingerprinter};
pub use ids::{AdapterId, CycleId, IdError, SampleId};
pub use json::{JsonError, NESTING_MAX};
pub use message::{Content, Message, MessageError, Role};
pub use prompt::{Prompt, TemplateInputs};
pub use publication::Publication;
pub use row::Row;
pub use row_error::RowError;
pub use sample::Sample;
pub use text::{panic_text, shortened};
