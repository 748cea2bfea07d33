use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, sync::Arc};

use memmap2::{Mmap, MmapMut};
use rayon::prelude::*;

use crate::element::Element;

/// What a huge page holds on x86-64, and where it begins.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Bytes, of which weights are parts, in huge pages where the system has them. A step over few rows reads each weight once and
/// is done with it, so looking up where pages of 4 KiB are took half of its time.
#[derive(Clone, Debug)]
pub struct WeightBytes {
    map: Arc<Mmap>,
    start: usize,
    len: usize,
}

impl WeightBytes {
    /// What is in a file. A mapping of the file itself would be there at once, but few file systems have huge pages for that.
    ///
    /// # Errors
    /// Where it cannot be read, or there is no memory for it.
    pub fn read(file: &File) -> io::Result<Self> {
        let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        Self::filled(len, |bytes| {
            let parts = bytes.par_chunks_mut(HUGE_PAGE_BYTES).enumerate();
            parts.try_for_each(|(at, part)| file.read_exact_at(part, (at * HUGE_PAGE_BYTES) as u64))
        })
    }

    /// So many numbers, put there by `fill`.
    pub(crate) fn filled_with<T: Element>(len: usize, fill: impl FnOnce(&mut [T])) -> io::Result<Self> {
        Self::filled(len * size_of::<T>(), |bytes| {
            // SAFETY: any bits are numbers, and numbers are any bytes.
            let (_, numbers, _) = unsafe { bytes.align_to_mut::<T>() };
            fill(&mut numbers[..len]);
            Ok(())
        })
    }

    pub(crate) fn filled(len: usize, fill: impl FnOnce(&mut [u8]) -> io::Result<()>) -> io::Result<Self> {
        let mut map = MmapMut::map_anon(len + HUGE_PAGE_BYTES)?;
        #[cfg(target_os = "linux")]
        // A system without them is slower, and right.
        let _ = map.advise(memmap2::Advice::HugePage);
        let start = map.as_ptr().align_offset(HUGE_PAGE_BYTES).min(HUGE_PAGE_BYTES);
        fill(&mut map[start..start + len])?;
        Ok(Self { map: Arc::new(map.make_read_only()?), start, len })
    }

    /// All of them.
    pub fn bytes(&self) -> &[u8] {
        &self.map[self.start..self.start + self.len]
    }

    /// The numbers in these bytes; none where they are not aligned, or not so many.
    pub(crate) fn part<T: Element>(&self, bytes: Range<usize>, len: usize) -> Option<Part<T>> {
        let first = self.bytes().get(bytes.clone())?.as_ptr().cast::<T>();
        let fits = first.is_aligned() && bytes.len() == len.checked_mul(size_of::<T>())?;
        fits.then(|| Part { _map: self.map.clone(), first, len })
    }
}

/// Some of the bytes, as numbers.
pub(crate) struct Part<T> {
    _map: Arc<Mmap>,
    first: *const T,
    len: usize,
}

// SAFETY: it only reads what the map holds, which lives as long as this.
unsafe impl<T: Element> Send for Part<T> {}
// SAFETY: as above.
unsafe impl<T: Element> Sync for Part<T> {}

impl<T: Element> AsRef<[T]> for Part<T> {
    fn as_ref(&self) -> &[T] {
        // SAFETY: `part` checked that so many numbers lie there, aligned; any bits are one, and the map is kept.
        unsafe { std::slice::from_raw_parts(self.first, self.len) }
    }
}
