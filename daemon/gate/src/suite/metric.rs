use perennial_types::Body;

use super::Item;
use crate::{Metric, metric};

/// References longer than this, by the median of their words, are judged by their likelihood: two good long answers
/// share few words, so overlap says little about them.
const SHORT_WORDS_MAX: usize = 32;

/// How items are scored that nobody chose a metric for; [`auto_suite`](crate::auto_suite) says by what.
pub(super) fn choose(items: &[Item]) -> Metric {
    if items.iter().any(|item| matches!(item.body, Body::Text { .. })) {
        return Metric::Perplexity;
    }
    if items.iter().all(|item| metric::is_object(&item.reference)) {
        return Metric::JsonFieldF1;
    }
    let mut words: Vec<usize> = items.iter().map(|item| item.reference.split_whitespace().count()).collect();
    words.sort_unstable();
    // An empty reference can be right only by its likelihood; the metrics on answers refuse it.
    if words.first() == Some(&0) || words.get(words.len() / 2).is_some_and(|median| *median > SHORT_WORDS_MAX) {
        return Metric::Perplexity;
    }
    match words.last() {
        Some(1) => Metric::ExactMatch,
        _ => Metric::TokenF1,
    }
}
