use std::{
    io::{self, Write},
    time::Duration,
};

use indicatif::{ProgressBar as Bar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error for a person who watches; nothing at all where nobody does. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct ProgressBar(Option<Bar>);

impl ProgressBar {
    /// Shows nothing.
    pub(crate) fn hidden() -> Self {
        Self(None)
    }

    /// A bar, if standard error is a terminal.
    pub(crate) fn on_terminal() -> Self {
        if !io::IsTerminal::is_terminal(&io::stderr()) {
            return Self::hidden();
        }
        let bar = Bar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style("{spinner} {prefix}"));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(Some(bar))
    }

    /// A phase begins, whose length is not known yet.
    pub(super) fn phase(&self, name: &str) {
        let Some(bar) = &self.0 else { return };
        bar.set_style(style("{spinner} {prefix} {elapsed}"));
        bar.set_prefix(name.to_owned());
        bar.set_message("");
        bar.unset_length();
    }

    /// A step was taken. Returns whether a bar shows it.
    pub(super) fn step(&self, step: u64, steps: u64, loss: f64, tokens_per_second: f64) -> bool {
        let Some(bar) = &self.0 else { return false };
        if bar.length() != Some(steps) {
            bar.set_style(style("{prefix} {bar:30} {pos}/{len} {msg} ETA {eta}"));
            bar.set_length(steps);
            bar.reset_eta();
        }
        bar.set_position(step);
        bar.set_message(format!("loss {loss:.4} {tokens_per_second:.0} tokens/s"));
        true
    }

    /// So many items of the suites were asked.
    pub(super) fn items(&self, done: u64, items: u64) {
        let Some(bar) = &self.0 else { return };
        if bar.length() != Some(items) || bar.position() > done {
            bar.set_style(style("{prefix} {bar:30} {pos}/{len} items ETA {eta}"));
            bar.set_length(items);
            bar.set_position(0);
            bar.reset_eta();
        }
        bar.set_position(done);
    }

    /// Nothing is under way any more.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }

    /// Standard error for log lines that do not tear the bar.
    pub(crate) fn writer(&self) -> impl Fn() -> LineWriter + Send + Sync + 'static {
        let bar = self.0.clone();
        move || LineWriter(bar.clone())
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Writes log lines to standard error, above the bar if there is one.
pub(crate) struct LineWriter(Option<Bar>);

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Some(bar) => bar.suspend(|| io::stderr().write(line)),
            None => io::stderr().write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
