//! What is set aside, as a whole sample or as a row.

use utoipa::ToSchema;

use super::{CycleId, Fingerprint};

/// A sample that is set aside: nothing can be learned from it as things are.
#[derive(ToSchema)]
pub(crate) struct SetAsideRecord {
    /// The sample.
    id: Fingerprint,
    /// Its domain.
    domain: String,
    /// The cycle that found it; null where the indexer did.
    cycle: Option<CycleId>,
    /// Why.
    reason: String,
    /// When, in milliseconds since the Unix epoch.
    at_ms: i64,
}

/// What a line of quarantine is about: a row that was refused, a source that was not read to its end, or a stored sample that
/// no cycle can learn from.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum QuarantineKind {
    Row,
    Source,
    Sample,
}

/// A line of a quarantine file.
#[derive(ToSchema)]
pub(crate) struct QuarantineLine {
    /// What it is about.
    kind: QuarantineKind,
    /// The name of the file or channel that it came by.
    file: String,
    /// The line there, the first being 1; left out where there is none.
    #[schema(nullable = false)]
    line: Option<u64>,
    /// The sample, where it was stored before.
    #[schema(nullable = false)]
    sample: Option<Fingerprint>,
    /// What is wrong and how to mend it.
    reason: String,
    /// The row, or its beginning.
    #[schema(nullable = false)]
    row: Option<String>,
    /// Whether `row` is base64, for its bytes are not UTF-8.
    #[serde(default)]
    row_is_base64: bool,
    /// How long the whole row is, in bytes.
    #[schema(nullable = false)]
    row_bytes: Option<u64>,
    /// Whether `row` is only its beginning.
    #[serde(default)]
    row_is_cut: bool,
}
