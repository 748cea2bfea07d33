use super::{
    Environment, GrpoConfig, GrpoPrompt, GrpoSample, RolloutStats, ScoredGroup,
    advantages::{advantages, varies},
    prompts::PromptOrder,
};
use crate::{
    adapter::Adapter,
    model::Model,
    rollout::ActivationMemory,
    tokenize::Encoded,
    train::{StopFlag, TrainConfig, TrainError, batches::shuffled, forward, passes::Passes},
};

/// The completions that a few steps learn from.
#[derive(Default)]
pub(super) struct Generation {
    pub(super) samples: Vec<GrpoSample>,
    pub(super) stats: RolloutStats,
    /// Tokens that count in the loss.
    pub(super) tokens: usize,
    /// The prompts drawn when it was complete, since the start of the run.
    pub(super) drawn: u64,
    /// The samples in the order in which the steps share them out.
    order: Vec<usize>,
}

/// What makes generations.
pub(super) struct Generator<'a> {
    pub(super) model: &'a Model,
    pub(super) prompts: &'a [GrpoPrompt],
    pub(super) reference: Option<&'a Adapter>,
    pub(super) config: &'a GrpoConfig,
    pub(super) train: &'a TrainConfig,
    pub(super) stop: &'a StopFlag,
    pub(super) activation_memory: ActivationMemory,
}

/// The groups that were drawn for a generation.
struct Collected {
    /// Those whose rewards vary, each with its prompt.
    varied: Vec<(usize, ScoredGroup)>,
    /// The others.
    flat: Vec<(usize, ScoredGroup)>,
    /// The prompts drawn since the start of the run.
    drawn: u64,
}

impl Generator<'_> {
    /// Draws and scores the completions for the steps after `step`; `drawn` prompts were drawn before. `None` where it was
    /// asked to stop.
    pub(super) fn run(
        &self,
        passes: &mut Passes<'_>,
        environment: &mut dyn Environment,
        adapter: &Adapter,
        step: u64,
        drawn: u64,
    ) -> Result<Option<Generation>, TrainError> {
        let Some(collected) = self.collect(environment, adapter, step, drawn)? else { return Ok(None) };
        let stats = RolloutStats::of(&collected.varied, &collected.flat);
        let Collected { varied: mut groups, flat, drawn } = collected;
        // What is missing is made up for by groups that teach nothing, so that the others keep their weight in the loss.
        let missing = self.config.prompts_per_generation() - groups.len();
        groups.extend(flat.into_iter().take(missing));

        let mut samples = self.samples(groups);
        if !self.complete(passes, &mut samples, adapter)? {
            return Ok(None);
        }
        let told_apart =
            samples.iter().filter(|sample| sample.advantage != 0.0 && !sample.is_masked(self.config)).count();
        let stats = RolloutStats { completions: samples.len() as u64, told_apart: told_apart as u64, ..stats };
        let tokens = samples.iter().map(|sample| sample.tokens(self.config)).sum();
        let order = shuffled(samples.len(), self.train.seed, drawn);
        Ok(Some(Generation { samples, stats, tokens, drawn, order }))
    }

    /// Draws groups until enough of them vary, or no more rounds are allowed.
    fn collect(
        &self,
        environment: &mut dyn Environment,
        adapter: &Adapter,
        step: u64,
        drawn: u64,
    ) -> Result<Option<Collected>, TrainError> {
        let mut order = PromptOrder::new(self.prompts.len(), self.train.seed);
        let wanted = self.config.prompts_per_generation();
        let mut collected = Collected { varied: Vec::new(), flat: Vec::new(), drawn };
        let mut memory = self.activation_memory.clone();
        for _ in 0..=self.config.dynamic_sampling_rounds_max {
            let chosen = order.draw(collected.drawn, wanted - collected.varied.len());
            // Every call starts at a place of its own in the order of the prompts: that is what its draws are seeded by.
            let seed = seed_of(self.train.seed, collected.drawn);
            let answered = environment.rollouts(adapter, &chosen, seed, &memory);
            let Some(groups) = answered.map_err(|source| TrainError::Environment { step: step + 1, source })? else {
                return Ok(None);
            };
            self.check(&chosen, &groups)?;
            collected.drawn += chosen.len() as u64;
            for (prompt, mut group) in chosen.into_iter().zip(groups) {
                if varies(&group.rewards) {
                    memory = memory.left(memory.bytes_max().saturating_sub(activation_bytes(&group)));
                    collected.varied.push((prompt, group));
                } else {
                    // No advantage is learned from.
                    group.completions.iter_mut().for_each(|completion| completion.activations = None);
                    collected.flat.push((prompt, group));
                }
            }
            if collected.varied.len() == wanted {
                break;
            }
        }
        Ok(Some(collected))
    }

    fn check(&self, prompts: &[usize], groups: &[ScoredGroup]) -> Result<(), TrainError> {
        if groups.len() != prompts.len() {
            let problem = format!("and {} others came as {} groups", prompts.len() - 1, groups.len());
            return Err(TrainError::Rollouts { prompt: prompts[0], problem });
        }
        let positions_max = self.model.config.positions_max;
        for (prompt, group) in prompts.iter().zip(groups) {
            let room = positions_max - self.prompts[*prompt].tokens.len();
            if let Some(problem) = problem_of(group, self.config, room) {
                return Err(TrainError::Rollouts { prompt: *prompt, problem });
            }
        }
        Ok(())
    }

    fn samples(&self, groups: Vec<(usize, ScoredGroup)>) -> Vec<GrpoSample> {
        let rewards: Vec<Vec<Option<f64>>> = groups.iter().map(|(_, group)| group.rewards.clone()).collect();
        let advantages = advantages(&rewards, self.config.estimator, self.config.scale_rewards);
        let mut samples = Vec::new();
        for ((prompt, group), advantages) in groups.into_iter().zip(advantages) {
            let prompt = &self.prompts[prompt].tokens;
            let completions = group.completions.into_iter().zip(advantages.values);
            samples.extend(completions.map(|(completion, advantage)| GrpoSample::new(prompt, completion, advantage)));
        }
        samples
    }

    /// Computes the log-probabilities that the steps compare with. False where it was asked to stop.
    fn complete(
        &self,
        passes: &mut Passes<'_>,
        samples: &mut [GrpoSample],
        adapter: &Adapter,
    ) -> Result<bool, TrainError> {
        // In the only step after a generation, the policy is still the one that it would be compared with.
        if self.config.updates_per_generation() > 1 {
            let Some(old) = self.logprobs(passes, samples, Some(adapter))? else { return Ok(false) };
            samples.iter_mut().zip(old).for_each(|(sample, old)| sample.old_logprobs = old);
        }
        if self.config.needs_reference() {
            let Some(reference) = self.logprobs(passes, samples, self.reference)? else { return Ok(false) };
            samples.iter_mut().zip(reference).for_each(|(sample, reference)| sample.reference_logprobs = reference);
        }
        Ok(true)
    }

    /// Of the samples that are learned from.
    fn logprobs(
        &self,
        passes: &mut Passes<'_>,
        samples: &[GrpoSample],
        adapter: Option<&Adapter>,
    ) -> Result<Option<Vec<Option<Vec<f32>>>>, TrainError> {
        let learned = || samples.iter().map(|sample| sample.is_learned_from(self.config));
        let examples: Vec<&Encoded> =
            samples.iter().zip(learned()).filter(|(_, learned)| *learned).map(|(sample, _)| &sample.example).collect();
        let (temperature, tokens) = (self.config.temperature, self.train.tokens_per_micro_batch);
        let logprobs = forward::logprobs(passes, adapter, &examples, temperature, tokens, self.stop)?;
        Ok(logprobs.map(|logprobs| {
            let mut logprobs = logprobs.into_iter();
            learned().map(|learned| if learned { logprobs.next() } else { None }).collect()
        }))
    }
}

