use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// `log.level` is no filter.
#[derive(Debug, thiserror::Error)]
#[error(
    "log.level {level:?} is not a level (error, warn, info, debug, trace) or a filter such as \"info,perennial=debug\""
)]
pub(crate) struct LevelError {
    /// What was given.
    level: String,
    /// What is wrong with it.
    #[source]
    source: Option<tracing_subscriber::filter::ParseError>,
}

/// The filter that a level stands for.
///
/// # Errors
/// Where it stands for none.
pub(crate) fn log_filter(level: &str) -> Result<EnvFilter, LevelError> {
    // LanceDB and DataFusion tell much at `info` that nobody who runs a daemon can use.
    let quiet =
        ["lance", "lancedb", "lance_core", "lance_index", "lance_io", "lance_table", "lance_encoding", "datafusion"];
    let mut directives: Vec<String> = quiet.iter().map(|target| format!("{target}=warn")).collect();
    directives.push(level.to_owned());
    let error = |source| LevelError { level: level.to_owned(), source };
    // EnvFilter takes a lone word that is no level for the name of a target, and would then log nothing at all.
    if !level.split(',').all(|part| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok()) {
        return Err(error(None));
    }
    EnvFilter::try_new(directives.join(",")).map_err(|source| error(Some(source)))
}
