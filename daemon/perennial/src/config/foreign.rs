//! What keys are called elsewhere: by PEFT, TRL, transformers, axolotl and LLaMA-Factory.

/// Their name, and the key of the same meaning.
pub(super) const FOREIGN_NAMES: &[(&str, &str)] = &[
    ("base_model", "model.base"),
    ("model_name_or_path", "model.base"),
    ("dtype", "model.precision"),
    ("torch_dtype", "model.precision"),
    ("bf16", "model.precision"),
    ("val_set_size", "train.validation_fraction"),
    ("val_size", "train.validation_fraction"),
    ("validation_split", "train.validation_fraction"),
    ("eval_strategy", "train.eval_steps"),
    ("evaluation_strategy", "train.eval_steps"),
    ("validation_steps", "train.eval_steps"),
    ("early_stop_patience", "train.early_stopping_patience"),
    ("load_best_checkpoint", "train.load_best_model_at_end"),
    ("warmup_steps", "train.warmup_ratio"),
    ("lora_r", "train.r"),
    ("lora_rank", "train.r"),
    ("rank", "train.r"),
    ("lora_alpha", "train.alpha"),
    ("lr", "train.learning_rate"),
    ("lr_scheduler", "train.schedule"),
    ("lr_scheduler_type", "train.schedule"),
    ("num_epochs", "train.epochs"),
    ("num_train_epochs", "train.epochs"),
    ("max_steps", "train.steps_max"),
    ("train_batch_size", "train.batch_size"),
    ("per_device_train_batch_size", "train.batch_size"),
    ("cutoff_len", "train.max_length"),
    ("max_seq_len", "train.max_length"),
    ("max_seq_length", "train.max_length"),
    ("model_max_length", "train.max_length"),
    ("sequence_len", "train.max_length"),
    ("save_steps", "train.checkpoint_steps"),
    ("seed", "cycle.seed"),
    ("kl_coef", "grpo.beta"),
    ("max_new_tokens", "grpo.max_completion_length"),
];

/// The key that is called so elsewhere.
pub(super) fn own_name(foreign: &str) -> Option<&'static str> {
    FOREIGN_NAMES.iter().find(|(name, _)| *name == foreign).map(|(_, key)| *key)
}
