use std::{fs::File, io, ops::Range, sync::Arc};

use half::bf16;
use memmap2::Mmap;

use crate::{element::Precision, weight::Weight};

/// A file in memory, of which weights are parts: read when they are first needed, shared with every other process that maps
/// it, and dropped by the system where memory runs short.
#[derive(Clone, Debug)]
pub struct MappedFile(Arc<Mmap>);

impl MappedFile {
    /// Maps a file. Who replaces it must do so by renaming another over it, as every tool that downloads models does: a file
    /// that shrinks while it is mapped ends the process at the next access.
    ///
    /// # Errors
    /// Where the system does not map it.
    pub fn open(file: &File) -> io::Result<Self> {
        // SAFETY: the numbers in the file may be any; that it is replaced and not written to is asked of the user above.
        unsafe { Mmap::map(file) }.map(|map| Self(Arc::new(map)))
    }

    /// What is in the file.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The matrix that lies in these bytes, little-endian and row by row. None where the processor cannot read it in place, or
    /// there are not as many bytes: then the values must be copied.
    pub fn weight(&self, bytes: Range<usize>, precision: Precision, outputs: usize, inputs: usize) -> Option<Weight> {
        let len = outputs.checked_mul(inputs)?;
        if cfg!(target_endian = "big") {
            return None;
        }
        match precision {
            Precision::F32 => Some(Weight::from_shared_f32(Arc::new(self.part(bytes, len)?), outputs, inputs)),
            Precision::Bf16 => Some(Weight::from_shared_bf16(Arc::new(self.part(bytes, len)?), outputs, inputs)),
        }
    }

    fn part<T: AnyBits>(&self, bytes: Range<usize>, len: usize) -> Option<Part<T>> {
        let first = self.0.get(bytes.clone())?.as_ptr().cast::<T>();
        let fits = first.is_aligned() && bytes.len() == len.checked_mul(size_of::<T>())?;
        fits.then(|| Part { _map: self.0.clone(), first, len })
    }
}

/// Numbers of which any bits are one.
trait AnyBits: Copy {}
impl AnyBits for f32 {}
impl AnyBits for bf16 {}

/// Some numbers of a mapped file.
struct Part<T> {
    _map: Arc<Mmap>,
    first: *const T,
    len: usize,
}

// SAFETY: it only reads what the map holds, which lives as long as this.
unsafe impl<T: AnyBits> Send for Part<T> {}
// SAFETY: as above.
unsafe impl<T: AnyBits> Sync for Part<T> {}

impl<T: AnyBits> AsRef<[T]> for Part<T> {
    fn as_ref(&self) -> &[T] {
        // SAFETY: `part` checked that so many numbers lie there, aligned; any bits are one, and the map is kept.
        unsafe { std::slice::from_raw_parts(self.first, self.len) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::testing::noise;

    #[test]
    fn a_weight_in_a_file_is_the_one_in_memory() {
        let values = noise(6 * 5, 1);
        let in_f32 = Weight::from_f32(values.clone(), 6, 5);
        let in_bf16 = Weight::from_bf16(values.iter().map(|value| bf16::from_f32(*value)).collect(), 6, 5);
        let path = std::env::temp_dir().join(format!("perennial-mapped-{}", std::process::id()));
        let mut file = File::create_new(&path).unwrap();
        // One byte too far for bf16 at the end.
        file.write_all(&[in_f32.to_le_bytes(), in_bf16.to_le_bytes(), vec![0; 61]].concat()).unwrap();
        let map = MappedFile::open(&File::open(&path).unwrap()).unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!(map.bytes().len(), 120 + 60 + 61);
        let [f32_there, bf16_there] = [(0..120, Precision::F32), (120..180, Precision::Bf16)]
            .map(|(bytes, precision)| map.weight(bytes, precision, 6, 5).unwrap());
        assert_eq!(f32_there.to_le_bytes(), in_f32.to_le_bytes());
        assert_eq!(bf16_there.to_le_bytes(), in_bf16.to_le_bytes());
        drop(map.clone());
        assert!(map.weight(181..241, Precision::Bf16, 6, 5).is_none(), "not aligned");
        assert!(map.weight(0..60, Precision::F32, 6, 5).is_none(), "too short");
        assert!(map.weight(182..242, Precision::Bf16, 6, 5).is_none(), "beyond the end");
    }
}
