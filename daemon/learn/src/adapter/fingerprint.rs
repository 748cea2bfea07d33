use perennial_types::{Fingerprint, Fingerprinter};

use super::{Adapter, AdapterError};

impl Adapter {
    /// The fingerprint of configuration and weights: the same for the same adapter whatever files it came from.
    /// `base_model_name_or_path` and the order of keys do not count.
    ///
    /// The bytes are given by hand: the name of the kind, which stands for the meaning and order of all that follows, the rank as
    /// u64 and the scale as f32, then each layer's path and the values of its tensors as f32, all little-endian. Where any of that
    /// changes for a kind, it needs another name here.
    ///
    /// # Errors
    /// [`AdapterError::Tensors`]
    pub fn fingerprint(&self) -> Result<Fingerprint, AdapterError> {
        let config = self.config();
        let kind = config.kind.name().as_bytes();
        let mut fingerprinter = Fingerprinter::new().part(kind).part(&(config.r as u64).to_le_bytes());
        fingerprinter.add(&config.scale().to_le_bytes());
        for ((layer, projection), site) in self.sites() {
            fingerprinter.add(projection.module_path(layer).as_bytes());
            for values in site.values()? {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                fingerprinter.add(&bytes);
            }
        }
        Ok(fingerprinter.finish())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::adapter::{Adapter, LoraConfig, tiny_model};

    /// As programs before there were kinds of adapters gave them: lineages and runs under way are known by these.
    #[test]
    fn fingerprints_stay_what_they_were() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/adapter_tiny");
        let fingerprint = |adapter: &Adapter| adapter.fingerprint().unwrap().to_string();
        assert_eq!(
            fingerprint(&Adapter::load_peft(&golden).unwrap()),
            "0aeb49c9fbdaf6114919fd0c06a16a4e91933d14245c6d8b6994ac3d2d9a8147"
        );
        let fresh = Adapter::init(&LoraConfig::default(), &tiny_model(), 7).unwrap();
        assert_eq!(fingerprint(&fresh), "470621ddc208c865ff60c3eaaeadc1a6615c74feeece4476011ec040ade4dce6");
    }
}
