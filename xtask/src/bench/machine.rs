use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

/// Instruction sets that make a difference here, as `/proc/cpuinfo` calls them, the best last.
const INSTRUCTION_SETS: [&str; 7] = ["avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"];

/// More cores than this kept busy by others is no quiet machine.
pub(super) const CORES_OF_OTHERS_MAX: f64 = 0.1;
/// How long a look at the machine takes, before a contender runs.
const LOOK: Duration = Duration::from_secs(1);

/// Ticks of `/proc/stat` in a second, wherever Linux runs.
const TICKS_PER_SECOND: f64 = 100.0;

/// What was measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) instruction_sets: Vec<String>,
}

impl Machine {
    /// What Linux says of this machine.
    pub(crate) fn read() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim())
        };
        let flags: Vec<&str> = field("flags").unwrap_or_default().split(' ').collect();
        let sets = INSTRUCTION_SETS.iter().filter(|set| flags.contains(set));
        Self {
            cpu: field("model name").unwrap_or("unknown").to_owned(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory_bytes().unwrap_or(0),
            instruction_sets: sets.map(|set| (*set).to_owned()).collect(),
        }
    }

    pub(super) fn has(&self, instruction_set: &str) -> bool {
        self.instruction_sets.iter().any(|set| set == instruction_set)
    }

    /// The name of the folder that its results are kept in.
    pub(super) fn slug(&self) -> String {
        let best = self.instruction_sets.last().map_or("", String::as_str);
        let text = format!("{} {} cores {best}", self.cpu, self.cores).to_lowercase();
        let words = text.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("-")
    }

    /// In one line.
    pub(crate) fn describe(&self) -> String {
        let gib = (self.memory_bytes as f64 / f64::from(1 << 30)).round();
        format!("{}, {} cores, {gib} GiB, {}", self.cpu, self.cores, self.instruction_sets.join(" "))
    }
}

fn memory_bytes() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 =
        meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

/// The mean number of runnable processes in the last minute.
pub(super) fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// Processor seconds that are through.
#[derive(Clone, Copy)]
pub(super) struct Busy {
    all: f64,
    /// Of this process and of those that it started and waited for.
    own: f64,
}

impl Busy {
    pub(super) fn now() -> Option<Self> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let of_all: Vec<f64> = numbers(stat.lines().next()?.strip_prefix("cpu")?);
        // user, nice, system, irq, softirq, steal: all but idle, iowait and the guests, which are in user already.
        let all = [0, 1, 2, 5, 6, 7].iter().map(|field| of_all.get(*field)).sum::<Option<f64>>()?;
        let own = ticks_of(&fs::read_to_string("/proc/self/stat").ok()?)?;
        Some(Self { all: all / TICKS_PER_SECOND, own: own / TICKS_PER_SECOND })
    }

    /// How many cores others kept busy since then.
    pub(super) fn others_since(self, then: Self, seconds: f64) -> f64 {
        (((self.all - then.all) - (self.own - then.own)) / seconds).max(0.0)
    }
}

/// What a process and those that it waited for have used, by the text of its `stat`: utime, stime, cutime and cstime of
/// proc_pid_stat(5), fields 14 to 17, two of which stand before the parenthesis.
fn ticks_of(stat: &str) -> Option<f64> {
    Some(numbers(stat.rsplit_once(')')?.1).get(11..15)?.iter().sum())
}

/// Waits until others leave the machine in peace, for at most so long. Gives whether they do.
pub(super) fn wait_until_quiet(limit: Duration) -> bool {
    let start = Instant::now();
    loop {
        let before = Busy::now();
        thread::sleep(LOOK);
        let others = before.zip(Busy::now()).map(|(before, after)| after.others_since(before, LOOK.as_secs_f64()));
        // Where nothing can be known, nothing is waited for.
        if others.is_none_or(|others| others <= CORES_OF_OTHERS_MAX) {
            return true;
        }
        if start.elapsed() >= limit {
            return false;
        }
    }
}

/// The numbers in a text; what is none counts as 0.
fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace().map(|word| word.parse().unwrap_or(0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_named_by_what_matters() {
        let machine = Machine {
            cpu: "AMD EPYC (Zen 4)".to_owned(),
            cores: 2,
            memory_bytes: 24 << 30,
            instruction_sets: vec!["avx2".to_owned(), "avx512_bf16".to_owned()],
        };
        assert_eq!(machine.slug(), "amd-epyc-zen-4-2-cores-avx512-bf16");
        assert_eq!(machine.describe(), "AMD EPYC (Zen 4), 2 cores, 24 GiB, avx2 avx512_bf16");
        assert!(machine.has("avx2") && !machine.has("amx_bf16"));
    }

    #[test]
    fn what_others_use_is_what_is_not_ours() {
        let (then, now) = (Busy { all: 10.0, own: 4.0 }, Busy { all: 25.0, own: 14.0 });
        assert_eq!(now.others_since(then, 10.0), 0.5);
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4 5 6 0 9 100 20 3 1 20 0 1 0 99";
        assert_eq!(ticks_of(stat), Some(124.0));
        assert_eq!(ticks_of("7 (cut short"), None);
    }
}
