use std::{fs, io::Read as _, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Context as _, bail, ensure};
use axum::http::{HeaderMap, header};

use super::ApiError;

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Look at everything.
    Read,
    /// Send samples, and nothing else.
    Ingest,
    /// Everything: start cycles, promote, roll back, and what the other roles may.
    Operate,
}

impl Role {
    const ALL: [Self; 3] = [Self::Read, Self::Ingest, Self::Operate];

    /// The name in the file of tokens.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Ingest => "ingest",
            Self::Operate => "operate",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// Who sends a request, by what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    roles: Vec<Role>,
    /// Brought a token.
    is_known: bool,
}

impl Caller {
    /// Whoever comes through a door that asks for no token.
    pub(super) fn trusted() -> Self {
        Self { roles: vec![Role::Operate], is_known: true }
    }

    pub(super) fn may(&self, role: Role) -> bool {
        self.roles.iter().any(|own| *own == role || *own == Role::Operate)
    }

    /// Refuses a caller who may not act in this role.
    pub(super) fn must_be(&self, role: Role) -> Result<(), ApiError> {
        match (self.may(role), self.is_known) {
            (true, _) => Ok(()),
            (false, true) => Err(ApiError::forbidden(format!("this token has not the role `{}`", role.as_str()))),
            (false, false) => {
                let detail = format!("send a token with the role `{}`: Authorization: Bearer TOKEN", role.as_str());
                Err(ApiError::unauthorized(detail))
            }
        }
    }
}

/// The largest file of tokens, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The most tokens: each is compared with what a request brings.
const TOKENS_MAX: usize = 256;

/// A shorter token could be guessed.
const TOKEN_CHARS_MIN: usize = 20;

/// What stands before the blake3 hash of a token, in place of the token.
const HASH_PREFIX: &str = "blake3:";

/// The tokens that are taken, as hashes.
#[derive(Debug)]
pub(crate) struct Tokens {
    known: Vec<(blake3::Hash, Vec<Role>)>,
    /// A token with the role `operate`, where one is written out: for commands of whoever may read the file.
    operator: Option<String>,
}

impl Tokens {
    /// Reads a file of tokens: a line each, `ROLE[,ROLE…] TOKEN`, or `ROLE[,ROLE…] blake3:HEX` with the token's hash.
    ///
    /// # Errors
    /// Where the file cannot be read, can be read by everybody, or holds something else.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let file = fs::File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
        let metadata = file.metadata()?;
        ensure!(metadata.is_file(), "{} is no file", path.display());
        if metadata.mode() & 0o007 != 0 {
            bail!("{} can be used by everybody: `chmod o-rwx` it", path.display());
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).with_context(|| path.display().to_string())?;
        ensure!(text.len() as u64 <= FILE_BYTES_MAX, "{} is longer than {FILE_BYTES_MAX} bytes", path.display());
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut tokens = Self { known: Vec::new(), operator: None };
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                tokens.add(line).with_context(|| format!("line {}", at + 1))?;
            }
        }
        ensure!(!tokens.known.is_empty(), "there is no token in it: write lines such as `operate TOKEN`");
        ensure!(tokens.known.len() <= TOKENS_MAX, "there are more than {TOKENS_MAX} tokens in it");
        Ok(tokens)
    }

    fn add(&mut self, line: &str) -> anyhow::Result<()> {
        let Some((roles, token)) = line.split_once(char::is_whitespace) else {
            bail!("expected `ROLE[,ROLE…] TOKEN`");
        };
        // What stands in the wrong place may be a token, which is never told: this message goes to the log.
        let role = |name: &str| Role::named(name).context("what stands first is no role: read, ingest, operate");
        let roles: Vec<Role> = roles.split(',').map(role).collect::<anyhow::Result<_>>()?;
        let token = token.trim();
        let hash = match token.strip_prefix(HASH_PREFIX) {
            Some(hash) => {
                blake3::Hash::from_hex(hash).context("what stands behind `blake3:` is no hash of 64 digits")?
            }
            None => {
                let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
                ensure!(visible, "a token is letters, digits and signs of ASCII, without blanks");
                ensure!(token.len() >= TOKEN_CHARS_MIN, "a token has at least {TOKEN_CHARS_MIN} characters");
                blake3::hash(token.as_bytes())
            }
        };
        if roles.contains(&Role::Operate) && !token.starts_with(HASH_PREFIX) {
            self.operator.get_or_insert_with(|| token.to_owned());
        }
        self.known.push((hash, roles));
        Ok(())
    }

    /// A token that a command may send.
    pub(crate) fn operator(&self) -> Option<&str> {
        self.operator.as_deref()
    }

    /// Who sends these headers. Without a token they are nobody, who may do what is open to all.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(Caller { roles: Vec::new(), is_known: false }) };
        let token = value.to_str().ok().and_then(bearer).filter(|_| values.next().is_none());
        let Some(token) = token else {
            return Err(ApiError::unauthorized("the header must read `Authorization: Bearer TOKEN`, once"));
        };
        let given = blake3::hash(token.as_bytes());
        // Hashes are compared in constant time, and all of them, so that time tells nothing of any.
        let find = |found: Option<usize>, (at, (hash, _)): (usize, &(blake3::Hash, Vec<Role>))| match *hash == given {
            true => Some(at),
            false => found,
        };
        match self.known.iter().enumerate().fold(None, find) {
            Some(at) => Ok(Caller { roles: self.known[at].1.clone(), is_known: true }),
            None => Err(ApiError::unauthorized("this token is not known here")),
        }
    }
}

