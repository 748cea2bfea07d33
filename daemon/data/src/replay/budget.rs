/// How many tokens are to be drawn, and how many were.
#[derive(Clone, Copy, Debug, Default)]
pub struct Budget {
    wanted: f64,
    taken: f64,
}

impl Budget {
    /// So many, and none of them yet.
    pub fn of(wanted: f64) -> Self {
        Self { wanted, taken: 0.0 }
    }

    /// Takes a row of so many tokens; `false` where there is enough without it. The row that crosses the border is taken where
    /// that comes nearer to it.
    pub fn take(&mut self, tokens: u64) -> bool {
        let fits = self.taken + tokens as f64 / 2.0 <= self.wanted;
        if fits {
            self.taken += tokens as f64;
        }
        fits
    }

    /// The tokens that are missing, 0 where there are enough.
    pub fn left(&self) -> f64 {
        (self.wanted - self.taken).max(0.0)
    }

    /// The tokens that were taken.
    pub fn taken(&self) -> f64 {
        self.taken
    }

    pub(super) fn raise_to(&mut self, wanted: f64) {
        self.wanted = wanted;
    }
}
