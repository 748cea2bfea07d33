use perennial_types::{Fingerprint, Fingerprinter};

use super::{Past, PenaltyConfig, TrainConfig, TrainDevice};
use crate::adapter::{Adapter, AdapterError, Kind, LoraConfig};

/// What a run's name begins with, and the version of what follows it.
const NAME: &[u8] = b"perennial run 2";

/// What a run is called in its checkpoints.
#[derive(Clone, Copy)]
pub(super) struct Names {
    /// The fingerprint of all that its result depends on.
    pub(super) run: Fingerprint,
    /// What programs before there was a canonical form called it.
    pub(super) before: Option<Fingerprint>,
}

/// All that a run's result depends on, as bytes that stand for nothing else: every value is written with its name, by hand.
///
/// A key that is added later is to be written only where its value is not what earlier programs did without it, so that
/// a run which one of them began goes on.
pub(super) struct Canonical(Fingerprinter);

impl Canonical {
    /// Of a run by the objective of this name.
    pub(super) fn new(objective: &str) -> Self {
        Self(Fingerprinter::new().part(NAME).part(objective.as_bytes()))
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.0.finish()
    }

    pub(super) fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.0.add(name.as_bytes());
        self.0.add(bytes);
    }

    pub(super) fn real(&mut self, name: &str, value: f64) {
        self.bytes(name, &value.to_le_bytes());
    }

    pub(super) fn count(&mut self, name: &str, value: u64) {
        self.bytes(name, &value.to_le_bytes());
    }

    pub(super) fn flag(&mut self, name: &str, value: bool) {
        self.bytes(name, &[u8::from(value)]);
    }

    pub(super) fn word(&mut self, name: &str, value: &str) {
        self.bytes(name, value.as_bytes());
    }

    /// A value that need not be set: one that is not has no bytes.
    pub(super) fn optional<T>(&mut self, name: &str, value: Option<T>, write: impl FnOnce(&mut Self, &str, T)) {
        match value {
            Some(value) => write(self, name, value),
            None => self.bytes(name, &[]),
        }
    }

    pub(super) fn tokens(&mut self, name: &str, tokens: &[u32]) {
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
        self.bytes(name, &bytes);
    }

    /// By its own fingerprint; nothing where there is none.
    pub(super) fn adapter(&mut self, name: &str, adapter: Option<&Adapter>) -> Result<(), AdapterError> {
        match adapter {
            Some(adapter) => self.bytes(name, adapter.fingerprint()?.as_bytes()),
            None => self.bytes(name, &[]),
        }
        Ok(())
    }

    /// All of it but what changes no result: bounds of memory, and how often checkpoints are written.
    pub(super) fn train(&mut self, config: &TrainConfig) {
        let TrainConfig {
            lora,
            seed,
            batch_size,
            tokens_per_micro_batch,
            epochs,
            steps_max,
            learning_rate,
            schedule,
            warmup_ratio,
            weight_decay,
            beta1,
            beta2,
            epsilon,
            gradient_norm_max,
            device,
            memory_bytes_max: _,
            ema_decay,
            warmup_yields: _,
            eval_steps,
            early_stopping_patience,
            load_best_model_at_end,
            penalty,
            checkpoint_interval_steps: _,
        } = config;
        self.lora(lora);
        self.count("seed", *seed);
        self.count("batch_size", *batch_size as u64);
        self.count("tokens_per_micro_batch", *tokens_per_micro_batch as u64);
        self.real("epochs", *epochs);
        self.optional("steps_max", *steps_max, Self::count);
        self.real("learning_rate", *learning_rate);
        self.word("schedule", schedule.as_str());
        self.real("warmup_ratio", *warmup_ratio);
        self.real("weight_decay", *weight_decay);
        self.real("beta1", *beta1);
        self.real("beta2", *beta2);
        self.real("epsilon", *epsilon);
        self.real("gradient_norm_max", *gradient_norm_max);
        let device = match device {
            TrainDevice::Cpu => "cpu",
            TrainDevice::Cuda => "cuda",
            TrainDevice::CpuComposed => "cpu-composed",
        };
        self.word("device", device);
        if let Some(decay) = ema_decay {
            self.real("ema_decay", *decay);
        }
        // Where it only looks, validation changes nothing.
        if config.is_led_by_validation() {
            self.optional("eval_steps", *eval_steps, Self::count);
            self.optional("early_stopping_patience", *early_stopping_patience, Self::count);
            self.flag("load_best_model_at_end", *load_best_model_at_end);
        }
        self.penalty(penalty);
    }

    /// Those that are on. What is measured for later runs changes nothing in this one.
    fn penalty(&mut self, config: &PenaltyConfig) {
        let PenaltyConfig { l2_sp, ewc, orthogonal, distillation } = config;
        if l2_sp.weight > 0.0 {
            self.real("penalty.l2_sp.weight", l2_sp.weight);
        }
        if ewc.weight > 0.0 {
            self.real("penalty.ewc.weight", ewc.weight);
        }
        if orthogonal.weight > 0.0 {
            self.real("penalty.orthogonal.weight", orthogonal.weight);
        }
        if !distillation.is_off() {
            self.real("penalty.distillation.champion", distillation.champion);
            self.real("penalty.distillation.base", distillation.base);
        }
    }

    /// What penalties hold the run to, where one looks at it, and what AdamW begins with.
    pub(super) fn past(&mut self, past: Past<'_>, config: &TrainConfig) -> Result<(), AdapterError> {
        if config.penalty.holds_to_parameters() {
            self.adapter("penalty.champion", past.champion)?;
        }
        if let Some(fisher) = past.fisher.filter(|_| config.penalty.ewc.weight > 0.0) {
            self.bytes("penalty.fisher", fisher.fingerprint().as_bytes());
        }
        if past.frozen_rank > 0 {
            self.count("frozen_rank", past.frozen_rank as u64);
        }
        if let Some(optimizer) = past.optimizer {
            self.bytes("optimizer", optimizer.fingerprint().as_bytes());
        }
        Ok(())
    }

    fn lora(&mut self, config: &LoraConfig) {
        let LoraConfig { r, alpha, use_rslora, target_modules, kind } = config;
        self.count("lora.r", *r as u64);
        self.real("lora.alpha", *alpha);
        self.flag("lora.use_rslora", *use_rslora);
        let modules: Vec<&str> = target_modules.iter().map(|module| module.as_str()).collect();
        self.word("lora.target_modules", &modules.join(","));
        if *kind != Kind::default() {
            self.word("adapter.kind", kind.name());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Schedule, *};

    fn named(change: impl FnOnce(&mut TrainConfig)) -> String {
        let mut config = TrainConfig::default();
        change(&mut config);
        let mut canonical = Canonical::new("sft");
        canonical.train(&config);
        canonical.fingerprint().to_string()
    }

    #[test]
    fn names_stay_what_they_are() {
        assert_eq!(named(|_| ()), "0d3415030ff6f11189465256379d88439aaf9216452444eac7553e2e43fbb75a");
    }

    #[test]
    fn what_determines_the_result_is_in_the_name_and_nothing_else() {
        let plain = named(|_| ());
        assert_eq!(named(|config| config.memory_bytes_max = Some(1)), plain);
        assert_eq!(named(|config| config.checkpoint_interval_steps = 7), plain);
        assert_eq!(named(|config| config.eval_steps = Some(7)), plain);
        type Change = fn(&mut TrainConfig);
        let changes: [Change; 12] = [
            |config| config.lora.r = 8,
            |config| config.seed = 1,
            |config| config.steps_max = Some(1),
            |config| config.learning_rate = 1e-3,
            |config| config.schedule = Schedule::Cosine,
            |config| config.device = TrainDevice::CpuComposed,
            |config| config.early_stopping_patience = Some(2),
            |config| config.ema_decay = Some(0.9),
            |config| config.load_best_model_at_end = true,
            |config| config.penalty.l2_sp.weight = 0.1,
            |config| config.penalty.distillation.base = 0.1,
            |config| config.penalty.orthogonal.weight = 0.1,
        ];
        for change in changes {
            assert_ne!(named(change), plain);
        }
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::default()) {
            assert_ne!(named(|config| config.lora.kind = kind), plain);
        }
    }
}
