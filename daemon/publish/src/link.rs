use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use perennial_durable::{create_folder_durably, failpoint, sync_folder};
use perennial_types::AdapterId;

use crate::{PublishError, error::io_error};

/// The link's name in the export folder.
pub(crate) const CURRENT: &str = "current";
/// Where the link of a state directory points, seen from its export folder: what production reads may be moved as a whole.
const ADAPTERS_FROM_EXPORT: &str = "../adapters";

/// The link in a folder, and the folder of all adapters that it leads into.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    export: PathBuf,
    /// The folder of all adapters, as the link names it.
    adapters: PathBuf,
}

impl Link {
    pub(crate) fn new(export: &Path, adapters: &Path) -> Self {
        let are_neighbours =
            adapters.file_name() == Path::new(ADAPTERS_FROM_EXPORT).file_name() && export.parent() == adapters.parent();
        let adapters = if are_neighbours { Path::new(ADAPTERS_FROM_EXPORT) } else { adapters };
        Self { export: export.to_owned(), adapters: adapters.to_owned() }
    }

    pub(crate) fn export(&self) -> &Path {
        &self.export
    }

    /// Makes `current` lead to the adapter's folder, or takes it away where the base model is in service. A reader sees the old
    /// adapter or the new one, never neither. Where it leads there already, nothing is written.
    ///
    /// # Errors
    /// Where there is no such adapter folder, or something else than a link has the link's name.
    pub(crate) fn switch(&self, adapter: Option<&AdapterId>) -> Result<(), PublishError> {
        let export = &self.export;
        create_folder_durably(export)?;
        if self.current()?.as_ref() == adapter {
            return Ok(());
        }
        let link = export.join(CURRENT);
        match adapter {
            None => failpoint::hit("publish.switch")
                .and_then(|()| fs::remove_file(&link))
                .map_err(io_error("remove", &link))?,
            Some(adapter) => {
                let goal = self.adapters.join(adapter.as_str());
                let folder = export.join(&goal);
                fs::read_dir(&folder).map_err(io_error("read", &folder))?;
                let incoming = export.join(format!(".{CURRENT}.tmp"));
                match fs::remove_file(&incoming) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(io_error("remove what a crash left", &incoming)(error));
                    }
                    _ => {}
                }
                symlink(&goal, &incoming).map_err(io_error("create", &incoming))?;
                let switched = failpoint::hit("publish.switch").and_then(|()| fs::rename(&incoming, &link));
                switched.map_err(io_error("switch", &link))?;
            }
        }
        Ok(sync_folder(export)?)
    }

    /// The adapter that `current` leads to; `None` where there is no link.
    ///
    /// # Errors
    /// Where something else has the link's name, or the link leads somewhere else.
    pub(crate) fn current(&self) -> Result<Option<AdapterId>, PublishError> {
        let link = self.export.join(CURRENT);
        let goal = match fs::read_link(&link) {
            Ok(goal) => goal,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(PublishError::NotALink(link)),
            Err(error) => return Err(io_error("read", &link)(error)),
        };
        let name = goal.strip_prefix(&self.adapters).ok().and_then(Path::to_str);
        match name.and_then(|name| name.parse().ok()) {
            Some(adapter) => Ok(Some(adapter)),
            None => Err(PublishError::NotALink(link)),
        }
    }
}

/// The adapter that the link in a state directory's export folder leads to; `None` where there is no link.
///
/// # Errors
/// Where something else has the link's name, or the link leads somewhere else.
pub fn current(export: &Path) -> Result<Option<AdapterId>, PublishError> {
    Link { export: export.to_owned(), adapters: ADAPTERS_FROM_EXPORT.into() }.current()
}

/// What production reads in place of the champion, in words; `None` where it reads the champion. Of both, `None` is the base
/// model alone. For the export folder of a state directory.
pub fn astray(export: &Path, champion: Option<&AdapterId>) -> Option<String> {
    let name = |adapter: Option<&AdapterId>| adapter.map_or_else(|| "the base model".to_owned(), AdapterId::to_string);
    match current(export) {
        Ok(current) if current.as_ref() == champion => None,
        Ok(current) => Some(format!("production reads {}, the champion is {}", name(current.as_ref()), name(champion))),
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::Fingerprint;
    use tempfile::TempDir;

    use super::*;

    fn stored(adapters: &Path, weights: &str) -> AdapterId {
        let adapter = AdapterId::of(&Fingerprint::of(weights.as_bytes()));
        let folder = adapters.join(adapter.as_str());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("adapter_model.safetensors"), weights).unwrap();
        adapter
    }

    #[test]
    fn current_is_switched_and_taken_away_for_the_base_model() {
        let state = TempDir::new().unwrap();
        let adapters = state.path().join("adapters");
        let (one, two) = (stored(&adapters, "one"), stored(&adapters, "two"));
        for (export, goal) in [("export", Path::new("../adapters")), ("elsewhere/served", adapters.as_path())] {
            let export = state.path().join(export);
            let link = Link::new(&export, &adapters);
            fs::create_dir_all(&export).unwrap();
            symlink("nowhere", export.join(".current.tmp")).unwrap();

            assert_eq!(link.current().unwrap(), None);
            for adapter in [Some(&one), Some(&two), Some(&two), None, None, Some(&one)] {
                link.switch(adapter).unwrap();
                assert_eq!(link.current().unwrap().as_ref(), adapter);
            }
            assert_eq!(fs::read_link(export.join("current")).unwrap(), goal.join(one.as_str()));
            assert_eq!(fs::read(export.join("current/adapter_model.safetensors")).unwrap(), b"one");

            let missing = AdapterId::of(&Fingerprint::of(b"missing"));
            assert!(link.switch(Some(&missing)).is_err());
            assert_eq!(link.current().unwrap(), Some(one.clone()));
        }
        assert_eq!(astray(&state.path().join("export"), Some(&one)), None);
        assert!(astray(&state.path().join("export"), None).unwrap().contains("the champion is the base model"));
    }

    #[test]
    fn what_is_not_our_link_is_left_alone() {
        let state = TempDir::new().unwrap();
        let link = Link::new(state.path(), &state.path().join("adapters"));
        fs::write(state.path().join("current"), "mine").unwrap();
        assert!(matches!(link.switch(None), Err(PublishError::NotALink(_))));
        fs::remove_file(state.path().join("current")).unwrap();
        symlink("../../etc", state.path().join("current")).unwrap();
        assert!(matches!(link.switch(None), Err(PublishError::NotALink(_))));
    }
}
