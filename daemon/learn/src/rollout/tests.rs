use perennial_kernels::{Precision, token_logprobs};

use super::{ActivationMemory, Rollout, RolloutOptions, rollouts};
use crate::{
    adapter::{Adapter, LoraConfig},
    generate::{Finish, GenerateError},
    model::{
        Architecture, Attention, Model, Rows, Workspace,
        testing::{moved, tiny_config, tiny_decoder, tiny_model},
    },
    train::{
        LossAndGradients, StopFlag, TrainDevice,
        grpo::{Completion, GrpoConfig, GrpoSample, grpo_loss_and_gradients},
    },
};

fn prompts() -> Vec<Vec<u32>> {
    vec![vec![1, 2, 3], (0..40).collect(), vec![70], vec![9, 9, 9, 9], vec![200, 100]]
}

fn options() -> RolloutOptions {
    RolloutOptions { num_generations: 4, max_completion_tokens: 24, seed: 5, ..RolloutOptions::default() }
}

fn run(model: &Model, prompts: &[Vec<u32>], options: &RolloutOptions) -> Vec<Rollout> {
    rollouts(model, None, prompts, options, &StopFlag::new(), &mut |_, _| {}).unwrap()
}

/// What a training pass says of a rollout's tokens.
fn training_logprobs(model: &Model, adapter: &Adapter, prompt: &[u32], rollout: &Rollout, t: f32) -> Vec<f32> {
    let sequence = [prompt, &rollout.tokens].concat();
    let (rows, cu_seqlens) = Rows::packed(&[&sequence]);
    let lora = adapter.to_weights(&model.decoder).unwrap();
    let attention = Attention::Packed(&cu_seqlens);
    let hidden = model.decoder.hidden(&rows, attention, Some(&lora), &mut Workspace::default()).unwrap();
    let predicting: Vec<u32> = (prompt.len() as u32 - 1..).take(rollout.tokens.len()).collect();
    let hidden = hidden.select(&predicting);
    token_logprobs(hidden.values(), model.decoder.head_weight(), t, &rollout.tokens).unwrap()
}

/// An adapter that changes something, unlike a fresh one.
fn adapter(model: &Model) -> Adapter {
    let config = LoraConfig { r: 4, ..LoraConfig::default() };
    let fresh = Adapter::init(&config, &model.config, 1).unwrap();
    moved(&fresh)
}

#[test]
fn a_rollout_depends_on_nothing_that_runs_beside_it() {
    let model = tiny_model(Architecture::Qwen3);
    for adapter in [None, Some(adapter(&model))] {
        let run = |prompts: &[Vec<u32>], options: RolloutOptions| {
            rollouts(&model, adapter.as_ref(), prompts, &options, &StopFlag::new(), &mut |_, _| {}).unwrap()
        };
        // More than go through the model at once.
        let many = RolloutOptions { num_generations: 16, max_completion_tokens: 12, ..options() };
        let alone = run(&prompts(), RolloutOptions { batch_max: 1, ..many.clone() });
        for batch_max in [2, 7, 32, 100] {
            assert_eq!(run(&prompts(), RolloutOptions { batch_max, ..many.clone() }), alone);
        }
        // Neither on how many others its prompt and the call have.
        let fewer = run(&prompts()[..2], RolloutOptions { num_generations: 2, ..many });
        assert_eq!(fewer, [&alone[..2], &alone[16..18]].concat());
    }
}

/// Memory for the activations of so many tokens.
fn memory(model: &Model, adapter: &Adapter, tokens: usize) -> ActivationMemory {
    let lora = adapter.to_weights(&model.decoder).unwrap();
    ActivationMemory::bounded((tokens * model.decoder.kept_row_bytes(&lora)) as u64)
}

