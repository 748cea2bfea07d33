use crate::{LogLevel, log::Log};

/// The seed of the stand-in for randomness: the same for every call, so that the same call gives the same bytes.
const SEED: &str = "perennial:reward stubbed randomness";

/// How far the clock goes on each time it is read, so that what divides by elapsed time finds some.
const CLOCK_STEP_NANOSECONDS: u64 = 1000;

/// What the stand-ins know during one call.
#[derive(Debug, Default)]
pub(crate) struct System {
    clock_reads: u64,
    random_bytes_read: u64,
    output: Vec<u8>,
    errors: Vec<u8>,
}

/// Where a guest prints to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Output,
    Errors,
}

impl System {
    /// Nanoseconds of a clock that starts with the call and goes on only when it is read.
    pub(crate) fn monotonic_nanoseconds(&mut self) -> u64 {
        self.clock_reads += 1;
        self.clock_reads * CLOCK_STEP_NANOSECONDS
    }

    /// The next bytes of a fixed stream.
    pub(crate) fn random(&mut self, bytes: &mut [u8]) {
        let mut stream = blake3::Hasher::new_derive_key(SEED).finalize_xof();
        stream.set_position(self.random_bytes_read);
        stream.fill(bytes);
        self.random_bytes_read += bytes.len() as u64;
    }

    /// Each whole line that is printed becomes a line of the log. At most `line_bytes_max` bytes wait for their line break.
    pub(crate) fn print(&mut self, stream: Stream, bytes: &[u8], log: &mut Log) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let waiting = self.waiting(stream);
            let room = log.line_bytes_max.saturating_sub(waiting.len()) + 1;
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            waiting.extend_from_slice(&text[..text.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.end_line(stream, log);
            }
        }
    }

    /// Logs what still waits for a line break.
    pub(crate) fn finish(&mut self, log: &mut Log) {
        for stream in [Stream::Output, Stream::Errors] {
            if !self.waiting(stream).is_empty() {
                self.end_line(stream, log);
            }
        }
    }

    fn end_line(&mut self, stream: Stream, log: &mut Log) {
        let level = match stream {
            Stream::Output => LogLevel::Info,
            Stream::Errors => LogLevel::Warn,
        };
        let line = std::mem::take(self.waiting(stream));
        log.push(level, &String::from_utf8_lossy(&line));
    }

    fn waiting(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Output => &mut self.output,
            Stream::Errors => &mut self.errors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn randomness_is_one_stream_however_it_is_read() {
        let (mut whole, mut pieces) = ([0; 64], [0; 64]);
        System::default().random(&mut whole);
        let mut system = System::default();
        let (head, tail) = pieces.split_at_mut(19);
        system.random(head);
        system.random(tail);
        assert_eq!(whole, pieces);
        assert_ne!(whole[..32], whole[32..]);
    }

    #[test]
    fn lines_are_logged_whole_and_cut() {
        let mut log = Log::new(8, 4);
        let mut system = System::default();
        system.print(Stream::Output, b"a", &mut log);
        system.print(Stream::Errors, b"oops\n", &mut log);
        system.print(Stream::Output, b"b\nc\n", &mut log);
        system.print(Stream::Output, &[b'x'; 1000], &mut log);
        assert!(system.output.len() <= 5);
        system.finish(&mut log);
        let lines: Vec<_> = log.lines.iter().map(|line| (line.level, &line.message[..])).collect();
        assert_eq!(
            lines,
            [(LogLevel::Warn, "oops"), (LogLevel::Info, "ab"), (LogLevel::Info, "c"), (LogLevel::Info, "xxxx…")]
        );
    }
}
