use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde::Deserialize as _;
use toml::{
    Table,
    de::{DeTable, Deserializer},
};

use super::{
    Config, ConfigError, Sources,
    credentials::take_credentials,
    nearest::nearest,
    overrides::{Override, apply, overrides},
    paths::resolve_paths,
    place::{self, Origin, Origins},
    problems::Problem,
    renamed, validate,
};

/// Read where no `--config` is given, if it is there.
const DEFAULT_FILE: &str = "/etc/perennial/perennial.toml";

/// A configuration that is fit to run with, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The values, with paths made absolute.
    pub(crate) config: Config,
    /// Where each value that is not a default comes from.
    pub(crate) origins: Origins,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
    /// What is to be told of keys that were set by an old name.
    pub(crate) renamed: BTreeSet<String>,
}

/// Reads the configuration from its sources, each above the one before: defaults, file, environment, flags.
///
/// # Errors
/// At the first source that cannot be read; else with everything that [`validate`] finds.
pub(crate) fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let working_directory = std::env::current_dir().map_err(ConfigError::WorkingDirectory)?;
    let file = sources.file.clone().or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.is_file()));
    let (mut config, mut table, mut origins, mut renamed) = match &file {
        Some(path) => read_file(path)?,
        None => Default::default(),
    };
    for Override { key, value, origin } in overrides(sources)? {
        let (key, note) = renamed::key(&key).map_or((key, None), |(key, note)| (key, Some(note)));
        renamed.extend(note);
        (config, table) = apply(&table, &key, &value, &origin)?;
        origins.insert(key, origin);
    }
    take_credentials(&mut config, &mut origins, &sources.environment);
    let file_folder = file.as_ref().and_then(|path| path.parent()).map(|folder| working_directory.join(folder));
    resolve_paths(&mut config, &origins, &file_folder.unwrap_or_default(), &working_directory);
    let problems = validate::problems(&config);
    if problems.is_empty() {
        return Ok(Loaded { config, origins, file, renamed });
    }
    let place = |problem: &Problem| origins.get(&problem.key).cloned().unwrap_or(Origin::Default);
    Err(ConfigError::Invalid(problems.into_iter().map(|problem| (place(&problem), problem)).collect()))
}

fn read_file(path: &Path) -> Result<(Config, Table, Origins, BTreeSet<String>), ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let error = |error: toml::de::Error| {
        let message = error.message().to_owned();
        let offset = error.span().map_or(0, |span| place::of_named_key(&text, span.start, &message));
        let (line, column) = place::line_and_column(&text, offset);
        let hint = nearest(&message);
        ConfigError::File { path: path.to_owned(), line, column, message, hint }
    };
    let mut places = DeTable::parse(&text).map_err(error)?;
    let renamed = renamed::in_file(places.get_mut()).map_err(|(span, message)| {
        let (line, column) = place::line_and_column(&text, span.start);
        ConfigError::File { path: path.to_owned(), line, column, message, hint: String::new() }
    })?;
    let config = Config::deserialize(Deserializer::from(places.clone())).map_err(error)?;
    let table = Table::deserialize(Deserializer::from(places.clone())).map_err(error)?;
    Ok((config, table, place::of_file(path, &text, places.get_ref()), renamed.into_iter().collect()))
}

#[cfg(test)]
mod tests;
