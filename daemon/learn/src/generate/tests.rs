use std::ops::ControlFlow;

use super::{Completion, Finish, GenerateError, GenerateOptions, generate, score};
use crate::{
    model::{Architecture, Attention, Model, Rows, Workspace, testing::tiny_model},
    tokenize::Encoded,
};

fn prompts() -> Vec<Vec<u32>> {
    vec![vec![1, 2, 3], vec![70], (0..40).collect(), vec![9, 9, 9, 9], vec![200, 100]]
}

fn run(model: &Model, prompts: &[Vec<u32>], options: &GenerateOptions) -> Vec<Completion> {
    generate(model, None, prompts, options, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

#[test]
fn greedy_generation_takes_the_likeliest_token_each_time() {
    let model = tiny_model(Architecture::Llama);
    let options = GenerateOptions { max_new_tokens: 12, ..GenerateOptions::default() };
    let completion = run(&model, &prompts()[..1], &options).remove(0);
    let mut tokens = prompts()[0].clone();
    for token in completion.tokens {
        let (rows, cu_seqlens) = Rows::packed(&[&tokens]);
        let hidden =
            model.decoder.hidden(&rows, Attention::Packed(&cu_seqlens), None, &mut Workspace::default()).unwrap();
        let logits = model.decoder.logits(&hidden, &mut Workspace::default());
        let last = logits.rows().last().unwrap().iter().enumerate();
        assert_eq!(token as usize, last.max_by(|(_, one), (_, other)| one.total_cmp(other)).unwrap().0);
        tokens.push(token);
    }
    assert!(tokens.len() > 3);
}

#[test]
fn a_batch_gives_what_each_prompt_gives_by_itself() {
    let model = tiny_model(Architecture::Qwen3);
    for temperature in [0.0, 0.8] {
        let options = GenerateOptions { max_new_tokens: 24, temperature, top_k: 50, top_p: 0.95, ..Default::default() };
        let alone = run(&model, &prompts(), &GenerateOptions { batch_max: 1, ..options.clone() });
        for batch_max in [2, 16] {
            assert_eq!(run(&model, &prompts(), &GenerateOptions { batch_max, ..options.clone() }), alone);
        }
        assert!(alone.iter().all(|completion| completion.finish != Finish::Interrupted));
        assert_ne!(alone[0].tokens, alone[1].tokens);
    }
}

#[test]
fn pieces_make_up_the_text() {
    let model = tiny_model(Architecture::Llama);
    let options = GenerateOptions { max_new_tokens: 30, temperature: 1.0, ..GenerateOptions::default() };
    let mut texts = vec![String::new(); prompts().len()];
    let completions = generate(&model, None, &prompts(), &options, &mut |index, piece| {
        texts[index].push_str(piece);
        ControlFlow::Continue(())
    });
    for (text, completion) in texts.iter().zip(completions.unwrap()) {
        assert_eq!(*text, completion.text);
        assert_eq!(completion.text, model.tokenizer.decode(&completion.tokens).unwrap());
    }
}

#[test]
fn completions_end_for_the_reason_they_name() {
    let model = tiny_model(Architecture::Llama);
    let hot = GenerateOptions { max_new_tokens: 200, temperature: 2.0, seed: 5, ..GenerateOptions::default() };
    let free = run(&model, &prompts(), &hot);
    for completion in &free {
        let ended = completion.tokens.last() == Some(&257);
        assert_eq!(completion.finish == Finish::EndToken, ended);
        assert_eq!(completion.finish == Finish::Length, !ended && completion.tokens.len() == 200);
    }
    assert!(free.iter().any(|completion| completion.finish == Finish::EndToken), "{free:?}");

    let middle = free[2].text.chars().nth(5).unwrap().to_string();
    let stopped =
        run(&model, &prompts()[2..3], &GenerateOptions { seed: 5, stop: vec![middle.clone()], ..hot.clone() });
    assert!(!stopped[0].text.contains(&middle));

    // 40 tokens of prompt leave 216 of the model's 256.
    let long = GenerateOptions { max_new_tokens: 1000, ..GenerateOptions::default() };
    let full = run(&model, &prompts()[2..3], &long).remove(0);
    assert!(full.finish == Finish::EndToken || full.tokens.len() == 216);
}

#[test]
fn breaking_off_keeps_what_is_there() {
    let model = tiny_model(Architecture::Llama);
    let options = GenerateOptions { max_new_tokens: 50, batch_max: 2, ..GenerateOptions::default() };
    let mut pieces = 0;
    let completions = generate(&model, None, &prompts(), &options, &mut |_, _| {
        pieces += 1;
        if pieces == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let completions = completions.unwrap();
    assert_eq!(completions.len(), prompts().len());
    assert!(completions[0].tokens.len() < 50 && completions[4].tokens.is_empty());
    assert_eq!(completions[4].finish, Finish::Interrupted);
}

#[test]
fn what_cannot_be_generated_is_an_error() {
    let model = tiny_model(Architecture::Llama);
    let error = |prompt: Vec<u32>, options: GenerateOptions| {
        generate(&model, None, &[prompt], &options, &mut |_, _| ControlFlow::Continue(())).unwrap_err()
    };
    let plain = GenerateOptions::default;
    assert!(matches!(error(vec![], plain()), GenerateError::EmptyPrompt { index: 0 }));
    assert!(matches!(error(vec![1; 256], plain()), GenerateError::TooLong { tokens_max: 255, .. }));
    let options = [
        GenerateOptions { temperature: f32::NAN, ..plain() },
        GenerateOptions { top_p: 1.5, ..plain() },
        GenerateOptions { max_new_tokens: 0, ..plain() },
        GenerateOptions { batch_max: 0, ..plain() },
        GenerateOptions { stop: vec![String::new()], ..plain() },
    ];
    for options in options {
        assert!(matches!(error(vec![1], options), GenerateError::Option { .. }));
    }
}

#[test]
fn scores_are_the_log_softmax_of_the_targets() {
    let model = tiny_model(Architecture::Llama);
    let sample = |tokens: Vec<u32>, targets: &[usize]| {
        let supervised = (0..tokens.len()).map(|place| targets.contains(&place)).collect();
        Encoded { tokens, supervised }
    };
    let samples = [sample(vec![1, 2, 3, 4], &[2, 3]), sample(vec![9], &[0]), sample((0..200).collect(), &[1, 77, 199])];
    let scores = score(&model, None, &samples).unwrap();
    for (sample, scored) in samples.iter().zip(scores) {
        let (rows, cu_seqlens) = Rows::packed(&[&sample.tokens]);
        let hidden =
            model.decoder.hidden(&rows, Attention::Packed(&cu_seqlens), None, &mut Workspace::default()).unwrap();
        let logits = model.decoder.logits(&hidden, &mut Workspace::default());
        let targets: Vec<usize> = (1..sample.tokens.len()).filter(|&place| sample.supervised[place]).collect();
        let nll = |place: usize| {
            let row = logits.rows().nth(place - 1).unwrap();
            let sum: f64 = row.iter().map(|logit| f64::from(*logit).exp()).sum();
            sum.ln() - f64::from(row[sample.tokens[place] as usize])
        };
        let expected: f64 = targets.iter().map(|&place| nll(place)).sum();
        assert_eq!(scored.tokens, targets.len());
        assert!((scored.nll_sum - expected).abs() <= 1e-4 * expected.max(1.0), "{} {expected}", scored.nll_sum);
    }
    let long = sample(vec![1; 257], &[2]);
    assert!(matches!(score(&model, None, &[long]), Err(GenerateError::TooLong { .. })));
}
