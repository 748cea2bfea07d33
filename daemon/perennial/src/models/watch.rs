/// What is told of a pull while it runs.
pub(crate) struct Watch<'a> {
    /// Told of a file's name, the bytes that are there and the bytes it has.
    pub(crate) on_bytes: &'a dyn Fn(&str, u64, u64),
    /// Told what is done now.
    pub(crate) on_note: &'a dyn Fn(&str),
}

impl Watch<'_> {
    pub(super) fn bytes(&self, file: &str, have: u64, total: u64) {
        (self.on_bytes)(file, have, total);
    }

    pub(super) fn note(&self, note: &str) {
        (self.on_note)(note);
    }
}
