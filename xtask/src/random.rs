/// SplitMix64 (Steele, Lea and Flood 2014): data sets and tables must be the same bytes for ever, which no crate promises.
pub(crate) struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of the items, each as likely as the others. `None` where there are none.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len().max(1)))
    }

    /// Puts the items into a random order (Fisher–Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// Whether something of this probability happens.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        // The upper 53 bits are all that a double holds.
        ((self.next() >> 11) as f64) < probability * (1_u64 << 53) as f64
    }

    /// How many times something of this probability does not happen before it does (Devroye 1986, X.2); saturates.
    pub(crate) fn misses(&mut self, probability: f64) -> usize {
        if probability >= 1.0 {
            return 0;
        }
        let share = ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        (share.ln() / (-probability).ln_1p()) as usize
    }

    /// A number below `limit`, which is not 0. The bias of the remainder is below 2⁻⁵⁰ for limits as small as ours.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
