/// What a template can read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    /// A content that is a list of parts.
    pub(super) reads_parts: bool,
    /// Arguments of tool calls that are a string of JSON.
    pub(super) reads_string_arguments: bool,
}

impl Default for Habits {
    /// As the row has it, which is what transformers gives.
    fn default() -> Self {
        Self { reads_parts: true, reads_string_arguments: true }
    }
}
