use perennial_learn::{
    rollout::RolloutOptions,
    train::{
        TrainError,
        grpo::{GrpoConfig, GrpoPrompt},
    },
};

use crate::{
    common::tiny as model,
    environment::{EVEN, Reward, config, environment, finish, prompts, run},
};

#[test]
fn what_an_environment_does_wrong_is_named() {
    let (model, prompts, config) = (model(), prompts(), config());
    let problem = |reward: Reward, change: fn(&mut RolloutOptions)| {
        let dir = tempfile::tempdir().unwrap();
        let mut environment = environment(&model, &prompts, &config, reward);
        change(&mut environment.options);
        run(dir.path(), &config, &mut environment, &mut |_, _| ()).unwrap_err().to_string()
    };
    let nothing = |_: &mut RolloutOptions| ();
    assert!(problem(|_, _| Some(f64::NAN), nothing).contains("the reward NaN"));
    assert!(problem(EVEN, |options| options.num_generations = 3).contains("3 completions"));
    assert!(problem(EVEN, |options| options.temperature = -1.0).contains("no rollouts for step 1"));
}

#[test]
fn other_rewards_do_not_go_on_from_a_checkpoint() {
    let (model, prompts, dir) = (model(), prompts(), tempfile::tempdir().unwrap());
    let config = GrpoConfig { steps_max: Some(4), ..config() };
    finish(dir.path(), &config, EVEN);
    let mut other = environment(&model, &prompts, &config, EVEN);
    other.options.top_k = 5;
    let refused = run(dir.path(), &config, &mut other, &mut |_, _| ());
    assert!(matches!(refused, Err(TrainError::OtherRun { .. })));
}

#[test]
fn prompts_that_cannot_be_answered_are_refused() {
    let (model, dir, config) = (model(), tempfile::tempdir().unwrap(), config());
    let refusal = |prompts: &[GrpoPrompt]| {
        run(dir.path(), &config, &mut environment(&model, prompts, &config, EVEN), &mut |_, _| ()).unwrap_err()
    };
    assert!(matches!(refusal(&[]), TrainError::NoPrompts));
    let mut prompts = prompts();
    prompts[3].tokens.clear();
    assert!(matches!(refusal(&prompts), TrainError::PromptLength { prompt: 3, .. }));
}
