use super::{Detector, Scope};
use crate::{Batch, Comparison, Tail, View};

/// Whether more rows are refused than before: 2·asin√q − 2·asin√p, with p and q the shares of refused rows (Cohen's h, "Statistical
/// Power Analysis for the Behavioral Sciences", 1988, chapter 6). Files and requests are what is drawn, since the bad rows of one
/// have one cause.
pub(super) struct Refused;

/// The least difference that is worth telling: from 1 % to 1.5 %.
const FLOOR: f64 = 0.045;

impl Detector for Refused {
    fn name(&self) -> &'static str {
        "refused"
    }

    fn meaning(&self) -> &'static str {
        "rise of the share of refused rows, by Cohen's h: 0 as before, 0.25 is from 1 % to 5 %, 0.5 from 1 % to 12 %"
    }

    fn scope(&self) -> Scope {
        Scope::Whole
    }

    fn compare(&self, reference: &View<'_>, current: &View<'_>) -> Option<Comparison> {
        let units = |view: &View<'_>| view.batches.iter().filter(|batch| batch.rows > 0).copied().collect::<Vec<_>>();
        let (before, now) = (units(reference), units(current));
        if before.is_empty() || now.is_empty() {
            return None;
        }
        let rows = before.iter().map(|batch| batch.rows).sum::<u64>() / before.len() as u64;
        let ghost = Batch { rows: rows.max(1), refused: 1 };
        let batches: Vec<Batch> = before.iter().chain(&now).copied().chain([ghost]).collect();
        let angle = move |drawn: &[u32]| {
            let (mut refused, mut rows) = (0, 0);
            for unit in drawn {
                let batch = batches[*unit as usize];
                (refused, rows) = (refused + batch.refused, rows + batch.rows);
            }
            2.0 * (refused as f64 / rows as f64).min(1.0).sqrt().asin()
        };
        let score = Box::new(move |reference: &[u32], current: &[u32]| angle(current) - angle(reference));
        let (reference, current) = (before.len(), now.len());
        Some(Comparison { reference, current, tail: Tail::Gaussian, floor: FLOOR, has_ghost: true, score })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Window;

    #[test]
    fn the_score_is_cohens_h() {
        let window = |rows, refused| Window { batches: vec![Batch { rows, refused }; 60], ..Window::default() };
        let h = |before: &Window, now: &Window| Refused.compare(&before.whole(), &now.whole()).unwrap().observed();
        let (one, five) = (window(100, 1), window(100, 5));
        // 2·asin√0.05 − 2·asin√0.01
        assert!((h(&one, &five) - 0.250_68).abs() < 1e-4, "{}", h(&one, &five));
        assert!((h(&five, &one) + 0.250_68).abs() < 1e-4);
    }
}
