//! Samples that nothing can be learned from leave the queue, so that what comes after them is trained on: each by name, with
//! its reason, in the registry and in quarantine. They come back by `perennial requeue`, by `perennial quarantine requeue`, or when they are sent again.

use std::{collections::BTreeMap, path::PathBuf};

use perennial_data::quarantine::{Quarantine, QuarantineFolder, QuarantineLine};
use perennial_types::{CycleId, Fingerprinter, Sample, SampleId};
use serde_json::{Map, Value};

use crate::{
    clock,
    ports::Context,
    stored,
    telemetry::{SamplesSetAside, SetAsideCount},
};

/// Sets these samples aside, each for its reason. `cycle` is the one that found them; `None` where the indexer did. Doing so
/// twice is harmless.
///
/// # Errors
/// Where their segments cannot be read, or quarantine or the registry cannot be written.
pub(crate) fn run(
    context: &Context,
    reasons: &BTreeMap<SampleId, String>,
    cycle: Option<CycleId>,
) -> anyhow::Result<()> {
    if reasons.is_empty() {
        return Ok(());
    }
    let path = keep(context, reasons, cycle)?;
    let added = context.registry.set_aside(reasons, cycle, clock::now_ms())?;
    context.telemetry.emit(SamplesSetAside { added, cycle, quarantine: path.as_deref() });
    context.telemetry.emit(SetAsideCount(context.registry.set_aside_count()?));
    Ok(())
}

/// Writes samples that are about to be set aside into quarantine, each with its reason, and returns the file. The file comes
/// first: what is set aside can be read somewhere, whenever the process ends.
///
/// # Errors
/// Where their segments cannot be read, or quarantine cannot be written.
pub(crate) fn keep(
    context: &Context,
    reasons: &BTreeMap<SampleId, String>,
    cycle: Option<CycleId>,
) -> anyhow::Result<Option<PathBuf>> {
    let ids: Vec<SampleId> = reasons.keys().copied().collect();
    let samples = stored::read_samples(&context.state, &context.registry.sample_records(&ids)?)?;
    let channel = cycle.map_or_else(|| "indexer".to_owned(), |cycle| format!("cycle-{cycle}"));
    let ingest = &context.config.current().ingest;
    let folder = QuarantineFolder::new(&context.state.quarantine());
    let mut quarantine = Quarantine::new(&folder, &channel, ingest.quarantine_limits());
    let mut fingerprinter = Fingerprinter::new().part(channel.as_bytes());
    for (id, reason) in reasons {
        let (source, text) = samples.get(id).map(|sample| (sample.source.as_str(), row(sample))).unwrap_or_default();
        quarantine.push(&QuarantineLine::sample(*id, source, reason.clone(), &text, ingest.row_bytes_max))?;
        fingerprinter.add(id.0.as_bytes());
    }
    let file = quarantine.finish(&fingerprinter.finish(), clock::now_ms())?;
    Ok(file.map(|file| file.path))
}

/// The sample as a row that can be sent again.
fn row(sample: &Sample) -> String {
    let mut fields = Map::new();
    if !sample.metadata.is_empty() {
        fields.insert("metadata".to_owned(), Value::Object(sample.metadata.clone()));
    }
    if let Ok(Value::Object(body)) = serde_json::to_value(&sample.body) {
        fields.extend(body.into_iter().filter(|(key, _)| key != "kind"));
    }
    let mut put = |key: &str, value: Option<&String>| {
        value.into_iter().for_each(|value| {
            fields.insert(key.to_owned(), Value::String(value.clone()));
        });
    };
    put("domain", Some(&sample.domain.to_string()));
    put("reference", sample.reference.as_ref());
    put("id", sample.external_id.as_ref());
    put("subject", sample.subject.as_ref());
    Value::Object(fields).to_string()
}

#[cfg(test)]
mod tests {
    use perennial_types::{Domain, Row};

    use super::*;

    #[test]
    fn a_row_that_is_sent_again_is_the_same_sample() {
        let lines = [
            r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "tools": [{"x": 1}]}"#,
            r#"{"prompt": "2+2", "completion": "4", "reference": "four", "domain": "maths", "id": "7", "who": {"a": [1]}}"#,
            r#"{"prompt": "only asked", "subject": "s"}"#,
            r#"{"text": "plain"}"#,
        ];
        for line in lines {
            let of = |line: &str| Sample::from_row(Row::parse(line).unwrap(), &Domain::default(), "test", 0);
            let sample = of(line);
            assert_eq!(of(&row(&sample)), sample, "{line}");
        }
    }
}
