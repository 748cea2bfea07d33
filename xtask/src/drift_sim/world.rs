//! Production as it is simulated: rows that come independently of each other, until something is planted.

use perennial_drift::{Batch, Random, Row, TOKEN_BINS, Window, token_bins};
use perennial_types::Domain;

/// What moves, by how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shift {
    /// Nothing.
    None,
    /// The embeddings' mean, by so many of their standard deviations along one direction.
    Embedding(f64),
    /// Lengths, by this factor.
    Length(f64),
    /// So large a share of tokens is drawn from other words.
    Tokens(f64),
    /// So large a share of rows comes from the smallest domain in place of the largest.
    Domains(f64),
    /// So large a share of rows is of a domain that was never there.
    NewDomain(f64),
    /// So large a share of rows has the rarest label in place of its own.
    Labels(f64),
    /// So large a share of conversations calls a tool in place of none.
    Tools(f64),
    /// The share of refused rows.
    Refused(f64),
    /// The champion's loss rises by so many nats per token.
    Loss(f64),
}

/// Rows of an hour.
pub(super) const HOUR_ROWS: usize = 100;
/// Rows of a request.
const REQUEST_ROWS: u64 = 10;
/// Rows of the reference: what a cycle learned.
const REFERENCE_ROWS: usize = 1000;
/// Rows that are known to be near to: fewer than the daemon looks at, to be quicker.
const KNOWN_ROWS: usize = 100;
/// Rows of the current window at most, as the daemon takes them.
const CURRENT_ROWS_MAX: usize = 1000;
/// Held-out rows of a domain that the champion's loss is known of.
const HELD_OUT_ROWS: usize = 100;
/// Rows of an hour that the champion scores.
const SCORED_ROWS: usize = 64;
/// Losses of the current window at most.
const LOSSES_MAX: usize = 256;
/// The share of refused rows where nothing moved.
const REFUSED: f64 = 0.01;
const DIMENSIONS: usize = 32;
const DOMAINS: [(&str, f64); 4] = [("support", 0.5), ("sales", 0.3), ("code", 0.15), ("legal", 0.05)];
const LABELS: [(&str, f64); 3] = [("good", 0.6), ("fair", 0.3), ("bad", 0.1)];
const TOOLS: [(&str, f64); 3] = [("", 0.7), ("search", 0.2), ("refund", 0.1)];
/// Words of a domain; they are frequent as Zipf's law has it.
const WORDS: u32 = 2000;

