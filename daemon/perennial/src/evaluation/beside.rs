//! Whether there is memory for a second base model beside the daemon's.

use std::{fs, path::Path};

use anyhow::bail;

/// What asking takes, as a multiple of the model's files: its weights, those of the kernels' own order, and what passes keep.
const ROOM_PER_FILE_BYTE: u64 = 3;

/// That the model can be loaded here while a cycle of the daemon works with it, too.
///
/// # Errors
/// Where less memory is free than it takes.
pub(crate) fn check_room(model: &Path) -> anyhow::Result<()> {
    let Some(free) = free_bytes() else { return Ok(()) };
    let needed = bytes(model).saturating_mul(ROOM_PER_FILE_BYTE);
    if free >= needed {
        return Ok(());
    }
    bail!(
        "a cycle is under way and {} MB of memory are free, where another copy of the base model takes about {} MB: wait for \
         the end of the cycle (`perennial status`)",
        free >> 20,
        needed >> 20
    )
}

/// What the system could hand out without swapping; `None` where it does not say.
fn free_bytes() -> Option<u64> {
    read_free(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn read_free(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// Of a file, or of the weights in a folder.
fn bytes(model: &Path) -> u64 {
    let of = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    if model.is_file() {
        return of(model);
    }
    let entries = fs::read_dir(model).into_iter().flatten().filter_map(Result::ok);
    let weights = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors" || extension == "gguf"));
    weights.map(|path| of(&path)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_the_system_tells_it() {
        let told = "MemTotal:       16303428 kB\nMemFree:          100 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(read_free(told), Some(2 << 20));
        assert_eq!(read_free("MemTotal: 1 kB"), None);
    }

    #[test]
    fn a_model_that_is_larger_than_all_memory_is_refused_by_its_size() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("huge.gguf");
        fs::File::create(&path).unwrap().set_len(1 << 43).unwrap();
        if free_bytes().is_some() {
            let refused = check_room(&path).unwrap_err().to_string();
            assert!(refused.contains("a cycle is under way"), "{refused}");
        }
        fs::write(root.path().join("small.safetensors"), "x").unwrap();
        fs::remove_file(path).unwrap();
        assert_eq!(bytes(root.path()), 1);
        check_room(root.path()).unwrap();
    }
}
