mod buffer;
mod policy;

use perennial_types::{Domain, Fingerprint, SampleId};

use super::ReplayRow;

fn id(n: u32) -> SampleId {
    SampleId(Fingerprint::of(&n.to_le_bytes()))
}

fn row(n: u32, domain: &str) -> ReplayRow {
    ReplayRow::new(id(n), Domain::new(domain).unwrap(), i64::from(n), format!("segments/{domain}.parquet"))
}
