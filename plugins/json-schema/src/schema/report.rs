/// How a document fared.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Report {
    /// Demands of the schema that apply to something in the document.
    pub(crate) demands: usize,
    /// Those of them that are not met.
    pub(crate) violations: usize,
    /// The first of those, for people.
    pub(crate) first: Option<String>,
}

impl Report {
    /// The share of demands that are met; all of none.
    pub(crate) fn share(&self) -> f64 {
        if self.demands == 0 { 1.0 } else { 1.0 - self.violations as f64 / self.demands as f64 }
    }

    pub(super) fn demand(&mut self, holds: bool, path: &str, what: impl FnOnce() -> String) {
        self.demands += 1;
        if holds {
            return;
        }
        self.violations += 1;
        if self.first.is_none() {
            let place = if path.is_empty() { "the document" } else { path };
            self.first = Some(format!("{place}: {}", what()));
        }
    }
}
