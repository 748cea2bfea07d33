use perennial_types::SampleId;
use serde::{Deserialize, Serialize};

use crate::rows::{Excerpt, Rejected, SourceFault};

/// What a line of quarantine is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuarantineKind {
    /// A row that was refused when it came in.
    #[default]
    Row,
    /// A file or request that was not read, or not to its end.
    Source,
    /// A stored sample that no cycle can learn from.
    Sample,
}

/// A line of a quarantine file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineLine {
    /// What it is about.
    #[serde(default)]
    pub kind: QuarantineKind,
    /// The name of the file or channel that it came by.
    pub file: String,
    /// The line there, the first being 1; absent where the whole source was refused, and of samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The sample, where it was stored before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleId>,
    /// What is wrong and how to mend it.
    pub reason: String,
    /// The row, or its beginning.
    #[serde(flatten)]
    pub excerpt: Option<Excerpt>,
}

impl QuarantineLine {
    /// For a stored sample that no cycle can learn from; `row` is the sample as a row that ingest takes.
    pub fn sample(sample: SampleId, source: &str, reason: String, row: &str, excerpt_bytes_max: usize) -> Self {
        let excerpt = Some(Excerpt::new(row.as_bytes(), row.len() as u64, excerpt_bytes_max));
        Self {
            kind: QuarantineKind::Sample,
            file: source.to_owned(),
            line: None,
            sample: Some(sample),
            reason,
            excerpt,
        }
    }

    /// The row, where all of it was kept as text.
    pub fn whole_row(&self) -> Option<&str> {
        let excerpt = self.excerpt.as_ref().filter(|excerpt| !excerpt.cut && !excerpt.base64)?;
        (self.kind != QuarantineKind::Source).then_some(excerpt.text.as_str())
    }
}

impl From<&Rejected> for QuarantineLine {
    fn from(rejected: &Rejected) -> Self {
        let Rejected { source, line, reason, excerpt } = rejected.clone();
        let (line, excerpt) = (Some(line), Some(excerpt));
        Self { kind: QuarantineKind::Row, file: source, line, sample: None, reason, excerpt }
    }
}

impl From<&SourceFault> for QuarantineLine {
    fn from(fault: &SourceFault) -> Self {
        let SourceFault { source, line, reason, excerpt, .. } = fault.clone();
        Self { kind: QuarantineKind::Source, file: source, line, sample: None, reason, excerpt }
    }
}