/// The token of an `Authorization` header, RFC 6750.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_matches(' ');
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case("bearer") && is_token).then_some(token)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use proptest::prelude::*;

    use super::*;

    const READ: &str = "read-read-read-read-read";
    const BOTH: &str = "both-both-both-both-both";
    const OPERATE: &str = "operate-operate-operate";

    fn tokens() -> Tokens {
        let hash = blake3::hash(OPERATE.as_bytes());
        Tokens::parse(&format!("# of the site\n\nread {READ}\nread,ingest\t{BOTH}\noperate blake3:{hash}\n")).unwrap()
    }

    fn caller(value: &str) -> Result<Caller, ApiError> {
        tokens().caller(&HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]))
    }

    fn roles(token: &str) -> Vec<Role> {
        let caller = caller(&format!("Bearer {token}")).unwrap();
        Role::ALL.into_iter().filter(|role| caller.may(*role)).collect()
    }

    #[test]
    fn a_token_may_what_its_roles_may() {
        assert_eq!(roles(READ), [Role::Read]);
        assert_eq!(roles(BOTH), [Role::Read, Role::Ingest]);
        assert_eq!(roles(OPERATE), Role::ALL);
        let nobody = tokens().caller(&HeaderMap::new()).unwrap();
        assert!(Role::ALL.into_iter().all(|role| nobody.must_be(role).is_err()));
    }

    #[test]
    fn anything_but_a_known_token_is_refused() {
        let hash = blake3::hash(OPERATE.as_bytes());
        for wrong in [
            format!("Bearer {READ}x"),
            format!("Bearer blake3:{hash}"),
            format!("Bearer {hash}"),
            format!("Basic {READ}"),
            READ.to_owned(),
            "Bearer ".to_owned(),
            format!("Bearer {READ} {READ}"),
        ] {
            assert!(caller(&wrong).is_err(), "{wrong}");
        }
        let mut twice = HeaderMap::new();
        twice.append(header::AUTHORIZATION, format!("Bearer {READ}").parse().unwrap());
        twice.append(header::AUTHORIZATION, format!("Bearer {OPERATE}").parse().unwrap());
        assert!(tokens().caller(&twice).is_err());
    }

    #[test]
    fn a_file_that_is_no_list_of_tokens_is_refused_without_telling_them() {
        for wrong in [
            "",
            "read",
            "read short",
            "rule the-whole-world-as-you-like",
            "read blake3:12",
            "read two tokens-of-some-length",
        ] {
            let error = format!("{:#}", Tokens::parse(wrong).unwrap_err());
            assert!(!error.contains("short") && !error.contains("world"), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(&path, format!("operate {OPERATE}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Tokens::read(&path).unwrap_err().to_string().contains("everybody"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(Tokens::read(&path).unwrap().operator(), Some(OPERATE));
    }

    proptest! {
        #[test]
        fn no_header_gets_a_role_by_chance(value in "[ -~]{0,80}") {
            if let Ok(caller) = caller(&value) {
                prop_assert!(Role::ALL.into_iter().all(|role| !caller.may(role)), "{}", value);
            }
        }
    }
}
