//! What the tables of a report show of a suite.

use crate::{Asked, SuiteReport};

/// The role of a suite.
pub(crate) fn role(suite: &SuiteReport) -> &'static str {
    match (suite.protected, suite.target) {
        (true, true) => "protected, target",
        (true, false) => "protected",
        (false, true) => "target",
        (false, false) => "reported",
    }
}

/// The champion's score, the candidate's and the difference.
pub(crate) fn scores(suite: &SuiteReport) -> [String; 3] {
    if suite.n == 0 {
        return ["–", "–", "–"].map(str::to_owned);
    }
    let SuiteReport { champion, candidate, difference, .. } = suite;
    [format!("{champion:.3}"), format!("{candidate:.3}"), format!("{:+.3}", difference.mean)]
}

/// The interval of a difference.
pub(crate) fn interval(suite: &SuiteReport) -> String {
    if suite.n == 0 {
        return "–".to_owned();
    }
    format!("{:+.3} … {:+.3}", suite.difference.lower, suite.difference.upper)
}

/// The items that were compared, and of how many where it was not asked to its end.
pub(crate) fn items(suite: &SuiteReport) -> String {
    match &suite.asked {
        Some(Asked { items, of, .. }) if items < of => format!("{} of {of}", suite.n),
        _ => suite.n.to_string(),
    }
}

/// The smallest difference that it could have seen.
pub(crate) fn seen(suite: &SuiteReport) -> String {
    suite.smallest_seen.map_or_else(|| "–".to_owned(), |seen| format!("{seen:.3}"))
}

/// The difference to the anchor.
pub(crate) fn beside_anchor(suite: &SuiteReport) -> String {
    match &suite.anchor {
        Some(anchor) if anchor.n > 0 => format!("{:+.3} ({})", anchor.difference.mean, anchor.verdict.as_str()),
        _ => "–".to_owned(),
    }
}
