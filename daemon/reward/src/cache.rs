use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    hash::{Hash, Hasher},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use perennial_types::Fingerprint;
use wasmtime::Engine;

use crate::HostError;

/// The bytes of an entry's seal, at its start.
const SEAL_BYTES: usize = 32;
const ENTRY: &str = "cwasm";
const PARTIAL: &str = "partial";

/// Compiled plugins, so that each is compiled once for a machine and version of this program.
///
/// Compiled code is trusted like this program itself, so the folder must belong to this program's user, and nobody else may
/// write in it. An entry is named by the plugin's bytes and the engine, version and settings included, and sealed by a hash
/// keyed with that name: an entry that is damaged, cut short or in another's place is compiled again.
pub(crate) struct Cache {
    dir: PathBuf,
    bytes_max: u64,
    writes: AtomicU64,
}

/// Names an entry: of the plugin's bytes and everything of the engine that its code depends on.
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn of(engine: &Engine, plugin: &[u8]) -> Self {
        let mut hasher = EngineHasher(blake3::Hasher::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.0.update(Fingerprint::of(plugin).as_bytes());
        Self(*hasher.0.finalize().as_bytes())
    }

    fn seal(&self, code: &[u8]) -> [u8; SEAL_BYTES] {
        *blake3::keyed_hash(&self.0, code).as_bytes()
    }
}

impl Cache {
    /// Opens the folder, and makes it if it is missing.
    ///
    /// # Errors
    /// Where it cannot be made, or someone else may write in it.
    pub(crate) fn open(dir: &Path, bytes_max: u64) -> Result<Self, HostError> {
        let refuse = |problem: String| HostError::Cache { path: dir.to_owned(), problem };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| refuse(format!("cannot be made: {error}")))?;
        let metadata = fs::symlink_metadata(dir).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        if !metadata.is_dir() {
            return Err(refuse("is a link or a file; name a folder".to_owned()));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(refuse(format!(
                "others may write in it (mode {:o}), and what it holds is run as this program's own code; take the right \
                 away with `chmod 700`, and empty it",
                metadata.mode() & 0o777
            )));
        }
        let cache = Self { dir: dir.to_owned(), bytes_max, writes: AtomicU64::new(0) };
        let owner = cache.own_id().map_err(|error| refuse(format!("cannot be written: {error}")))?;
        if owner != metadata.uid() {
            return Err(refuse(format!(
                "belongs to user {}, this program runs as {owner}; name a folder of its own",
                metadata.uid()
            )));
        }
        Ok(cache)
    }

    /// The compiled component's code, if there is a sound entry.
    pub(crate) fn get(&self, key: &Key) -> Option<Vec<u8>> {
        let path = self.path(key);
        let mut entry = fs::read(&path).ok()?;
        let (seal, code) = entry.split_at_checked(SEAL_BYTES)?;
        if seal != key.seal(code) {
            return None;
        }
        // The times tell which entries are in use; without them the wrong one may be dropped, which costs a compilation.
        let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        entry.drain(..SEAL_BYTES);
        Some(entry)
    }

    /// Keeps the code of a compiled component.
    ///
    /// # Errors
    /// Where it cannot be written: the next load compiles again.
    pub(crate) fn put(&self, key: &Key, code: &[u8]) -> io::Result<()> {
        let partial = self.partial();
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        let written = file.write_all(&key.seal(code)).and_then(|()| file.write_all(code));
        // No fsync: what a crash cuts short, the seal finds out.
        written.and_then(|()| fs::rename(&partial, self.path(key))).inspect_err(|_| {
            let _ = fs::remove_file(&partial);
        })?;
        self.prune()
    }

    /// Drops the entries that were not used for longest, and what crashes left, until the folder is within its size.
    fn prune(&self) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let known = path.extension().is_some_and(|extension| extension == ENTRY || extension == PARTIAL);
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if known && metadata.is_file() {
                entries.push((metadata.modified()?, path, metadata.len()));
            }
        }
        entries.sort();
        let mut bytes: u64 = entries.iter().map(|(_, _, bytes)| bytes).sum();
        for (_, path, size) in entries {
            if bytes <= self.bytes_max {
                break;
            }
            fs::remove_file(path)?;
            bytes -= size;
        }
        Ok(())
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.dir.join(format!("{}.{ENTRY}", Fingerprint::from_bytes(key.0)))
    }

    fn partial(&self) -> PathBuf {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        self.dir.join(format!("{}-{number}.{PARTIAL}", std::process::id()))
    }

    /// The user that this program runs as: the owner of a file that it makes.
    fn own_id(&self) -> io::Result<u32> {
        let probe = self.partial();
        let _ = fs::remove_file(&probe);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&probe)?;
        let owner = file.metadata()?.uid();
        fs::remove_file(&probe)?;
        Ok(owner)
    }
}

/// Feeds what implements [`Hash`] to blake3.
struct EngineHasher(blake3::Hasher);

impl Hasher for EngineHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let mut head = [0; 8];
        head.copy_from_slice(&self.0.finalize().as_bytes()[..8]);
        u64::from_le_bytes(head)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn entry(dir: &Path) -> PathBuf {
        let paths: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(paths.len(), 1, "{paths:?}");
        paths[0].clone()
    }

    #[test]
    fn keeps_what_was_compiled_and_nothing_that_was_touched() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let cache = Cache::open(&dir.path().join("cache"), 1 << 20).unwrap();
        let key = Key::of(&engine, EMPTY);
        assert_eq!(cache.get(&key), None);
        cache.put(&key, b"what was compiled").unwrap();
        assert_eq!(cache.get(&key).unwrap(), b"what was compiled");
        assert_eq!(cache.get(&Key::of(&engine, b"another")), None);

        let path = entry(&cache.dir);
        let sound = fs::read(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        for at in [0, SEAL_BYTES, sound.len() / 2, sound.len() - 1] {
            let mut damaged = sound.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).unwrap();
            assert_eq!(cache.get(&key), None, "a flipped bit at byte {at}");
        }
        for length in [0, SEAL_BYTES - 1, SEAL_BYTES, sound.len() - 1] {
            fs::write(&path, &sound[..length]).unwrap();
            assert_eq!(cache.get(&key), None, "cut to {length} bytes");
        }
    }

    #[test]
    fn another_engine_has_other_entries() {
        let plain = Engine::default();
        let fuelled = Engine::new(wasmtime::Config::new().consume_fuel(true)).unwrap();
        assert_ne!(Key::of(&plain, EMPTY).0, Key::of(&fuelled, EMPTY).0);
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
        let error = Cache::open(dir.path(), 1).err().unwrap().to_string();
        assert!(error.contains("others may write in it (mode 770)") && error.contains("chmod 700"), "{error}");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(Cache::open(&link, 1).err().unwrap().to_string().contains("is a link"));
        let made = dir.path().join("made");
        Cache::open(&made, 1).unwrap();
        assert_eq!(fs::metadata(made).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn the_oldest_entries_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache"), 25).unwrap();
        let start = SystemTime::UNIX_EPOCH;
        for (seconds, name) in [(3, "c.cwasm"), (1, "a.cwasm"), (2, "b.partial"), (0, "other")] {
            fs::write(cache.dir.join(name), [0; 10]).unwrap();
            let time = start + std::time::Duration::from_secs(seconds);
            File::open(cache.dir.join(name)).unwrap().set_modified(time).unwrap();
        }
        cache.prune().unwrap();
        let mut left: Vec<String> =
            fs::read_dir(&cache.dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["b.partial", "c.cwasm", "other"]);
    }
}
