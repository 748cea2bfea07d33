/// Numbers that look random and are the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `end`, which is above 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.number() % end.max(1) as u64) as usize
    }

    /// From `low` to `high`, small ones as often as large ones.
    pub(super) fn size(&mut self, low: usize, high: usize) -> usize {
        let (low_bits, high_bits) = (low.max(1).ilog2(), high.max(1).ilog2());
        let bits = low_bits + self.below((high_bits - low_bits + 1) as usize) as u32;
        (1_usize << bits).saturating_add(self.below(1 << bits)).clamp(low, high)
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub(super) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.number() as u8).collect()
    }

    /// Sound bytes with a few faults: bits turned, pieces cut out, doubled or overwritten, lengths made huge.
    pub(super) fn damaged(&mut self, sound: &[u8]) -> Vec<u8> {
        let mut bytes = sound.to_vec();
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                break;
            }
            // What is read first decides what follows, so the beginning has its share.
            let at = if self.below(2) == 0 { self.below(bytes.len().min(4096)) } else { self.below(bytes.len()) };
            let end = (at + self.size(1, 64)).min(bytes.len());
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes.truncate(at),
                2 => drop(bytes.drain(at..end)),
                3 => bytes[at..end].fill(*self.pick(&[0, 0x7f, 0x80, 0xff])),
                4 => {
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece.repeat(4));
                }
                _ => {
                    let huge = self.pick(&[u64::MAX, 1 << 62, 1 << 32, 0x7fff_ffff, 0]).to_le_bytes();
                    let end = (at + 8).min(bytes.len());
                    bytes[at..end].copy_from_slice(&huge[..end - at]);
                }
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_damage() {
        let damage = |seed| Random::new(seed).damaged(&[7; 500]);
        assert_eq!(damage(3), damage(3));
        assert!((0..20).any(|seed| damage(seed) != damage(3)));
        let mut random = Random::new(1);
        assert!((0..1000).all(|_| (10..=5000).contains(&random.size(10, 5000))));
    }
}
