use super::{Detector, Scope};
use crate::{Comparison, View, mix};

/// How far the mix of tools that conversations call has moved: the population stability index of [`mix::compare`], each conversation
/// counting once, and one that calls nothing as a category of its own. Nothing is said where no conversation calls anything.
pub(super) struct ToolCalls;

impl Detector for ToolCalls {
    fn name(&self) -> &'static str {
        "tool_calls"
    }

    fn meaning(&self) -> &'static str {
        "population stability index of the tools that are called, or none: below 0.1 as before, above 0.25 another mix"
    }

    fn scope(&self) -> Scope {
        Scope::Domain
    }

    fn compare(&self, reference: &View<'_>, current: &View<'_>) -> Option<Comparison> {
        let (reference, current) = (units(reference), units(current));
        let calls = reference.iter().chain(&current).flatten().any(|(tool, _)| tool.is_some());
        (calls && !reference.is_empty() && !current.is_empty()).then(|| mix::compare(&reference, &current))
    }
}

/// Shares of the calls of each conversation; `None` is no call.
fn units<'a>(view: &View<'a>) -> Vec<Vec<(Option<&'a str>, f32)>> {
    let of = |calls: &'a Vec<String>| match calls.len() {
        0 => vec![(None, 1.0)],
        all => calls.iter().map(|tool| (Some(tool.as_str()), 1.0 / all as f32)).collect(),
    };
    view.rows.iter().filter_map(|row| row.calls.as_ref()).map(of).collect()
}
