use std::path::Path;

use perennial_publish::PathKey;

use super::{
    Config, Listen,
    place::{Origin, Origins},
};

/// Relative paths of the file are relative to the file; those of the environment and flags to the working directory.
pub(super) fn resolve_paths(config: &mut Config, origins: &Origins, file_folder: &Path, working_directory: &Path) {
    let resolve = |key: &str, path: &Path| match origins.get(key) {
        Some(Origin::File { .. }) => file_folder.join(path),
        _ => working_directory.join(path),
    };
    config.state.dir = resolve("state.dir", &config.state.dir);
    config.model.cache = config.model.cache.take().map(|path| resolve("model.cache", &path));
    config.http.tokens_file = config.http.tokens_file.take().map(|path| resolve("http.tokens_file", &path));
    if let Listen::Unix(path) = &config.http.listen {
        config.http.listen = Listen::Unix(resolve("http.listen", path));
    }
    config.ingest.inbox = config.ingest.inbox.take().map(|path| resolve("ingest.inbox", &path));
    let base_answers = &mut config.replay.base_answers;
    base_answers.file = base_answers.file.take().map(|path| resolve("replay.base_answers.file", &path));
    if let Some(path) = config.model.path() {
        config.model.base = resolve("model.base", path).to_string_lossy().into_owned();
    }
    for (at, suite) in config.gate.suite.iter_mut().enumerate() {
        suite.file = resolve(&format!("gate.suite[{at}].file"), &suite.file);
    }
    if let Some(server) = &mut config.rollout.server {
        server.adapter_dir = server.adapter_dir.take().map(|dir| resolve("rollout.server.adapter_dir", &dir));
    }
    for (at, target) in config.publish.iter_mut().enumerate() {
        for PathKey { key, path, .. } in target.settings_mut().paths() {
            *path = path.take().map(|path| resolve(&format!("publish[{at}].{key}"), &path));
        }
    }
    for (at, plugin) in config.reward.plugin.iter_mut().enumerate() {
        plugin.file = resolve(&format!("reward.plugin[{at}].file"), &plugin.file);
    }
}
