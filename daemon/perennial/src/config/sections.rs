//! The sections of `config/perennial.toml`, which documents every key; here stand their types and defaults.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use perennial_learn::{
    adapter::{Kind, LoraConfig},
    train::{LossWeighting, PenaltyConfig, Schedule, grpo::GrpoConfig},
};
use perennial_publish::TargetConfig;
use serde::{Deserialize, Serialize};

use super::{
    Drift, Gate, Ingest, Isa, Listen, Objective, Precision, Promotion, Replay, Reward, Rollout, Slow, SocketMode,
    Start, TrainDevice, TrainStage, Trigger,
};

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) state: State,
    pub(crate) model: Model,
    pub(crate) ingest: Ingest,
    pub(crate) replay: Replay,
    pub(crate) cycle: Cycle,
    pub(crate) train: Train,
    pub(crate) grpo: GrpoConfig,
    pub(crate) rollout: Rollout,
    pub(crate) reward: Reward,
    pub(crate) gate: Gate,
    pub(crate) promotion: Promotion,
    pub(crate) drift: Drift,
    pub(crate) trigger: Trigger,
    /// The folder in the state directory alone where it is empty.
    pub(crate) publish: Vec<TargetConfig>,
    pub(crate) http: Http,
    pub(crate) resources: Resources,
    pub(crate) log: Log,
    pub(crate) shutdown: Shutdown,
}

/// `[state]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct State {
    pub(crate) dir: PathBuf,
}

impl Default for State {
    fn default() -> Self {
        Self { dir: PathBuf::from("/var/lib/perennial") }
    }
}

/// `[model]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Model {
    /// A pulled model's name, or the path of a Hugging Face folder or a GGUF file.
    pub(crate) base: String,
    pub(crate) cache: Option<PathBuf>,
    pub(crate) precision: Precision,
}

impl Default for Model {
    fn default() -> Self {
        Self { base: "smollm2-135m-instruct".to_owned(), cache: None, precision: Precision::Auto }
    }
}

impl Model {
    /// The path that `base` is, where it is one: a name has no slash in it.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.base.contains('/').then(|| Path::new(&self.base))
    }
}

/// `[cycle]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cycle {
    pub(crate) samples_min: u64,
    pub(crate) age_max_seconds: u64,
    pub(crate) age_samples_min: u64,
    pub(crate) samples_max: u64,
    pub(crate) seed: u64,
    pub(crate) keep: u64,
    pub(crate) attempts_max: u32,
    pub(crate) requeue_max: u32,
    pub(crate) adapters_keep: u64,
    pub(crate) twin_similarity: f64,
}

impl Default for Cycle {
    fn default() -> Self {
        Self {
            samples_min: 200,
            age_max_seconds: 86_400,
            age_samples_min: 20,
            samples_max: 5_000,
            seed: 0,
            keep: 10,
            attempts_max: 8,
            requeue_max: 2,
            adapters_keep: 20,
            twin_similarity: 0.995,
        }
    }
}

/// `[train]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Train {
    pub(crate) objectives: Vec<Objective>,
    pub(crate) start: Start,
    pub(crate) r: usize,
    pub(crate) alpha: f64,
    pub(crate) use_rslora: bool,
    pub(crate) use_dora: bool,
    pub(crate) learning_rate: f64,
    pub(crate) schedule: Schedule,
    /// Unset: as long as suits what a candidate starts from.
    pub(crate) warmup_ratio: Option<f64>,
    pub(crate) epochs: f64,
    pub(crate) steps_max: Option<u64>,
    pub(crate) batch_size: usize,
    pub(crate) micro_batch_tokens: usize,
    pub(crate) device: TrainDevice,
    pub(crate) memory_bytes_max: Option<u64>,
    pub(crate) max_length: usize,
    pub(crate) weight_decay: f64,
    pub(crate) max_grad_norm: f64,
    pub(crate) checkpoint_steps: u64,
    pub(crate) loss_weighting: LossWeighting,
    pub(crate) ema_decay: Option<f64>,
    pub(crate) carry_optimizer: bool,
    pub(crate) validation_fraction: f64,
    pub(crate) eval_steps: Option<u64>,
    pub(crate) early_stopping_patience: Option<u64>,
    pub(crate) load_best_model_at_end: bool,
    /// Shares of the way from the champion to what was trained; none: all of it.
    pub(crate) interpolate: Vec<f64>,
    /// `[train.slow]`
    pub(crate) slow: Slow,
    /// `[train.penalty]`
    pub(crate) penalty: PenaltyConfig,
    /// `[[train.stage]]`; stands above `objectives` and what goes with them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) stage: Vec<TrainStage>,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            objectives: vec![Objective::default()],
            start: Start::Champion,
            r: 16,
            alpha: 32.0,
            use_rslora: false,
            use_dora: false,
            learning_rate: 2e-4,
            schedule: Schedule::Linear,
            warmup_ratio: None,
            epochs: 1.0,
            steps_max: None,
            batch_size: 8,
            micro_batch_tokens: 2048,
            device: TrainDevice::Cpu,
            memory_bytes_max: None,
            max_length: 1024,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            checkpoint_steps: 10,
            loss_weighting: LossWeighting::default(),
            ema_decay: None,
            carry_optimizer: false,
            validation_fraction: 0.0,
            eval_steps: None,
            early_stopping_patience: None,
            load_best_model_at_end: false,
            interpolate: vec![0.25, 0.5, 0.75, 1.0],
            slow: Slow::default(),
            penalty: PenaltyConfig::default(),
            stage: Vec::new(),
        }
    }
}

impl Train {
    /// The shape of a fresh adapter.
    pub(crate) fn lora(&self) -> LoraConfig {
        let kind = if self.use_dora { Kind::DORA } else { Kind::LORA };
        LoraConfig { r: self.r, alpha: self.alpha, use_rslora: self.use_rslora, kind, ..LoraConfig::default() }
    }

    /// The largest shape that is trained: a pair beside the champion makes it twice the rank.
    pub(crate) fn lora_in_training(&self) -> LoraConfig {
        let beside = if self.penalty.orthogonal.weight > 0.0 { 2 } else { 1 };
        LoraConfig { r: self.r.saturating_mul(beside), ..self.lora() }
    }
}

/// `[http]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Http {
    pub(crate) listen: Listen,
    pub(crate) socket_mode: SocketMode,
    /// Callers over TCP need no token where it is unset.
    pub(crate) tokens_file: Option<PathBuf>,
    pub(crate) body_bytes_max: usize,
    pub(crate) header_seconds: u64,
    pub(crate) body_seconds: u64,
    pub(crate) connections_max: usize,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 7411))),
            socket_mode: SocketMode(0o660),
            tokens_file: None,
            body_bytes_max: 32 << 20,
            header_seconds: 10,
            body_seconds: 120,
            connections_max: 128,
        }
    }
}

/// `[resources]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Resources {
    /// 0: as many as the process may use.
    pub(crate) threads: usize,
    /// Those that calculating threads keep to; none: all that the process may use.
    pub(crate) cpus: Vec<usize>,
    pub(crate) isa: Isa,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    pub(crate) level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: "info".to_owned() }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// Text in a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// `[shutdown]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Shutdown {
    pub(crate) stop_seconds: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { stop_seconds: 60 }
    }
}
