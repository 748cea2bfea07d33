//! The key that was probably meant.

use super::foreign;

/// How alike a wrong and a right name must be (Jaro-Winkler) for the right one to be proposed.
const LIKENESS_MIN: f64 = 0.75;

/// Proposes the expected name that is most like the wrong one in one of serde's messages.
pub(super) fn nearest(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let Some(wrong) = names.next().filter(|_| message.starts_with("unknown")) else { return String::new() };
    if let Some(key) = foreign::own_name(wrong) {
        return format!("; it is called `{key}` here");
    }
    let likeness = |name: &str| strsim::jaro_winkler(wrong, name);
    let best = names.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    best.filter(|name| likeness(name) >= LIKENESS_MIN)
        .map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
