use perennial_types::Fingerprinter;

/// SplitMix64 (Steele, Lea and Flood 2014): a report must be reproducible bit by bit, so the generator is fixed here and
/// not left to a library's next version.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// `salt` (a suite's name) keeps the draws of suites apart.
    pub(crate) fn salted(seed: u64, salt: &str) -> Self {
        let seed = Fingerprinter::new().part(&seed.to_le_bytes()).part(salt.as_bytes()).finish();
        let mut word = [0; 8];
        word.copy_from_slice(&seed.as_bytes()[..8]);
        Self(u64::from_le_bytes(word))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `n`, uniform but for a bias below `n / 2^32`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (((self.next() >> 32) * n as u64) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generator_is_the_published_one() {
        let mut random = Random(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn another_seed_or_suite_draws_otherwise() {
        let first = |seed, salt| Random::salted(seed, salt).next();
        assert_eq!(first(1, "a"), first(1, "a"));
        assert_ne!(first(1, "a"), first(2, "a"));
        assert_ne!(first(1, "a"), first(1, "b"));
    }
}
