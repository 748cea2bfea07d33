//! What systemd hands over by `LoadCredential=`.

use std::path::{Path, PathBuf};

use perennial_publish::PathKey;

use super::{
    Config,
    place::{Origin, Origins},
};

/// Where systemd puts what `LoadCredential=` names …
pub(super) const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// … and the one among them that is `http.tokens_file` where the configuration names none.
pub(super) const TOKENS_CREDENTIAL: &str = "http-tokens";

/// … and what stands before a target's name in the one that is its secret.
const PUBLISH_CREDENTIAL: &str = "publish-";

/// What systemd hands over takes effect without a key, unless the key is set.
pub(super) fn take_credentials(config: &mut Config, origins: &mut Origins, environment: &[(String, String)]) {
    let Some((_, folder)) = environment.iter().find(|(name, _)| name == CREDENTIALS_VARIABLE) else { return };
    let mut take = |key: String, path: &mut Option<PathBuf>, credential: &str| {
        let file = Path::new(folder).join(credential);
        if path.is_none() && file.is_file() {
            *path = Some(file);
            origins.insert(key, Origin::Environment(CREDENTIALS_VARIABLE.to_owned()));
        }
    };
    take("http.tokens_file".to_owned(), &mut config.http.tokens_file, TOKENS_CREDENTIAL);
    for (at, target) in config.publish.iter_mut().enumerate() {
        let credential = format!("{PUBLISH_CREDENTIAL}{}", target.settings().name());
        for PathKey { key, path, .. } in target.settings_mut().paths().into_iter().filter(|key| key.is_secret) {
            take(format!("publish[{at}].{key}"), path, &credential);
        }
    }
}