impl Generation {
    /// The samples of the generation's step `update`, from 0: the steps of one iteration share them out.
    pub(super) fn chosen(&self, update: u64, config: &GrpoConfig) -> &[usize] {
        let (part, parts) = ((update % config.steps_per_generation) as usize, config.steps_per_generation as usize);
        let border = |part: usize| part * self.order.len() / parts;
        &self.order[border(part)..border(part + 1)]
    }
}

fn activation_bytes(group: &ScoredGroup) -> u64 {
    group.completions.iter().filter_map(|completion| Some(completion.activations.as_ref()?.bytes())).sum()
}

/// What is wrong with a group, as the rest of a sentence.
fn problem_of(group: &ScoredGroup, config: &GrpoConfig, room: usize) -> Option<String> {
    let ScoredGroup { completions, rewards } = group;
    if completions.len() != config.num_generations || rewards.len() != completions.len() {
        let (completions, rewards, wanted) = (completions.len(), rewards.len(), config.num_generations);
        return Some(format!("are {completions} completions with {rewards} rewards instead of {wanted}"));
    }
    for completion in completions {
        let tokens = completion.tokens.len();
        if tokens == 0 || tokens > room {
            return Some(format!("include a completion of {tokens} tokens; it has from 1 to {room}"));
        }
        if completion.logprobs.len() != tokens {
            let logprobs = completion.logprobs.len();
            return Some(format!("include a completion of {tokens} tokens with {logprobs} log-probabilities"));
        }
    }
    let wild = rewards.iter().flatten().find(|reward| !reward.is_finite())?;
    Some(format!("have the reward {wild}, which is no number to learn from"))
}

/// A seed of its own for each place in the order of the prompts (SplitMix64).
fn seed_of(seed: u64, place: u64) -> u64 {
    let mut z = seed.wrapping_add((place + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_of_an_iteration_share_the_samples_out() {
        let config = GrpoConfig { steps_per_generation: 3, num_iterations: 2, ..GrpoConfig::default() };
        let order = shuffled(16, 1, 1);
        let generation = Generation {
            samples: Vec::new(),
            stats: RolloutStats::default(),
            tokens: 0,
            drawn: 4,
            order: order.clone(),
        };
        let steps: Vec<&[usize]> = (0..6).map(|update| generation.chosen(update, &config)).collect();
        assert_eq!(steps[..3].concat(), order);
        assert_eq!(steps[..3], steps[3..]);
        assert!(steps.iter().all(|step| (5..=6).contains(&step.len())));
    }

    #[test]
    fn every_place_has_a_seed_of_its_own() {
        let mut seeds: Vec<u64> = (0..3).flat_map(|seed| (0..100).map(move |place| seed_of(seed, place))).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 300);
    }
}