#[test]
fn activations_are_those_of_the_first_rollouts_that_fit_whatever_runs_beside_them() {
    let model = tiny_model(Architecture::Qwen3);
    let adapter = adapter(&model);
    for tokens in [0, 30, 100, 250, 10_000] {
        let run = |batch_max: usize| {
            let activation_memory = memory(&model, &adapter, tokens);
            let options = RolloutOptions { batch_max, activation_memory, temperature: 2.0, ..options() };
            rollouts(&model, Some(&adapter), &prompts(), &options, &StopFlag::new(), &mut |_, _| {}).unwrap()
        };
        let alone = run(1);
        let mut rows = 0;
        for rollout in &alone {
            let prompt = prompts()[rollout.prompt].len();
            // The last token of a rollout goes through no pass.
            rows += if rollout.generation == 0 { prompt } else { 0 } + rollout.tokens.len() - 1;
            let kept = rollout.activations.as_ref().map(|kept| kept.tokens());
            assert_eq!(kept, (rows <= tokens).then(|| prompt + rollout.tokens.len() - 1), "{rows} of {tokens}");
        }
        for batch_max in [2, 7, 32] {
            assert_eq!(run(batch_max), alone);
        }
    }
    let options = RolloutOptions { activation_memory: memory(&model, &adapter, 10_000), ..options() };
    assert!(run(&model, &prompts(), &options).iter().all(|rollout| rollout.activations.is_none()));
}

#[test]
fn memory_is_used_again() {
    let model = tiny_model(Architecture::Llama);
    let adapter = adapter(&model);
    let activation_memory = memory(&model, &adapter, 10_000);
    let options = RolloutOptions { activation_memory: activation_memory.clone(), ..options() };
    let run = || rollouts(&model, Some(&adapter), &prompts(), &options, &StopFlag::new(), &mut |_, _| {}).unwrap();
    let first = run();
    assert_eq!(activation_memory.spare_rows(), 0);
    drop(first);
    let spare = activation_memory.spare_rows();
    assert!(spare > 100);
    let second = run();
    assert_eq!(activation_memory.spare_rows(), 0);
    drop(second);
    assert_eq!(activation_memory.spare_rows(), spare);
}

/// What a step of GRPO says of rollouts, with their activations or without.
fn step(model: &Model, adapter: &Adapter, samples: &[GrpoSample]) -> LossAndGradients {
    let config = GrpoConfig { num_generations: 4, temperature: 0.8, ..GrpoConfig::default() };
    grpo_loss_and_gradients(model, adapter, samples, &config, 64, TrainDevice::Cpu).unwrap().0
}

/// The relative distance of the gradients of two steps.
fn distance(one: &LossAndGradients, other: &LossAndGradients) -> f64 {
    let values = |step: &LossAndGradients| -> Vec<f32> {
        step.gradients.values().flat_map(|gradient| gradient.flatten_all().unwrap().to_vec1().unwrap()).collect()
    };
    let (one, other) = (values(one), values(other));
    let square = |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>();
    let difference = square(&mut one.iter().zip(&other).map(|(one, other)| one - other));
    (difference / square(&mut other.iter().copied())).sqrt()
}

