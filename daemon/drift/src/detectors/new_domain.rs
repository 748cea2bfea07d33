use super::{Detector, Scope};
use crate::{Comparison, Tail, View, ranks::Ranks};

/// Whether something comes in that is near to nothing that was learned: the share of current rows that are further from all that may
/// be replayed than all but a twentieth of the reference's rows are, less that twentieth.
pub(super) struct NewDomain;

/// The share of the reference that counts as far.
const FAR: f64 = 0.05;

/// The least share that is worth telling.
const FLOOR: f64 = 0.02;

impl Detector for NewDomain {
    fn name(&self) -> &'static str {
        "new_domain"
    }

    fn meaning(&self) -> &'static str {
        "share of rows that are far from all that may be replayed, beyond the usual twentieth: 0 as before, 0.95 all of them"
    }

    fn scope(&self) -> Scope {
        Scope::Whole
    }

    fn compare(&self, reference: &View<'_>, current: &View<'_>) -> Option<Comparison> {
        let distances = |view: &View<'_>| {
            let known = view.rows.iter().filter_map(|row| row.novelty).filter(|distance| distance.is_finite());
            known.map(f64::from).collect::<Vec<_>>()
        };
        let (before, now) = (distances(reference), distances(current));
        if before.is_empty() || now.is_empty() {
            return None;
        }
        let ranks = Ranks::new(&before, &now);
        let score = move |reference: &[u32], current: &[u32]| {
            let (before, now) = (ranks.counts(reference), ranks.counts(current));
            let usual = ((1.0 - FAR) * reference.len() as f64).ceil() as u32;
            let mut nearer = 0;
            let limit = before.iter().position(|count| {
                nearer += count;
                nearer >= usual
            });
            let far: u32 = now.iter().skip(limit.unwrap_or(0) + 1).sum();
            f64::from(far) / current.len() as f64 - FAR
        };
        let (reference, current) = (before.len(), now.len());
        let score = Box::new(score);
        Some(Comparison { reference, current, tail: Tail::Gaussian, floor: FLOOR, has_ghost: true, score })
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::Domain;

    use super::*;
    use crate::{Random, Row, Window};

    #[test]
    fn rows_beyond_what_is_usual_are_counted() {
        let window = |rows: &[(usize, f32)]| {
            let row = |novelty| Row { novelty: Some(novelty), ..Row::new(Domain::default()) };
            let spread =
                |(count, far): &(usize, f32)| (0..*count).map(|n| row(far + n as f32 * 1e-4)).collect::<Vec<_>>();
            Window { rows: rows.iter().flat_map(spread).collect(), ..Window::default() }
        };
        let reference = window(&[(400, 0.5)]);
        let compared = NewDomain.compare(&reference.whole(), &window(&[(80, 0.5), (20, 3.0)]).whole()).unwrap();
        assert!((compared.observed() - 0.15).abs() < 1e-9, "{}", compared.observed());
        assert!(compared.observed() > compared.threshold(1e-3, Random::new(1)));
    }
}
