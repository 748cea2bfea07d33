use std::{collections::BTreeSet, ops::RangeInclusive};

use crate::{Descriptor, Score, Verdict};

/// What the host would refuse in these verdicts, if anything.
pub(super) fn breach(descriptor: &Descriptor, samples: usize, verdicts: &[Verdict]) -> Option<String> {
    if verdicts.len() != samples {
        return Some(format!("{} verdicts for {samples} completions", verdicts.len()));
    }
    verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Abstained(_) => None,
        Verdict::Scored(score) => breach_of_score(descriptor, score),
    })
}

fn breach_of_score(descriptor: &Descriptor, score: &Score) -> Option<String> {
    if let Some(breach) = outside("the reward", score.reward, &descriptor.range) {
        return Some(breach);
    }
    let mut seen = BTreeSet::new();
    score.parts.iter().find_map(|(name, value)| {
        if !seen.insert(name) {
            return Some(format!("the part `{name}` is there twice"));
        }
        match descriptor.parts.iter().find(|part| part.name == *name) {
            None => Some(format!("the part `{name}` is not declared")),
            Some(part) => outside(&format!("the part `{name}`"), *value, &part.range),
        }
    })
}

fn outside(what: &str, value: f64, range: &RangeInclusive<f64>) -> Option<String> {
    // NaN is in no range.
    (!value.is_finite() || !range.contains(&value))
        .then(|| format!("{what} is {value}, outside {} ..= {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_the_host_would_refuse() {
        let descriptor = Descriptor::new("d", "0.1.0", "").part("a", 0.0..=2.0, "");
        let breach = |verdict: Verdict| breach(&descriptor, 1, &[verdict]);
        assert_eq!(breach(Verdict::scored(1.0).part("a", 2.0)), None);
        assert_eq!(breach(Verdict::abstain("")), None);
        assert!(breach(Verdict::scored(f64::NAN)).unwrap().contains("reward"));
        assert!(breach(Verdict::scored(1.5)).unwrap().contains("outside 0 ..= 1"));
        assert!(breach(Verdict::scored(1.0).part("b", 0.0)).unwrap().contains("not declared"));
        assert!(breach(Verdict::scored(1.0).part("a", 0.0).part("a", 0.0)).unwrap().contains("twice"));
        assert!(super::breach(&descriptor, 2, &[Verdict::scored(1.0)]).unwrap().contains("1 verdicts for 2"));
    }
}
