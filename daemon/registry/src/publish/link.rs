use std::{fs, io, os::unix::fs::symlink, path::Path};

use perennial_durable::{create_folder_durably, failpoint, sync_folder};
use perennial_types::AdapterId;

use super::{PublishError, error::io_error};

/// The link's name in the export folder.
const CURRENT: &str = "current";
/// Where the link points, seen from the export folder.
const ADAPTERS_FROM_EXPORT: &str = "../adapters";

/// Makes `export/current` lead to `../adapters/<id>`, or takes it away where the base model is in service. A reader sees
/// the old adapter or the new one, never neither. Where it leads there already, nothing is written.
///
/// # Errors
/// Where there is no such adapter folder, or something else than a link has the link's name.
pub(super) fn switch(export: &Path, adapter: Option<&AdapterId>) -> Result<(), PublishError> {
    create_folder_durably(export)?;
    if current(export)?.as_ref() == adapter {
        return Ok(());
    }
    let link = export.join(CURRENT);
    match adapter {
        None => {
            failpoint::hit("publish.switch").and_then(|()| fs::remove_file(&link)).map_err(io_error("remove", &link))?
        }
        Some(adapter) => {
            let goal = Path::new(ADAPTERS_FROM_EXPORT).join(adapter.as_str());
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

/// The adapter that `export/current` leads to; `None` where there is no link.
///
/// # Errors
/// Where something else has the link's name, or the link leads somewhere else.
pub fn current(export: &Path) -> Result<Option<AdapterId>, PublishError> {
    let link = export.join(CURRENT);
    let goal = match fs::read_link(&link) {
        Ok(goal) => goal,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(PublishError::NotALink(link)),
        Err(error) => return Err(io_error("read", &link)(error)),
    };
    let name = goal.strip_prefix(ADAPTERS_FROM_EXPORT).ok().and_then(Path::to_str);
    match name.and_then(|name| name.parse().ok()) {
        Some(adapter) => Ok(Some(adapter)),
        None => Err(PublishError::NotALink(link)),
    }
}

/// What production reads in place of the champion, in words; `None` where it reads the champion. Of both, `None` is the base
/// model alone.
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

    use super::{
        super::folder::{store_adapter, tests::trained},
        *,
    };

    #[test]
    fn current_is_switched_relatively_and_taken_away_for_the_base_model() {
        let (state, peft) = trained("one");
        let (adapters, export) = (state.path().join("adapters"), state.path().join("export"));
        let one = AdapterId::of(&store_adapter(&adapters, &peft).unwrap());
        fs::write(peft.join("adapter_model.safetensors"), "two").unwrap();
        let two = AdapterId::of(&store_adapter(&adapters, &peft).unwrap());
        fs::create_dir(&export).unwrap();
        symlink("nowhere", export.join(".current.tmp")).unwrap();

        assert_eq!(current(&export).unwrap(), None);
        for adapter in [Some(&one), Some(&two), Some(&two), None, None, Some(&one)] {
            switch(&export, adapter).unwrap();
            assert_eq!(current(&export).unwrap().as_ref(), adapter);
        }
        assert_eq!(fs::read_link(export.join("current")).unwrap(), Path::new("../adapters").join(one.as_str()));
        assert_eq!(fs::read(export.join("current/adapter_model.safetensors")).unwrap(), b"one");

        let missing = AdapterId::of(&Fingerprint::of(b"missing"));
        assert!(switch(&export, Some(&missing)).is_err());
        assert_eq!(current(&export).unwrap(), Some(one));
    }

    #[test]
    fn what_is_not_our_link_is_left_alone() {
        let state = TempDir::new().unwrap();
        fs::write(state.path().join("current"), "mine").unwrap();
        assert!(matches!(switch(state.path(), None), Err(PublishError::NotALink(_))));
        fs::remove_file(state.path().join("current")).unwrap();
        symlink("../../etc", state.path().join("current")).unwrap();
        assert!(matches!(switch(state.path(), None), Err(PublishError::NotALink(_))));
    }
}