/// A stream of rows, from one seed.
#[derive(Clone)]
pub(super) struct World {
    random: Random,
    shift: Shift,
    centres: Vec<Vec<f64>>,
    direction: Vec<f64>,
    /// What may be replayed, to tell what is near to it.
    known: Vec<Vec<f32>>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut vector = |scale: f64| (0..DIMENSIONS).map(|_| scale * random.normal()).collect::<Vec<f64>>();
        let centres: Vec<Vec<f64>> = (0..=DOMAINS.len()).map(|_| vector(0.6)).collect();
        let direction = vector(1.0);
        let norm = direction.iter().map(|value| value * value).sum::<f64>().sqrt();
        let direction = direction.into_iter().map(|value| value / norm).collect();
        let mut world = Self { random, shift: Shift::None, centres, direction, known: Vec::new() };
        world.known = (0..KNOWN_ROWS).map(|_| world.row().vector.unwrap_or_default()).collect();
        world
    }

    /// From here on this has moved.
    pub(super) fn shift(&mut self, shift: Shift) {
        self.shift = shift;
    }

    /// What the champion learned.
    pub(super) fn reference(&mut self) -> Window {
        let mut window = Window::default();
        while window.rows.len() < REFERENCE_ROWS {
            self.hour(&mut window);
        }
        // All that came in before the cycle says what share is refused.
        while window.batches.len() < CURRENT_ROWS_MAX {
            let refused = (0..REQUEST_ROWS).filter(|_| self.random.share() < REFUSED).count() as u64;
            window.batches.push(Batch { rows: REQUEST_ROWS, refused });
        }
        for (domain, _) in DOMAINS {
            let losses = (0..HELD_OUT_ROWS).map(|_| self.loss()).collect();
            window.losses.extend(Domain::new(domain).map(|domain| (domain, losses)));
        }
        window
    }

    /// An hour more; what is too old falls out.
    pub(super) fn hour(&mut self, window: &mut Window) {
        let rows: Vec<Row> = (0..HOUR_ROWS).map(|_| self.novel_row()).collect();
        for row in rows.iter().take(SCORED_ROWS) {
            let loss = self.loss();
            let losses = window.losses.entry(row.domain.clone()).or_default();
            losses.push(loss);
            losses.drain(..losses.len().saturating_sub(LOSSES_MAX));
        }
        window.rows.extend(rows);
        window.rows.drain(..window.rows.len().saturating_sub(CURRENT_ROWS_MAX));
        let refused = if let Shift::Refused(share) = self.shift { share } else { REFUSED };
        for _ in 0..HOUR_ROWS as u64 / REQUEST_ROWS {
            let refused = (0..REQUEST_ROWS).filter(|_| self.random.share() < refused).count() as u64;
            window.batches.push(Batch { rows: REQUEST_ROWS, refused });
        }
        window.batches.drain(..window.batches.len().saturating_sub(CURRENT_ROWS_MAX));
    }

    fn novel_row(&mut self) -> Row {
        let mut row = self.row();
        let vector = row.vector.as_deref().unwrap_or_default();
        let distance = |other: &Vec<f32>| vector.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        row.novelty = self.known.iter().map(distance).min_by(f32::total_cmp);
        row
    }

    fn row(&mut self) -> Row {
        let domain = self.domain();
        let name = DOMAINS.get(domain).map_or("unheard", |(name, _)| name);
        // A name of letters is a domain.
        let mut row = Row::new(Domain::new(name).unwrap_or_default());
        row.vector = Some(self.vector(domain));
        row.tokens = self.length();
        row.bins = self.bins(domain, row.tokens);
        row.label = Some(self.label().to_owned());
        row.calls = Some(self.calls());
        row
    }

    fn domain(&mut self) -> usize {
        let domain = self.of(&DOMAINS);
        match self.shift {
            Shift::Domains(share) if domain == 0 && self.random.share() < share / DOMAINS[0].1 => DOMAINS.len() - 1,
            Shift::NewDomain(share) if self.random.share() < share => DOMAINS.len(),
            _ => domain,
        }
    }

    fn vector(&mut self, domain: usize) -> Vec<f32> {
        let by = if let Shift::Embedding(by) = self.shift { by } else { 0.0 };
        let values = self.centres[domain].iter().zip(&self.direction);
        let values: Vec<f64> = values.map(|(centre, along)| centre + by * along + self.random.normal()).collect();
        let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt();
        values.into_iter().map(|value| (value / norm) as f32).collect()
    }

    fn length(&mut self) -> u32 {
        let factor = if let Shift::Length(factor) = self.shift { factor } else { 1.0 };
        (factor * (3.7 + 0.6 * self.random.normal()).exp()).clamp(1.0, 2000.0) as u32
    }

    fn bins(&mut self, domain: usize, tokens: u32) -> Vec<(u16, f32)> {
        let other = if let Shift::Tokens(share) = self.shift { share } else { 0.0 };
        let mut token = || {
            // By inversion: the share of words up to a rank grows as its logarithm.
            let rank = (f64::from(WORDS).powf(self.random.share())) as u32;
            let vocabulary = if self.random.share() < other { DOMAINS.len() + 1 } else { domain };
            rank + WORDS * vocabulary as u32
        };
        let tokens: Vec<u32> = (0..tokens.min(8 * TOKEN_BINS as u32)).map(|_| token()).collect();
        token_bins(&tokens)
    }

    fn label(&mut self) -> &'static str {
        let label = self.of(&LABELS);
        match self.shift {
            Shift::Labels(share) if self.random.share() < share => LABELS[LABELS.len() - 1].0,
            _ => LABELS[label].0,
        }
    }

    fn calls(&mut self) -> Vec<String> {
        let tool = self.of(&TOOLS);
        let tool = match self.shift {
            Shift::Tools(share) if tool == 0 && self.random.share() < share / TOOLS[0].1 => 1,
            _ => tool,
        };
        TOOLS
            .iter()
            .skip(tool)
            .take(1)
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, _)| (*name).to_owned())
            .collect()
    }

    fn loss(&mut self) -> f64 {
        let by = if let Shift::Loss(by) = self.shift { by } else { 0.0 };
        2.0 + by + 0.6 * self.random.normal()
    }

    fn of(&mut self, shares: &[(&str, f64)]) -> usize {
        let mut left = self.random.share();
        let at = shares.iter().position(|(_, share)| {
            left -= share;
            left <= 0.0
        });
        at.unwrap_or(0)
    }
}
