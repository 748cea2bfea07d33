use std::ops::Range;

use super::{budget::Budget, fault::Result};

/// What a template wrote.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) text: String,
    /// The bytes of each `generation` block, in their order.
    pub(crate) generation: Vec<Range<usize>>,
}

/// Where a template writes to: the text, or on top of it what a block, a macro or a call collects.
#[derive(Debug, Default)]
pub(super) struct Output {
    written: Written,
    collected: Vec<String>,
}

impl Output {
    pub(super) fn write(&mut self, text: &str, budget: &Budget) -> Result<()> {
        let target = self.collected.last_mut().unwrap_or(&mut self.written.text);
        budget.text(text.len())?;
        target.push_str(text);
        Ok(())
    }

    pub(super) fn begin(&mut self) {
        self.collected.push(String::new());
    }

    pub(super) fn end(&mut self) -> String {
        self.collected.pop().unwrap_or_default()
    }

    /// Writes what a `generation` block collected. As transformers, its place is where the text is by now.
    pub(super) fn write_generated(&mut self, text: &str, budget: &Budget) -> Result<()> {
        let start = self.written.text.len();
        self.written.generation.push(start..start + text.len());
        self.write(text, budget)
    }

    pub(super) fn finish(self) -> Written {
        self.written
    }
}
