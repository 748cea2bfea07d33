//! What stored samples ask. Samples of an older program were stored without it, and are filled in from their segments.

use std::collections::BTreeMap;

use perennial_registry::SampleRecord;
use perennial_types::{Fingerprint, Sample, SampleId};
use tracing::{info, warn};

use crate::{ports::Context, stored, told::told};

/// Samples that are read and noted together.
const BATCH: usize = 4096;

/// Fills in what is missing: afterwards every stored sample's question is known. Costs one look at an index where nothing is.
///
/// # Errors
/// Where the database fails.
pub(crate) fn fill(context: &Context) -> anyhow::Result<()> {
    let mut filled = 0;
    loop {
        let records = context.registry.without_question(BATCH)?;
        if records.is_empty() {
            break;
        }
        let samples = read(context, &records);
        let question = |id: SampleId| {
            // What cannot be read asks nothing that anybody else does, and is trained on by nobody.
            samples.get(&id).map_or(Fingerprint::of(id.0.as_bytes()), |sample| sample.body.question_fingerprint())
        };
        let questions: BTreeMap<SampleId, Fingerprint> =
            records.iter().map(|record| (record.id, question(record.id))).collect();
        context.registry.note_questions(&questions)?;
        filled += questions.len();
        context.telemetry.beat();
    }
    if filled > 0 {
        info!(samples = filled, "what samples ask is noted, so that copies stay on one side of the split");
    }
    Ok(())
}

/// The samples of these records; those of a segment that is damaged or gone are missing, for intake goes on without them.
fn read(context: &Context, records: &[SampleRecord]) -> BTreeMap<SampleId, Sample> {
    let mut segments: BTreeMap<&str, Vec<&SampleRecord>> = BTreeMap::new();
    for record in records {
        segments.entry(&record.segment).or_default().push(record);
    }
    let mut samples = BTreeMap::new();
    for (segment, records) in segments {
        match stored::read_samples(&context.state, records) {
            Ok(read) => samples.extend(read),
            Err(error) => {
                warn!(segment, error = told(&error), "what the samples of a segment ask cannot be told");
            }
        }
    }
    samples
}
