//! What an error means, by its type: one function a type, each complete, so that a new error has to be judged where it is
//! made.

use std::error::Error as StdError;

use perennial_data::mix::MixError;
use perennial_gate::{EvaluateError, SuiteError};
use perennial_learn::{
    adapter::{AdapterError, ShapeDifference},
    embed::EmbedError,
    generate::GenerateError,
    model::ModelError,
    tokenize::{EncodeError, TokenizerError},
    train::TrainError,
};
use perennial_registry::RegistryError;
use perennial_reward::{HostError, LoadError, PoolError, TooManyFaults};

use super::{Final, Panicked};
use crate::rollout_error::RolloutServerError;

/// What an error says of itself.
pub(super) enum Verdict {
    MayPass,
    Final(String),
    Panic,
}

/// `None` where the error's own cause tells more.
pub(super) fn verdict(error: &(dyn StdError + 'static)) -> Option<Verdict> {
    if let Some(Final { remedy, .. }) = error.downcast_ref() {
        return Some(Verdict::Final(remedy.clone()));
    }
    if error.is::<Panicked>() {
        return Some(Verdict::Panic);
    }
    let known = [
        error.downcast_ref().map(of_training),
        error.downcast_ref().map(of_adapter),
        error.downcast_ref().map(of_model),
        error.downcast_ref().map(of_encoding),
        error.downcast_ref::<TokenizerError>().map(|_| last(MODEL)),
        error.downcast_ref().map(of_generation),
        error.downcast_ref().map(of_embedding),
        error.downcast_ref().map(of_plugin),
        error.downcast_ref().map(of_server),
        error.downcast_ref().map(of_scoring),
        error.downcast_ref::<TooManyFaults>().map(|_| last(PLUGIN)),
        error.downcast_ref().map(of_sandbox),
        error.downcast_ref().map(of_mix),
        error.downcast_ref::<SuiteError>().map(|_| last("mend the suite, or take it out of [gate]")),
        error.downcast_ref().map(of_evaluation),
        error.downcast_ref().map(of_registry),
    ];
    known.into_iter().flatten().next().flatten()
}

const MODEL: &str = "mend the base model's files, or set model.base to another";
const PLUGIN: &str = "mend the plugin or its [[reward.plugin]], or raise reward.max_fault_ratio; the next cycle takes what is \
                      configured then";
const DEFECT: &str = "the cycle's files contradict themselves; the next cycle begins anew";

fn last(remedy: &str) -> Option<Verdict> {
    Some(Verdict::Final(remedy.to_owned()))
}

const MAY_PASS: Option<Verdict> = Some(Verdict::MayPass);

fn of_training(error: &TrainError) -> Option<Verdict> {
    match error {
        TrainError::Config { key, .. } => last(&format!("set train.{key} to what it must be")),
        TrainError::NoExamples
        | TrainError::NothingSupervised { .. }
        | TrainError::NoPrompts
        | TrainError::PromptLength { .. } => last(DEFECT),
        // Whoever draws and scores knows best.
        TrainError::Environment { .. } => None,
        TrainError::Rollouts { .. } | TrainError::Io { .. } | TrainError::Checkpoint(_) | TrainError::NoGpu(_) => {
            MAY_PASS
        }
        TrainError::OtherShape { differences, can_rebase } => last(&remedy_of_shape(differences, *can_rebase)),
        TrainError::NoLearningRate { .. } => {
            last("set train.warmup_ratio = 0, raise train.epochs, or wait for more samples")
        }
        TrainError::OtherRun { .. } | TrainError::Keys(_) => last(DEFECT),
        TrainError::TooManyTargets { .. } => last("lower cycle.samples_max or train.max_length"),
        TrainError::NotFinite { .. } => last(
            "lower train.learning_rate (or that of the [[train.stage]], or grpo.learning_rate), or train.max_grad_norm",
        ),
        TrainError::DamagedFisher { .. } => last("remove the file, or set train.penalty.ewc.weight = 0"),
        TrainError::DamagedOptimizer { .. } => last("remove the file, or set train.carry_optimizer = false"),
        TrainError::NotBuiltForCuda => last("set train.device = \"cpu\", or build with --features perennial/cuda"),
        TrainError::Adapter(error) => of_adapter(error),
        // Memory for the most part.
        TrainError::Tensors(_) => MAY_PASS,
    }
}

fn remedy_of_shape(differences: &[ShapeDifference], can_rebase: bool) -> String {
    let otherwise = match can_rebase {
        true => "keep what it learned with train.start = \"rebase\", or train afresh with train.start = \"fresh\"",
        false => "or train afresh with train.start = \"fresh\"",
    };
    // Which modules carry an adapter is no key of the configuration.
    if differences.iter().any(|difference| difference.key == "target_modules") {
        return otherwise.trim_start_matches("or ").to_owned();
    }
    let keys: Vec<String> =
        differences.iter().map(|found| format!("train.{} = {}", found.key, found.adapter)).collect();
    format!("set {}, {otherwise}", keys.join(" and "))
}

fn of_adapter(error: &AdapterError) -> Option<Verdict> {
    match error {
        AdapterError::Io { .. } | AdapterError::Tensors(_) => MAY_PASS,
        AdapterError::Config { .. }
        | AdapterError::Unsupported { .. }
        | AdapterError::Safetensors { .. }
        | AdapterError::Tensor { .. }
        | AdapterError::Mismatch(_) => {
            last("put another adapter in service (`perennial rollback`), or train afresh with train.start = \"fresh\"")
        }
        // Only a defect makes one by its model's shape alone where that is not enough.
        AdapterError::NeedsWeights { .. } => last(DEFECT),
        AdapterError::NotRebased { .. } => last(
            "set train.use_dora, train.r and train.alpha back to the champion's, or train afresh with train.start = \"fresh\"",
        ),
        AdapterError::NotCombined { .. } => last("set train.interpolate to [], or train.use_dora to false"),
        AdapterError::Invalid(_) => last("set train.r and train.alpha to numbers above 0"),
    }
}

fn of_model(error: &ModelError) -> Option<Verdict> {
    match error {
        // A disk that is not mounted looks like a model that is not there.
        ModelError::Io { .. } | ModelError::NotAModel { .. } | ModelError::Candle(_) => MAY_PASS,
        ModelError::Config { .. }
        | ModelError::Unsupported { .. }
        | ModelError::Tensor { .. }
        | ModelError::Tokenizer { .. } => last(MODEL),
    }
}

fn of_encoding(error: &EncodeError) -> Option<Verdict> {
    match error {
        EncodeError::NoChatTemplate => {
            last("set model.base to an instruct model, or send prompts and completions as text")
        }
        error if error.is_of_the_model() => last(MODEL),
        // These are of one sample, which costs that sample where it is met; here it was not.
        _ => last("take the sample out"),
    }
}

fn of_generation(error: &GenerateError) -> Option<Verdict> {
    match error {
        GenerateError::Option { option, .. } => last(&format!("set `{option}` to what it must be")),
        GenerateError::EmptyPrompt { .. } | GenerateError::TooLong { .. } => last("take the question out"),
        GenerateError::Tokenizer(_) => last(MODEL),
        GenerateError::Engine(_) | GenerateError::Candle(_) => MAY_PASS,
    }
}

fn of_embedding(error: &EmbedError) -> Option<Verdict> {
    match error {
        EmbedError::Layer { .. } => last("set replay.layer to a layer that the model has"),
        EmbedError::Tokenizer(_) => last(MODEL),
        EmbedError::Candle(_) => MAY_PASS,
    }
}

fn of_plugin(error: &LoadError) -> Option<Verdict> {
    if error.is_transient() { MAY_PASS } else { last(PLUGIN) }
}

fn of_server(error: &RolloutServerError) -> Option<Verdict> {
    if error.is_transient() {
        return MAY_PASS;
    }
    last("mend the rollout server, or its section [rollout.server], and begin a cycle anew")
}

fn of_scoring(error: &PoolError) -> Option<Verdict> {
    match error {
        PoolError::NoThread(_) => MAY_PASS,
        PoolError::Panicked { .. } => Some(Verdict::Panic),
    }
}

fn of_sandbox(error: &HostError) -> Option<Verdict> {
    match error {
        HostError::Option { .. } => last("mend [reward]"),
        HostError::Engine(_) | HostError::Cache { .. } => MAY_PASS,
    }
}

fn of_mix(error: &MixError) -> Option<Verdict> {
    match error {
        MixError::HeldOut { .. }
        | MixError::Missing(_)
        | MixError::Twice(_)
        | MixError::ReservedField(_)
        | MixError::Manifest { .. }
        | MixError::Fingerprint { .. } => last(DEFECT),
        MixError::Durable(_) | MixError::File(_) => MAY_PASS,
    }
}

fn of_evaluation(error: &EvaluateError) -> Option<Verdict> {
    match error {
        EvaluateError::Judge { .. } => None,
        EvaluateError::Count { .. } => last(DEFECT),
    }
}

fn of_registry(error: &RegistryError) -> Option<Verdict> {
    match error {
        RegistryError::Sqlite(_)
        | RegistryError::Open { .. }
        | RegistryError::Create { .. }
        | RegistryError::Foreign { .. }
        | RegistryError::Newer { .. } => MAY_PASS,
        RegistryError::ChampionChanged { .. } => last("nothing: the next cycle compares with the champion of then"),
        RegistryError::Json(_)
        | RegistryError::Invariant { .. }
        | RegistryError::DuplicateSample(_)
        | RegistryError::DuplicateSegment(_)
        | RegistryError::SegmentRows { .. }
        | RegistryError::NotFresh(_)
        | RegistryError::NotIndexable(_)
        | RegistryError::CycleOpen(_)
        | RegistryError::UnknownCycle(_)
        | RegistryError::CycleClosed(_)
        | RegistryError::WrongPhase { .. }
        | RegistryError::AlreadyPromoted(_)
        | RegistryError::NothingHeld(_)
        | RegistryError::Mismatch { .. }
        | RegistryError::UnknownAdapter(_)
        | RegistryError::AlreadyChampion(_)
        | RegistryError::NothingToRollBack
        | RegistryError::NotAnEarlierChampion(_)
        | RegistryError::NotRequeueable(..) => last(DEFECT),
    }
}
