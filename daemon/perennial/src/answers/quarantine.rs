use std::collections::BTreeMap;

use perennial_data::quarantine::{QuarantineKind, QuarantineLine};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schemas;

/// `perennial quarantine list`, `GET /v1/quarantine`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Listing {
    /// Files of refused rows, the oldest first.
    pub(crate) rows: Vec<Entry>,
    /// Files of the inbox that were refused as a whole or not read to their end.
    pub(crate) files: Vec<KeptFile>,
    /// How many further ones there are.
    pub(crate) left_off: u64,
}

/// A file of refused rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Entry {
    /// By which it is shown and requeued.
    pub(crate) name: String,
    /// The file or channel that the rows came by.
    pub(crate) source: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// Its lines, by what they are about.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub(crate) kinds: BTreeMap<QuarantineKind, u64>,
    /// Why, with the number of lines.
    pub(crate) reasons: BTreeMap<String, u64>,
}

/// A file of the inbox that was moved here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct KeptFile {
    /// Its name.
    pub(crate) name: String,
    /// Its size.
    pub(crate) bytes: u64,
}

/// `perennial quarantine show`, `GET /v1/quarantine/{name}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Lines {
    /// The first of its lines.
    #[schema(value_type = Vec<schemas::quarantine::QuarantineLine>)]
    pub(crate) lines: Vec<QuarantineLine>,
    /// How many more there are.
    pub(crate) left_off: u64,
}