#[test]
fn training_goes_back_through_what_rollouts_have_left_behind() {
    for architecture in [Architecture::Llama, Architecture::Qwen3, Architecture::SmolLm3, Architecture::Mistral] {
        for (precision, tolerance, of_logprobs) in [(Precision::F32, 1e-5, 1e-4), (Precision::Bf16, 5e-2, 1e-4)] {
            let decoder = tiny_decoder(&tiny_config(architecture), precision);
            let model = Model { decoder, ..tiny_model(architecture) };
            let adapter = adapter(&model);
            let draw = |adapter: &Adapter, tokens: usize| -> Vec<GrpoSample> {
                let options = RolloutOptions {
                    temperature: 0.8,
                    activation_memory: memory(&model, adapter, tokens),
                    ..options()
                };
                let drawn = rollouts(&model, Some(adapter), &prompts(), &options, &StopFlag::new(), &mut |_, _| {});
                let sample = |rollout: &Rollout| {
                    let advantage = (rollout.generation as f64) - 1.7;
                    GrpoSample::new(&prompts()[rollout.prompt], Completion::from(rollout), advantage)
                };
                drawn.unwrap().iter().map(sample).collect()
            };
            let without = step(&model, &adapter, &draw(&adapter, 0));
            for (tokens, all) in [(200, false), (10_000, true)] {
                let samples = draw(&adapter, tokens);
                assert!(samples[0].activations.is_some());
                assert_eq!(samples.iter().all(|sample| sample.activations.is_some()), all);
                let recalled = step(&model, &adapter, &samples);
                let off = distance(&recalled, &without);
                assert!(off < tolerance, "{architecture:?} {precision:?}: {off}");
                assert!((recalled.loss - without.loss).abs() < tolerance);
                let of_samples = samples.iter().zip(&recalled.logprobs);
                for (sample, logprobs) in of_samples.filter(|(sample, _)| sample.activations.is_some()) {
                    for (drawn, recalled) in sample.rollout_logprobs.iter().zip(logprobs) {
                        let off = (drawn - recalled).abs();
                        assert!(off < of_logprobs, "{architecture:?} {precision:?}: {drawn} {recalled}");
                    }
                }
            }
        }
    }
}

#[test]
fn activations_of_a_policy_that_is_no_more_are_not_gone_back_through() {
    let model = tiny_model(Architecture::Llama);
    let adapter = adapter(&model);
    let options = RolloutOptions { activation_memory: memory(&model, &adapter, 10_000), ..options() };
    let drawn = rollouts(&model, Some(&adapter), &prompts(), &options, &StopFlag::new(), &mut |_, _| {}).unwrap();
    let sample = |rollout: &Rollout| GrpoSample::new(&prompts()[rollout.prompt], Completion::from(rollout), 1.0);
    let recalled: Vec<GrpoSample> = drawn.iter().map(sample).collect();
    let old = |sample: GrpoSample| GrpoSample { old_logprobs: Some(sample.rollout_logprobs.clone()), ..sample };
    let older: Vec<GrpoSample> = recalled.iter().cloned().map(old).collect();
    let forgotten = |sample: GrpoSample| GrpoSample { activations: None, ..sample };
    let computed: Vec<GrpoSample> = older.iter().cloned().map(forgotten).collect();
    let fresh = Adapter::init(adapter.config(), &model.config, 1).unwrap();
    let now = step(&model, &fresh, &computed);
    assert_eq!(distance(&step(&model, &fresh, &older), &now), 0.0);
    // Which would not be so.
    assert!(distance(&step(&model, &fresh, &recalled), &now) > 0.1);
}

#[test]
fn rollouts_come_in_order_and_differ() {
    let model = tiny_model(Architecture::Llama);
    let all = run(&model, &prompts(), &options());
    let places: Vec<(usize, usize)> = all.iter().map(|rollout| (rollout.prompt, rollout.generation)).collect();
    assert_eq!(places, (0..5).flat_map(|prompt| (0..4).map(move |at| (prompt, at))).collect::<Vec<_>>());
    for group in all.chunks(4) {
        assert!(group.iter().skip(1).all(|rollout| rollout.tokens != group[0].tokens));
    }
    for rollout in &all {
        assert_eq!(rollout.logprobs.len(), rollout.tokens.len());
        assert_eq!(rollout.text, model.tokenizer.decode(&rollout.tokens).unwrap());
    }
}

#[test]
fn logprobs_are_those_of_a_training_pass() {
    for architecture in [Architecture::Llama, Architecture::Qwen3, Architecture::SmolLm3] {
        let model = tiny_model(architecture);
        let adapter = adapter(&model);
        for (temperature, top_k, top_p, min_p) in [(1.0, 0, 1.0, 0.0), (0.7, 40, 0.9, 0.02)] {
            let options = RolloutOptions { temperature, top_k, top_p, min_p, ..options() };
            let (stop, prompts) = (StopFlag::new(), prompts());
            for rollout in rollouts(&model, Some(&adapter), &prompts, &options, &stop, &mut |_, _| {}).unwrap() {
                let expected = training_logprobs(&model, &adapter, &prompts[rollout.prompt], &rollout, temperature);
                for (got, expected) in rollout.logprobs.iter().zip(expected) {
                    assert!((got - expected).abs() < 1e-4, "{got} {expected}");
                }
            }
        }
    }
}

