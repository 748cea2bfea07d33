use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Body, Domain, Fingerprinter, Row, SampleId};

/// One ingested record in canonical form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The fingerprint of `body` and `reference`.
    pub id: SampleId,
    /// What it is counted, replayed and judged with.
    pub domain: Domain,
    /// What it teaches.
    pub body: Body,
    /// The right answer for suites and rewards, where it is not the completion itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The sender's own id, kept for tracing; two samples may share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Whom the data is about, so that it can be found and erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Everything else that the row held.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// The name of the file or the channel that it came by.
    pub source: String,
    /// When it was taken in, in milliseconds since the Unix epoch.
    pub arrived_ms: i64,
}

impl Sample {
    /// The sample that a row becomes. `domain` serves where the row names none.
    pub fn from_row(row: Row, domain: &Domain, source: &str, arrived_ms: i64) -> Self {
        Self {
            id: sample_id(&row.body, row.reference.as_deref()),
            domain: row.domain.unwrap_or_else(|| domain.clone()),
            body: row.body,
            reference: row.reference,
            external_id: row.external_id,
            subject: row.subject,
            metadata: row.metadata,
            source: source.to_owned(),
            arrived_ms,
        }
    }
}

fn sample_id(body: &Body, reference: Option<&str>) -> SampleId {
    // A body is structs, strings and JSON values with string keys, which always serialize; `Debug` would too, and
    // differs from sample to sample just as well, so the impossible case still cannot make two samples one.
    let canonical = serde_json::to_vec(body).unwrap_or_else(|_| format!("{body:?}").into_bytes());
    let fingerprint = Fingerprinter::new().part(&canonical).part(reference.unwrap_or_default().as_bytes()).finish();
    SampleId(fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(line: &str) -> Sample {
        Sample::from_row(Row::parse(line).unwrap(), &Domain::default(), "test", 0)
    }

    #[test]
    fn id_depends_on_what_is_taught_alone() {
        let one = sample(r#"{"prompt": "2+2", "completion": "4", "domain": "maths", "id": "x"}"#);
        let same = sample(r#"{"completion": "4", "prompt": "2+2", "extra": [1]}"#);
        let other = sample(r#"{"prompt": "2+2", "completion": "5"}"#);
        let referenced = sample(r#"{"prompt": "2+2", "completion": "4", "reference": "4"}"#);
        assert_eq!(one.id, same.id);
        assert_ne!(one.id, other.id);
        assert_ne!(one.id, referenced.id);
    }
}
