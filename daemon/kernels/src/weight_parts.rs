//! Weights as parts of bytes.

use std::{io, ops::Range, sync::Arc};

use crate::{element::Precision, weight::Weight, weight_bytes::WeightBytes};

/// Where a weight begins: at a cache line.
const ALIGNMENT_BYTES: usize = 64;

impl WeightBytes {
    /// Moves weights that were made one by one, each in pages of its own, to one place.
    ///
    /// # Errors
    /// Where there is no memory for them.
    pub fn gather<'a>(weights: impl Iterator<Item = &'a mut Weight>) -> io::Result<()> {
        let mut weights: Vec<&mut Weight> = weights.collect();
        let ends = weights.iter().scan(0, |end, weight| {
            *end += room(weight);
            Some(*end)
        });
        let ends: Vec<usize> = ends.collect();
        let all = Self::filled(ends.last().copied().unwrap_or(0), |mut bytes| {
            for weight in &weights {
                let part;
                (part, bytes) = bytes.split_at_mut(room(weight));
                let values = weight.le_bytes();
                part[..values.len()].copy_from_slice(&values);
            }
            Ok(())
        })?;
        for (weight, end) in weights.iter_mut().zip(ends) {
            let len = weight.le_bytes().len();
            let start = end - room(weight);
            let moved = all.weight(start..start + len, weight.precision(), weight.outputs(), weight.inputs());
            **weight = moved.ok_or_else(|| io::Error::other("weights that do not lie in memory as they were put"))?;
        }
        Ok(())
    }

    /// The matrix that lies in these bytes, little-endian and row by row. None where the processor cannot read it in place, or
    /// there are not as many bytes: then the values must be copied.
    pub fn weight(&self, bytes: Range<usize>, precision: Precision, outputs: usize, inputs: usize) -> Option<Weight> {
        let len = outputs.checked_mul(inputs)?;
        if cfg!(target_endian = "big") {
            return None;
        }
        match precision {
            Precision::F32 => Some(Weight::from_kept_f32(Arc::new(self.part(bytes, len)?), outputs, inputs)),
            Precision::Bf16 => Some(Weight::from_kept_bf16(Arc::new(self.part(bytes, len)?), outputs, inputs)),
        }
    }
}

/// What a weight takes, so that the next one begins at a cache line.
fn room(weight: &Weight) -> usize {
    weight.le_bytes().len().next_multiple_of(ALIGNMENT_BYTES)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write};

    use half::bf16;

    use super::*;
    use crate::testing::noise;

    #[test]
    fn weights_are_what_was_read_or_gathered() {
        let values = noise(6 * 5, 1);
        let in_f32 = Weight::from_f32(values.clone(), 6, 5);
        let in_bf16 = Weight::from_bf16(values.iter().map(|value| bf16::from_f32(*value)).collect(), 6, 5);
        let path = std::env::temp_dir().join(format!("perennial-in-memory-{}", std::process::id()));
        let mut file = File::create_new(&path).unwrap();
        // One byte too far for bf16 at the end.
        file.write_all(&[&*in_f32.le_bytes(), &*in_bf16.le_bytes(), &[0; 61]].concat()).unwrap();
        let map = WeightBytes::read(&File::open(&path).unwrap()).unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!(map.bytes().len(), 120 + 60 + 61);
        let [f32_there, bf16_there] = [(0..120, Precision::F32), (120..180, Precision::Bf16)]
            .map(|(bytes, precision)| map.weight(bytes, precision, 6, 5).unwrap());
        assert_eq!(f32_there.le_bytes(), in_f32.le_bytes());
        assert_eq!(bf16_there.le_bytes(), in_bf16.le_bytes());
        let mut gathered = [in_bf16.clone(), in_f32.rows(2..5), f32_there.rows(0..1)];
        WeightBytes::gather(gathered.iter_mut()).unwrap();
        let expected = [in_bf16, in_f32.rows(2..5), in_f32.rows(0..1)];
        for (gathered, expected) in gathered.iter().zip(&expected) {
            assert_eq!((gathered.le_bytes(), gathered.precision()), (expected.le_bytes(), expected.precision()));
        }
        assert!(map.weight(181..241, Precision::Bf16, 6, 5).is_none(), "not aligned");
        assert!(map.weight(0..60, Precision::F32, 6, 5).is_none(), "too short");
        assert!(map.weight(182..242, Precision::Bf16, 6, 5).is_none(), "beyond the end");
    }
}
