//! What the plugins said in each generation: a line of `rewards.jsonl` in the cycle's folder, for the report.

use std::{collections::BTreeMap, fs, io, path::Path};

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
    /// The calls that met the deadline. What comes of a call depends on the machine then, so a generation that is drawn again
    /// does not make them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) timed_out: Vec<TimeOut>,
}

/// A call that met the deadline, and was left out of what was learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TimeOut {
    /// The group's place in its generation.
    pub(crate) group: usize,
    /// Who was asked, by the name in the configuration.
    pub(crate) plugin: String,
    /// What the operator reads.
    pub(crate) message: String,
}

/// The file, open to be added to, with the time-outs of the generations that are in it already.
pub(crate) struct Journal {
    file: AppendFile,
    timed_out: BTreeMap<u64, Vec<TimeOut>>,
}

impl Journal {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let timed_out = read(path)?.into_iter().map(|entry| (entry.seed, entry.timed_out)).collect();
        let file = AppendFile::open(path, |line| serde_json::from_str::<Entry>(line).is_ok())?;
        Ok(Self { file, timed_out })
    }

    /// Why a call of an earlier attempt at a generation met the deadline, where it did.
    pub(crate) fn timed_out(&self, seed: u64, group: usize, plugin: &str) -> Option<&str> {
        let time_outs = self.timed_out.get(&seed)?;
        let known = time_outs.iter().find(|known| known.group == group && known.plugin == plugin);
        known.map(|known| known.message.as_str())
    }

    /// Durable when it returns: the checkpoint that follows may be the last thing before a power cut, and what the plugins
    /// said on the way to it is never said again.
    pub(crate) fn append(&mut self, entry: &Entry) -> anyhow::Result<()> {
        self.file.append(&serde_json::to_string(entry)?)?;
        Ok(self.file.sync()?)
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
    use perennial_reward::PluginStatistics;

    use super::*;

    #[test]
    fn a_generation_that_was_drawn_twice_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rewards.jsonl");
        assert_eq!(read(&path).unwrap(), []);
        let entry = |seed, fuel| {
            let statistics = PluginStatistics { fuel, ..PluginStatistics::default() };
            let statistics = Statistics { plugins: BTreeMap::from([("p".to_owned(), statistics)]) };
            Entry { seed, statistics, timed_out: Vec::new() }
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

    #[test]
    fn a_call_that_met_the_deadline_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rewards.jsonl");
        let time_out = TimeOut { group: 1, plugin: "p".to_owned(), message: "too slow".to_owned() };
        let entry = Entry { seed: 7, timed_out: vec![time_out], ..Entry::default() };
        Journal::open(&path).unwrap().append(&entry).unwrap();
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.timed_out(7, 1, "p"), Some("too slow"));
        for (seed, group, plugin) in [(8, 1, "p"), (7, 0, "p"), (7, 1, "q")] {
            assert_eq!(journal.timed_out(seed, group, plugin), None);
        }
    }
}
