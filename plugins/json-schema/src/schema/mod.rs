//! JSON schema, draft 2020-12, as much of it as schemas of answers use. `format` is an annotation, as the draft has it.

mod check;
mod document;
mod equal;
mod keyword;
mod report;

pub(crate) use check::Schema;
pub(crate) use document::Document;
pub(crate) use equal::{equal, is_integer};

#[cfg(test)]
mod tests;
