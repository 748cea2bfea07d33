/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the plugin's author.
    Debug,
    /// For who wonders.
    Info,
    /// Something is wrong with the data or the configuration.
    Warn,
}
