//! What programs before there was a canonical form ([`super::canonical`]) called a run, so that one which they began goes on.

use perennial_types::{Fingerprint, Fingerprinter};

use super::{TrainConfig, TrainError};
use crate::{adapter::Adapter, model::Model, tokenize::Encoded};

pub(super) fn sft<'a>(
    model: &Model,
    parent: Option<&Adapter>,
    examples: impl Iterator<Item = &'a Encoded>,
    config: &TrainConfig,
) -> Result<Fingerprint, TrainError> {
    let mut fingerprinter = Fingerprinter::new().part(model.fingerprint.as_bytes()).part(&json(&config.determining())?);
    add_adapter(&mut fingerprinter, parent)?;
    for example in examples {
        let supervised: Vec<u8> = example.supervised.iter().map(|supervised| u8::from(*supervised)).collect();
        fingerprinter.add(&bytes_of(&example.tokens));
        fingerprinter.add(&supervised);
    }
    Ok(fingerprinter.finish())
}

pub(super) fn json(config: &impl serde::Serialize) -> Result<Vec<u8>, TrainError> {
    serde_json::to_vec(config).map_err(|error| TrainError::Checkpoint(error.to_string()))
}

pub(super) fn add_adapter(fingerprinter: &mut Fingerprinter, adapter: Option<&Adapter>) -> Result<(), TrainError> {
    match adapter {
        Some(adapter) => fingerprinter.add(adapter.fingerprint()?.as_bytes()),
        None => fingerprinter.add(b""),
    }
    Ok(())
}

pub(super) fn bytes_of(tokens: &[u32]) -> Vec<u8> {
    tokens.iter().flat_map(|token| token.to_le_bytes()).collect()
}
