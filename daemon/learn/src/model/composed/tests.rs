//! The composed passes against the passes by hand.

use candle_core::{Device, Tensor};
use perennial_kernels::{Precision, token_logprobs, token_logprobs_and_gradients};
use rstest::rstest;

use super::{AdapterTensors, Decoder};
use crate::{
    adapter::{Adapter, Kind, LoraConfig, add_tensors},
    model::{
        Architecture, Attention, Branches, Matrix, Model, Packing, Rows, Workspace,
        testing::{moved, tiny_config, tiny_decoder, tiny_model},
    },
};

const TOKENS: [u32; 9] = [5, 17, 200, 3, 3, 90, 61, 7, 250];

/// An adapter whose matrices are all away from zero.
fn adapter(model: &Model, kind: Kind) -> Adapter {
    let fresh = Adapter::init(&LoraConfig { r: 4, kind, ..LoraConfig::default() }, model, 1).unwrap();
    moved(&fresh)
}

fn tensors(adapter: &Adapter, decoder: &Decoder) -> AdapterTensors {
    let mut tensors = AdapterTensors::default();
    for (at, site) in adapter.sites() {
        let values = site.values().unwrap();
        let values: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
        add_tensors(&mut tensors, adapter.config(), at, &values, decoder).unwrap();
    }
    tensors
}

fn zeros(adapter: &Adapter) -> Vec<Vec<f32>> {
    let matrices = adapter.sites().flat_map(|(_, site)| site.tensors());
    matrices.map(|matrix| vec![0.0; matrix.elem_count()]).collect()
}

#[track_caller]
fn assert_close(ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len());
    let scale = theirs.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
    assert!(scale > 0.0);
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() <= tolerance * scale, "{ours} is not {theirs}, at a scale of {scale}");
    }
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Hidden states and gradients both ways.
fn check(model: &Model, rows: &Rows, packing: Packing<'_>) {
    for kind in Kind::ALL {
        check_kind(model, kind, rows, packing);
    }
}

fn check_kind(model: &Model, kind: Kind, rows: &Rows, packing: Packing<'_>) {
    let (adapter, mut workspace) = (adapter(model, kind), Workspace::default());
    let weights = adapter.to_weights(&model.decoder).unwrap();
    let (expected, tape) = model.decoder.forward(rows, packing, &weights, 4, &mut workspace).unwrap();
    let slopes: Vec<f32> = (0..expected.values().len()).map(|at| ((at * 37 % 101) as f32 - 50.0) / 500.0).collect();
    let mut expected_gradients = zeros(&adapter);
    let d_hidden = Matrix::new(slopes.clone(), expected.cols());
    tape.backward(&d_hidden, &mut expected_gradients, &mut workspace).unwrap();

    let decoder = Decoder::new(model, &Device::Cpu).unwrap();
    let lora = tensors(&adapter, &decoder);
    let (hidden, tape) = decoder.forward(rows, packing, &lora).unwrap();
    assert_close(&flat(&hidden), expected.values(), 1e-5);
    assert_eq!(flat(&decoder.hidden(rows, packing, Some(&lora)).unwrap()), flat(&hidden));
    let mut gradients = zeros(&adapter);
    tape.backward(&Tensor::from_vec(slopes, hidden.dims(), &Device::Cpu).unwrap(), &mut gradients).unwrap();
    for (ours, theirs) in gradients.iter().zip(&expected_gradients) {
        assert_close(ours, theirs, 2e-5);
    }
}

#[rstest]
fn packed_sequences_agree_with_the_passes_by_hand(
    #[values(
        Architecture::Llama,
        Architecture::Mistral,
        Architecture::Qwen2,
        Architecture::Qwen3,
        Architecture::SmolLm3
    )]
    architecture: Architecture,
) {
    let (rows, cu_seqlens) = Rows::packed(&[&TOKENS, &TOKENS[3..4], &TOKENS[2..], &TOKENS[..3], &TOKENS[1..4]]);
    check(&tiny_model(architecture), &rows, Packing::Sequences(&cu_seqlens));
}

#[rstest]
fn branches_agree_with_the_passes_by_hand(
    #[values(Architecture::Llama, Architecture::Qwen3)] architecture: Architecture,
) {
    let sequences: [(&[u32], usize); 4] = [(&TOKENS, 4), (&TOKENS[..6], 4), (&[9, 9, 3], 1), (&TOKENS[..5], 4)];
    let branches = Branches::new(&sequences);
    check(&tiny_model(architecture), branches.rows(), Packing::Branches(&branches));
}

#[test]
fn without_an_adapter_it_is_the_base_model() {
    let model = tiny_model(Architecture::Qwen3);
    let (rows, cu_seqlens) = Rows::packed(&[TOKENS]);
    let attention = Attention::Packed(&cu_seqlens);
    let expected = model.decoder.hidden(&rows, attention, None, &mut Workspace::default()).unwrap();
    let decoder = Decoder::new(&model, &Device::Cpu).unwrap();
    let hidden = decoder.hidden(&rows, Packing::Sequences(&cu_seqlens), None).unwrap();
    assert_close(&flat(&hidden), expected.values(), 1e-5);
    let outside = Rows { tokens: [259].into(), positions: [0].into() };
    assert!(decoder.hidden(&outside, Packing::Sequences(&[0, 1]), None).is_err());
}

#[test]
fn weights_in_bf16_are_the_same_numbers_on_the_cpu() {
    let config = tiny_config(Architecture::Llama);
    let model = Model { decoder: tiny_decoder(&config, Precision::Bf16), ..tiny_model(Architecture::Llama) };
    let (rows, cu_seqlens) = Rows::packed(&[TOKENS]);
    let attention = Attention::Packed(&cu_seqlens);
    let expected = model.decoder.hidden(&rows, attention, None, &mut Workspace::default()).unwrap();
    let decoder = Decoder::new(&model, &Device::Cpu).unwrap();
    let hidden = decoder.hidden(&rows, Packing::Sequences(&cu_seqlens), None).unwrap();
    // The passes by hand also round what the weights are multiplied by.
    assert_close(&flat(&hidden), expected.values(), 0.03);
}

#[test]
fn targets_agree_with_the_head_by_hand() {
    let model = tiny_model(Architecture::Mistral);
    let (decoder, head) = (Decoder::new(&model, &Device::Cpu).unwrap(), model.decoder.head_weight());
    let values: Vec<f32> = (0..6 * 32).map(|at| ((at * 61 % 97) as f32 - 48.0) / 24.0).collect();
    let (h, targets) = (Tensor::from_slice(&values, (6, 32), &Device::Cpu).unwrap(), [0, 258, 7, 7, 100, 31]);
    let (expected, slopes) = token_logprobs_and_gradients(&values, head, 1.0, &targets).unwrap();
    let got = decoder.targets(&h, &targets).unwrap();
    assert_close(&got.logprobs, &expected, 1e-6);
    assert_close(&flat(&got.d_logprobs), &slopes, 1e-5);
    assert_eq!(decoder.token_logprobs(&h, &targets).unwrap(), got.logprobs);
    for (row, entropy) in values.chunks_exact(32).zip(&got.entropies) {
        let every: Vec<u32> = (0..259).collect();
        let logprobs = token_logprobs(&row.repeat(259), head, 1.0, &every).unwrap();
        let expected = -logprobs.iter().map(|logprob| logprob.exp() * logprob).sum::<f32>();
        assert!((entropy - expected).abs() < 1e-4, "{entropy} is not {expected}");
    }
    assert!(decoder.targets(&h, &[259; 6]).is_err());
}
