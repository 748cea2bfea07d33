mod buffer;
mod draw;
mod keep;
mod simulation;

use perennial_types::{CycleId, Domain, Fingerprint, SampleId};

use super::{Draw, PolicyKind, ReplayRow};

fn id(n: u32) -> SampleId {
    SampleId(Fingerprint::of(&n.to_le_bytes()))
}

fn row(n: u32, domain: &str) -> ReplayRow {
    ReplayRow::new(id(n), Domain::new(domain).unwrap(), i64::from(n), format!("segments/{domain}.parquet"))
}

/// So many rows of each domain, numbered on.
fn rows(domains: &[(&str, u32)]) -> Vec<ReplayRow> {
    let names = domains.iter().flat_map(|(name, count)| std::iter::repeat_n(*name, *count as usize));
    (0..).zip(names).map(|(n, name)| row(n, name)).collect()
}

fn policy(name: &str) -> PolicyKind {
    PolicyKind::named(name).unwrap()
}

/// A draw of so many rows of one token each.
fn of(name: &str, rows: usize, seed: u64) -> Draw {
    Draw {
        policy: policy(name),
        tokens: rows as f64,
        repeats_max: 1,
        fallen: Default::default(),
        fallen_fraction: 0.5,
        row_tokens_default: 1,
        row_tokens_max: 1000,
        cycle: CycleId(9),
        seed,
    }
}

/// Pearson's statistic of how often each of `total` rows was among the `chosen` ones of each of `seeds` independent
/// samples without replacement, scaled so that it follows chi-square with `total` − 1 degrees of freedom.
fn chi_square(counts: &std::collections::BTreeMap<SampleId, u32>, total: u32, chosen: u32, seeds: u32) -> f64 {
    let share = f64::from(chosen) / f64::from(total);
    let (mean, variance) = (f64::from(seeds) * share, f64::from(seeds) * share * (1.0 - share));
    let squares = (0..total).map(|n| (f64::from(counts.get(&id(n)).copied().unwrap_or(0)) - mean).powi(2));
    squares.sum::<f64>() / variance * f64::from(total - 1) / f64::from(total)
}