#[test]
fn groups_are_given_out_whole_and_once() {
    let model = tiny_model(Architecture::Llama);
    let mut given: Vec<Vec<Rollout>> = vec![Vec::new(); 5];
    let options = RolloutOptions { batch_max: 3, ..options() };
    let all = rollouts(&model, None, &prompts(), &options, &StopFlag::new(), &mut |prompt, group| {
        assert!(given[prompt].is_empty() && group.iter().all(|rollout| rollout.finish != Finish::Interrupted));
        given[prompt] = group.to_vec();
    });
    assert_eq!(given.concat(), all.unwrap());
}

#[test]
fn a_stop_keeps_what_is_there() {
    let model = tiny_model(Architecture::Llama);
    let options = RolloutOptions { batch_max: 4, ..options() };
    let whole = run(&model, &prompts(), &options);
    let (stop, mut groups) = (StopFlag::new(), Vec::new());
    let stopped = rollouts(&model, None, &prompts(), &options, &stop, &mut |prompt, _| {
        groups.push(prompt);
        stop.raise();
    });
    let stopped = stopped.unwrap();
    assert_eq!(groups, [0]);
    assert_eq!(stopped[..4], whole[..4]);
    for (stopped, whole) in stopped.iter().zip(&whole) {
        assert!(whole.tokens.starts_with(&stopped.tokens));
        assert_eq!((stopped.prompt, stopped.generation), (whole.prompt, whole.generation));
    }
    assert!(stopped.last().unwrap().tokens.is_empty());
    assert_eq!(stopped.last().unwrap().finish, Finish::Interrupted);
}

#[test]
fn a_stop_text_is_in_the_tokens_and_not_in_the_text() {
    let model = tiny_model(Architecture::Llama);
    let free = run(&model, &prompts(), &options());
    let stop = free[0].text.chars().rfind(char::is_ascii_alphanumeric).unwrap().to_string();
    let stopped = run(&model, &prompts(), &RolloutOptions { stop: vec![stop.clone()], ..options() });
    assert_eq!(stopped[0].finish, Finish::StopText);
    for (free, stopped) in free.iter().zip(&stopped) {
        assert!(!stopped.text.contains(&stop) && free.tokens.starts_with(&stopped.tokens));
        if stopped.finish == Finish::StopText {
            assert_eq!(model.tokenizer.decode(&stopped.tokens).unwrap(), format!("{}{stop}", stopped.text));
        }
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let model = tiny_model(Architecture::Llama);
    for (option, options) in [
        ("num_generations", RolloutOptions { num_generations: 0, ..options() }),
        ("max_completion_tokens", RolloutOptions { max_completion_tokens: 0, ..options() }),
        ("temperature", RolloutOptions { temperature: 0.0, ..options() }),
        ("temperature", RolloutOptions { temperature: f32::NAN, ..options() }),
        ("min_p", RolloutOptions { min_p: 1.5, ..options() }),
        ("top_p", RolloutOptions { top_p: -0.5, ..options() }),
        ("batch_max", RolloutOptions { batch_max: 0, ..options() }),
    ] {
        let error = rollouts(&model, None, &prompts(), &options, &StopFlag::new(), &mut |_, _| {}).unwrap_err();
        assert!(matches!(error, GenerateError::Option { option: named, .. } if named == option), "{option}: {error}");
    }
    let error = rollouts(&model, None, &[vec![1], vec![]], &options(), &StopFlag::new(), &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, GenerateError::EmptyPrompt { index: 1 }));
}
