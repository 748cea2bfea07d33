use perennial_types::{Fingerprint, Fingerprinter};

use super::{Adapter, AdapterError};

/// Fingerprints what the files hold, not their bytes: `base_model_name_or_path` and the order of keys do not count.
pub(super) fn of(adapter: &Adapter) -> Result<Fingerprint, AdapterError> {
    let config = adapter.config();
    let mut fingerprinter = Fingerprinter::new().part(b"lora").part(&(config.r as u64).to_le_bytes());
    fingerprinter.add(&config.scale().to_le_bytes());
    for ((layer, projection), slot) in adapter.slots() {
        fingerprinter.add(projection.module_path(layer).as_bytes());
        for tensor in [&slot.a, &slot.b] {
            let values: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            fingerprinter.add(&bytes);
        }
    }
    Ok(fingerprinter.finish())
}
