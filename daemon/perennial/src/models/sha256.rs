use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::{Context as _, bail};
use sha2::{Digest, Sha256};

use super::known::PinnedFile;

const CHUNK_BYTES: usize = 1 << 20;

/// The SHA-256 of a file, in lower-case hexadecimal.
pub(super) fn of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => hasher.update(&chunk[..read]),
        }
    }
}

/// Checks that a file is the pinned one. One that is not is removed, so that the next try starts afresh.
pub(super) fn check(path: &Path, pinned: &PinnedFile) -> anyhow::Result<()> {
    let found = of_file(path).with_context(|| format!("{} cannot be read", path.display()))?;
    if found == pinned.sha256 {
        return Ok(());
    }
    std::fs::remove_file(path).with_context(|| format!("{} cannot be removed", path.display()))?;
    bail!(
        "{} has the SHA-256 {found}, not {}: it was damaged or replaced on its way, and was removed",
        pinned.name,
        pinned.sha256
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn pinned_file_stays_and_any_other_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let pinned = PinnedFile { name: "weights", bytes: 0, sha256: EMPTY };
        std::fs::write(&path, b"").unwrap();
        check(&path, &pinned).unwrap();
        std::fs::write(&path, b"x").unwrap();
        assert!(check(&path, &pinned).unwrap_err().to_string().contains(EMPTY));
        assert!(!path.exists());
    }
}
