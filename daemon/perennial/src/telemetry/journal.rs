//! systemd's journal in its own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): a line to read, and beside it each field to ask for, as in
//! `journalctl --unit perennial PERENNIAL_CYCLE=000007`.

use std::{
    fmt::{self, Write as _},
    fs,
    io::{self, Write as _},
    os::unix::{fs::MetadataExt, net::UnixDatagram},
    path::Path,
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

const SOCKET: &str = "/run/systemd/journal/socket";

/// What field names begin with, so that none is taken for one of the journal's own.
const PREFIX: &str = "PERENNIAL_";

/// The longest value, in bytes: far below what a datagram holds, and longer than any line that says something.
const VALUE_BYTES_MAX: usize = 16 << 10;

/// Writes events to the journal.
pub(super) struct Journal(UnixDatagram);

impl Journal {
    /// The journal that standard error goes to; `None` where it goes elsewhere.
    pub(super) fn of_standard_error() -> Option<Self> {
        let stream = std::env::var("JOURNAL_STREAM").ok()?;
        let error = fs::metadata("/proc/self/fd/2").ok()?;
        if stream != format!("{}:{}", error.dev(), error.ino()) {
            return None;
        }
        Self::at(Path::new(SOCKET)).ok()
    }

    fn at(socket: &Path) -> io::Result<Self> {
        let datagrams = UnixDatagram::unbound()?;
        datagrams.connect(socket)?;
        Ok(Self(datagrams))
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        // A journal that starts anew reads what standard error has meanwhile.
        if self.0.send(&fields.entry(event.metadata())).is_err() {
            let _ = writeln!(io::stderr().lock(), "{}", fields.line());
        }
    }
}

/// The fields of an event, the message apart.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.others.push((name, value.to_owned())),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl Fields {
    /// As one reads it.
    fn line(&self) -> String {
        let mut line = self.message.clone();
        for (name, value) in &self.others {
            let spaced = value.is_empty() || value.contains(char::is_whitespace);
            // Writing to a string never fails.
            let _ = if spaced { write!(line, " {name}={value:?}") } else { write!(line, " {name}={value}") };
        }
        line
    }

    fn entry(&self, metadata: &Metadata<'_>) -> Vec<u8> {
        let mut entry = Vec::new();
        put(&mut entry, "MESSAGE", &self.line());
        put(&mut entry, "PRIORITY", priority(*metadata.level()));
        put(&mut entry, "SYSLOG_IDENTIFIER", "perennial");
        put(&mut entry, &format!("{PREFIX}TARGET"), metadata.target());
        for (name, value) in &self.others {
            put(&mut entry, &format!("{PREFIX}{}", field_name(name)), value);
        }
        entry
    }
}

/// In the form that takes any bytes: the name alone in its line, the length, the value.
fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    let value = &value[..value.floor_char_boundary(VALUE_BYTES_MAX)];
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'\n');
    entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

/// As the journal has them: capitals, digits and `_`.
fn field_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn parsed(mut entry: &[u8]) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        while !entry.is_empty() {
            let end = entry.iter().position(|byte| *byte == b'\n').unwrap();
            let name = String::from_utf8(entry[..end].to_vec()).unwrap();
            let length = u64::from_le_bytes(entry[end + 1..end + 9].try_into().unwrap()) as usize;
            let value = String::from_utf8(entry[end + 9..end + 9 + length].to_vec()).unwrap();
            assert_eq!(entry[end + 9 + length], b'\n');
            fields.insert(name, value);
            entry = &entry[end + 10 + length..];
        }
        fields
    }

    #[test]
    fn an_event_is_a_line_to_read_and_fields_to_ask_for() {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("socket")).unwrap();
        let journal = Journal::at(&folder.path().join("socket")).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal), || {
            tracing::warn!(cycle = %"000007", steps = 3, why = "two\nlines", "cycle aborted");
        });
        let mut entry = [0; 4096];
        let length = socket.recv(&mut entry).unwrap();
        let fields = parsed(&entry[..length]);
        let field = |name: &str| fields[name].as_str();
        assert_eq!(field("MESSAGE"), r#"cycle aborted cycle=000007 steps=3 why="two\nlines""#);
        assert_eq!((field("PRIORITY"), field("SYSLOG_IDENTIFIER")), ("4", "perennial"));
        assert_eq!((field("PERENNIAL_CYCLE"), field("PERENNIAL_STEPS")), ("000007", "3"));
        assert_eq!(field("PERENNIAL_WHY"), "two\nlines");
        assert!(field("PERENNIAL_TARGET").contains("journal"));
    }

    #[test]
    fn a_value_without_end_is_cut_at_a_character() {
        let mut entry = Vec::new();
        put(&mut entry, "MESSAGE", &"é".repeat(VALUE_BYTES_MAX));
        assert_eq!(parsed(&entry)["MESSAGE"].len(), VALUE_BYTES_MAX);
    }
}
