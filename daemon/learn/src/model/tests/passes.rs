use std::sync::Arc;

use perennial_kernels::Span;
use rstest::rstest;

use super::{TOKENS, assert_close, packed_logits, to_rows};
use crate::model::{Architecture, Attention, Model, Rows, Workspace, testing::tiny_model};

#[rstest]
fn cached_and_packed_attention_agree(
    #[values(Architecture::Llama, Architecture::Qwen2, Architecture::Qwen3, Architecture::SmolLm3)]
    architecture: Architecture,
) {
    let model = tiny_model(architecture);
    let whole = packed_logits(&model, &[&TOKENS, &TOKENS[..4]]);

    let mut cache = model.decoder.cache();
    let slots = [cache.insert(16), cache.insert(16)];
    let mut steps = Vec::new();
    // The first sequence comes in pieces of 5, 1 and 3 tokens, the second whole beside the first piece.
    for (first, second) in [(0..5, 0..4), (5..6, 4..4), (6..9, 4..4)] {
        let spans = [Span { slot: slots[0], rows: first.len() }, Span { slot: slots[1], rows: second.len() }];
        let spans = if second.is_empty() { &spans[..1] } else { &spans[..] };
        let tokens = [&TOKENS[first.clone()], &TOKENS[second.clone()]].concat();
        let positions: Vec<u32> = first.clone().chain(second.clone()).map(|position| position as u32).collect();
        let rows = Rows { tokens: tokens.into(), positions: positions.into() };
        let attention = Attention::Cached { cache: &mut cache, spans };
        let hidden = model.decoder.hidden(&rows, attention, None, &mut Workspace::default()).unwrap();
        let mut logits = to_rows(&model.decoder.logits(&hidden, &mut Workspace::default()));
        let of_second = logits.split_off(first.len());
        if !of_second.is_empty() {
            assert_close(&of_second, &whole[TOKENS.len()..], 1e-5);
        }
        steps.extend(logits);
    }
    assert_close(&steps, &whole[..TOKENS.len()], 1e-5);
}

#[test]
fn layers_without_rope_do_not_see_positions() {
    let mut model = tiny_model(Architecture::SmolLm3);
    let shifted = |model: &Model| {
        let (mut rows, cu_seqlens) = Rows::packed(&[TOKENS]);
        // Rope is relative, so only a stretched sequence looks different from a plain one.
        rows.positions = (0..TOKENS.len() as u32).map(|position| position * 3).collect();
        let hidden =
            model.decoder.hidden(&rows, Attention::Packed(&cu_seqlens), None, &mut Workspace::default()).unwrap();
        to_rows(&model.decoder.logits(&hidden, &mut Workspace::default()))
    };
    assert_ne!(shifted(&model), packed_logits(&model, &[&TOKENS]));
    model.decoder.layers.iter_mut().for_each(|layer| layer.rope = false);
    assert_eq!(shifted(&model), packed_logits(&model, &[&TOKENS]));
}

#[test]
fn hidden_after_all_layers_is_the_stream_before_the_final_norm() {
    let model = tiny_model(Architecture::Llama);
    let (rows, cu_seqlens) = Rows::packed(&[TOKENS]);
    let after =
        |layers| model.decoder.hidden_after(layers, &rows, Attention::Packed(&cu_seqlens), &mut Workspace::default());
    let mut embedding = vec![0.0; 32];
    model.decoder.embeddings().row_into(17, &mut embedding);
    assert_eq!(after(0).unwrap().rows().nth(1).unwrap(), embedding);
    let hidden = model.decoder.hidden(&rows, Attention::Packed(&cu_seqlens), None, &mut Workspace::default()).unwrap();
    let mut normed = vec![0.0_f32; hidden.values().len()];
    perennial_kernels::rms_norm(&mut normed, after(4).unwrap().values(), &model.decoder.norm, model.decoder.eps);
    assert_eq!(normed, hidden.values());
    assert!(after(5).is_err());
}

#[test]
fn tokens_and_positions_outside_of_the_model_are_errors() {
    let model = tiny_model(Architecture::Llama);
    let run = |token: u32, position: u32| {
        let rows = Rows { tokens: Arc::new([token]), positions: Arc::new([position]) };
        model.decoder.hidden(&rows, Attention::Packed(&[0, 1]), None, &mut Workspace::default())
    };
    assert!(run(258, 255).is_ok());
    assert!(run(259, 0).is_err());
    assert!(run(0, 256).is_err());
}
