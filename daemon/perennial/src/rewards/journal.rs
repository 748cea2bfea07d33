//! What the plugins said in each generation: a line of `rewards.jsonl` in the cycle's folder, for the report.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use perennial_durable::AppendFile;
use perennial_reward::Statistics;
use serde::{Deserialize, Serialize};

/// One generation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The generation's seed. One that is drawn again after a crash says the same under the same seed.
    pub(crate) seed: u64,
    /// What each plugin said, by its name in the configuration.
    #[serde(flatten)]
    pub(crate) statistics: Statistics,
}

/// The file, open to be added to.
pub(crate) struct Journal(AppendFile);

impl Journal {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self(AppendFile::open(path, |line| serde_json::from_str::<Entry>(line).is_ok())?))
    }

    /// Durable when it returns: the checkpoint that follows may be the last thing before a power cut, and what the plugins
    /// said on the way to it is never said again.
    pub(crate) fn append(&mut self, entry: &Entry) -> anyhow::Result<()> {
        self.0.append(&serde_json::to_string(entry)?)?;
        Ok(self.0.sync()?)
    }
}

/// Every generation once, in order; empty where there is no file. A line that a crash cut off was written again.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Entry>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let mut entries: Vec<Entry> = Vec::new();
    for entry in text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok()) {
        match entries.iter_mut().find(|known| known.seed == entry.seed) {
            Some(known) => *known = entry,
            None => entries.push(entry),
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use perennial_reward::PluginStatistics;

    use super::*;

    #[test]
    fn a_generation_that_was_drawn_twice_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rewards.jsonl");
        assert_eq!(read(&path).unwrap(), []);
        let entry = |seed, fuel| {
            let statistics = PluginStatistics { fuel, ..PluginStatistics::default() };
            Entry { seed, statistics: Statistics { plugins: BTreeMap::from([("p".to_owned(), statistics)]) } }
        };
        let mut journal = Journal::open(&path).unwrap();
        journal.append(&entry(1, 5)).unwrap();
        fs::write(&path, [fs::read(&path).unwrap(), b"{\"seed\": 2, \"plu".to_vec()].concat()).unwrap();
        let mut journal = Journal::open(&path).unwrap();
        for again in [entry(1, 5), entry(2, 6)] {
            journal.append(&again).unwrap();
        }
        assert_eq!(read(&path).unwrap(), [entry(1, 5), entry(2, 6)]);
        let whole = fs::read_to_string(&path).unwrap();
        assert!(whole.lines().all(|line| serde_json::from_str::<Entry>(line).is_ok()), "nothing torn is left: {whole}");
    }
}
