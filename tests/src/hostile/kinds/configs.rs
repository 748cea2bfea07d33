use super::super::{Input, Kind, random::Random};
use crate::repository;

/// Configurations that make no sense.
pub(in super::super) struct Configs;

const KEYS: [&str; 14] = [
    "train.learning_rate",
    "train.epochs",
    "train.r",
    "train.alpha",
    "train.max_length",
    "train.micro_batch_tokens",
    "reward.deadline_seconds",
    "reward.load_seconds_max",
    "reward.threads",
    "ingest.held_out_fraction",
    "cycle.samples_min",
    "resources.threads",
    "gate.confidence",
    "shutdown.stop_seconds",
];
const VALUES: [&str; 12] =
    ["nan", "inf", "-inf", "-1", "0", "1e308", "9223372036854775807", "-0.0", "\"\"", "[]", "{ a = 1 }", "1e-320"];

impl Kind for Configs {
    fn name(&self) -> &'static str {
        "configs"
    }

    fn input(&self, random: &mut Random) -> Input {
        if random.below(2) == 0 {
            let setting = format!("{}={}", random.pick(&KEYS), random.pick(&VALUES));
            return Input::Command {
                files: Vec::new(),
                arguments: vec!["--set".to_owned(), setting, "check".to_owned()],
            };
        }
        let sound = std::fs::read(repository().join("config/perennial.toml")).unwrap_or_default();
        let text = match random.below(5) {
            0 => "[".repeat(random.size(1, 100_000)).into_bytes(),
            1 => format!("a = {}", "[".repeat(random.size(1, 100_000))).into_bytes(),
            2 => format!("{}.a = 1", "a.".repeat(random.size(1, 20_000)).trim_end_matches('.')).into_bytes(),
            3 => random.bytes(4096),
            _ => random.damaged(&sound),
        };
        let files = vec![("perennial.toml".to_owned(), text)];
        Input::Command {
            files,
            arguments: ["--config", "{}/perennial.toml", "config", "dump"].map(str::to_owned).to_vec(),
        }
    }
}
