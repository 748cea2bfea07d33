use crate::{LogLevel, LogLine, text};

/// The log of one call: at most so many lines of at most so many bytes. The rest is counted.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) lines: Vec<LogLine>,
    pub(crate) dropped: u64,
    lines_max: usize,
    pub(crate) line_bytes_max: usize,
}

impl Log {
    pub(crate) fn new(lines_max: usize, line_bytes_max: usize) -> Self {
        Self { lines: Vec::new(), dropped: 0, lines_max, line_bytes_max }
    }

    pub(crate) fn push(&mut self, level: LogLevel, message: &str) {
        if self.lines.len() == self.lines_max {
            self.dropped += 1;
            return;
        }
        self.lines.push(LogLine { level, message: text::quote_guest(message, self.line_bytes_max) });
    }
}
