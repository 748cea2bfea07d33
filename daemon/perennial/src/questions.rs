//! What stored samples ask. Samples of an older program were stored without it, and are filled in from their segments.

use std::collections::BTreeMap;

use perennial_types::{Fingerprint, SampleId};
use tracing::info;

use crate::{indexer, ports::Context};

/// Samples that are read and noted together.
const BATCH: usize = 4096;

/// Fills in what is missing: afterwards every stored sample's question is known. Costs one look at an index where nothing is.
///
/// # Errors
/// Where a segment cannot be read, or the database fails.
pub(crate) fn fill(context: &Context) -> anyhow::Result<()> {
    let mut filled = 0;
    loop {
        let records = context.registry.without_question(BATCH)?;
        if records.is_empty() {
            break;
        }
        let samples = indexer::read_samples(&context.state, &records)?;
        let question = |id: SampleId| {
            // A row that is in the catalogue and not in its segment asks nothing that anybody else does.
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
