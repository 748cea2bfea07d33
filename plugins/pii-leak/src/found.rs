use std::ops::Range;

/// A piece of personal data in a text.
pub(crate) struct Found {
    /// As equal ones are written alike.
    pub(crate) value: String,
    /// Its place in the text, in characters.
    pub(crate) span: Range<usize>,
}
