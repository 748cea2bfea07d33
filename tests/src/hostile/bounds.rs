use std::time::Duration;

/// What must hold meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long a small row may wait for its acknowledgement.
    pub answer_time_max: Duration,
    /// What the daemon, and any command, may hold, in bytes.
    pub memory_bytes_max: u64,
    /// How long a command may take over hostile files.
    pub command_time_max: Duration,
}
