use std::{fs, path::Path};

use anyhow::{Context as _, ensure};

use crate::http::Tokens;

/// The token that commands send.
const TOKEN_VARIABLE: &str = "PERENNIAL_TOKEN";

/// A file with that token and nothing else.
const TOKEN_FILE_VARIABLE: &str = "PERENNIAL_TOKEN_FILE";

/// The token that a command shows a daemon: of the environment, else one with the role `operate` of the daemon's own file,
/// where this user may read it. None where there is none, which a daemon that asks for none does not mind.
///
/// # Errors
/// Where the file that the environment names cannot be read.
pub(super) fn find(environment: &[(String, String)], tokens_file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let variable = |wanted: &str| environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    if let Some(token) = variable(TOKEN_VARIABLE) {
        return one(token, TOKEN_VARIABLE).map(Some);
    }
    if let Some(path) = variable(TOKEN_FILE_VARIABLE) {
        let text = fs::read_to_string(path).with_context(|| format!("{TOKEN_FILE_VARIABLE}: {path} cannot be read"))?;
        return one(&text, path).map(Some);
    }
    let tokens = tokens_file.and_then(|path| Tokens::read(path).ok());
    Ok(tokens.and_then(|tokens| tokens.operator().map(str::to_owned)))
}

fn one(text: &str, place: &str) -> anyhow::Result<String> {
    let token = text.trim();
    ensure!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()), "{place} holds no single token");
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_environment_goes_before_the_daemons_own_file() {
        let folder = tempfile::tempdir().unwrap();
        let (own, alone) = (folder.path().join("tokens"), folder.path().join("token"));
        fs::write(&own, "read look-look-look-look-look\noperate do-do-do-do-do-do-do-do\n").unwrap();
        fs::set_permissions(&own, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&alone, "from-a-file\n").unwrap();
        let mut environment = Vec::new();
        assert_eq!(find(&environment, None).unwrap(), None);
        assert_eq!(find(&environment, Some(&own)).unwrap().as_deref(), Some("do-do-do-do-do-do-do-do"));
        environment.push((TOKEN_FILE_VARIABLE.to_owned(), alone.display().to_string()));
        assert_eq!(find(&environment, Some(&own)).unwrap().as_deref(), Some("from-a-file"));
        environment.push((TOKEN_VARIABLE.to_owned(), "from-the-environment".to_owned()));
        assert_eq!(find(&environment, Some(&own)).unwrap().as_deref(), Some("from-the-environment"));
        assert!(find(&[(TOKEN_VARIABLE.to_owned(), "two tokens".to_owned())], None).is_err());
    }
}
