/// SplitMix64 (Steele, Lea and Flood 2014): a threshold must be the same for ever, which no crate promises.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The sequence of a name: FNV-1a makes its seed.
    pub fn named(name: &str) -> Self {
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(name.bytes().fold(0xcbf2_9ce4_8422_2325, hash))
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u32) -> u32 {
        // The upper half of a product of 32 bits each: no division, and a bias below 2⁻²⁰ for limits as small as ours.
        (((self.next() >> 32) * u64::from(limit)) >> 32) as u32
    }

    /// Above 0, 1 at most.
    pub fn share(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// A standard normal number (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.share().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.share()).cos()
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_as_they_should_be_and_the_same_for_a_name() {
        let mut random = Random::named("length");
        let (mut sum, mut square, mut low) = (0.0, 0.0, 0);
        for _ in 0..20_000 {
            let normal = random.normal();
            (sum, square) = (sum + normal, square + normal * normal);
            low += u32::from(random.below(10) < 3);
        }
        assert!((sum / 20_000.0).abs() < 0.03 && (square / 20_000.0 - 1.0).abs() < 0.05);
        assert!((5_700..6_300).contains(&low), "{low}");
        assert_eq!(Random::named("a").next(), Random::named("a").next());
        assert_ne!(Random::named("a").next(), Random::named("b").next());
    }
}
