use perennial_kernels::Precision;
use rstest::rstest;

use super::TOKENS;
use crate::{
    adapter::{Adapter, Kind, LoraConfig},
    model::{
        Architecture, Branches, Matrix, Model, Packing, Workspace,
        testing::{moved, tiny_decoder, tiny_model},
    },
};

fn tiny_model_in(architecture: Architecture, precision: Precision) -> Model {
    let model = tiny_model(architecture);
    Model { decoder: tiny_decoder(&model.config, precision), ..model }
}

/// The gradients of an adapter's tensors for a fixed gradient of the hidden states.
fn gradients(model: &Model, kind: Kind, layers_kept: usize) -> Vec<Vec<f32>> {
    let (decoder, lora) = (&model.decoder, LoraConfig { r: 4, kind, ..LoraConfig::default() });
    let adapter = moved(&Adapter::init(&lora, model, 1).unwrap());
    let weights = adapter.to_weights(decoder).unwrap();
    let sequences: [(&[u32], usize); 3] = [(&TOKENS, 4), (&TOKENS[..6], 4), (&[9, 9, 3], 1)];
    let (branches, mut workspace) = (Branches::new(&sequences), Workspace::default());
    let packing = Packing::Branches(&branches);
    let (hidden, tape) = decoder.forward(branches.rows(), packing, &weights, layers_kept, &mut workspace).unwrap();
    let slopes = (0..hidden.values().len()).map(|at| ((at * 37 % 101) as f32 - 50.0) / 500.0).collect();
    let mut gradients: Vec<Vec<f32>> = adapter
        .sites()
        .flat_map(|(_, site)| site.tensors().iter().map(|tensor| vec![0.0; tensor.elem_count()]))
        .collect();
    tape.backward(&Matrix::new(slopes, hidden.cols()), &mut gradients, &mut workspace).unwrap();
    gradients
}

#[rstest]
fn layers_that_are_computed_again_give_the_same_gradients(
    #[values(Architecture::Llama, Architecture::Qwen2, Architecture::Qwen3, Architecture::SmolLm3)]
    architecture: Architecture,
    #[values(Precision::F32, Precision::Bf16)] precision: Precision,
) {
    let model = tiny_model_in(architecture, precision);
    for kind in Kind::ALL {
        let all_kept = gradients(&model, kind, model.config.layers);
        for layers_kept in [0, 1, 3] {
            assert_eq!(gradients(&model, kind, layers_kept), all_kept, "{kind:?}");
        }
    }
}

#[rstest]
fn gradients_in_bf16_are_those_in_f32_within_its_rounding(
    #[values(Architecture::Llama, Architecture::Qwen2, Architecture::Qwen3, Architecture::SmolLm3)]
    architecture: Architecture,
) {
    for kind in Kind::ALL {
        check_rounding(architecture, kind);
    }
}

fn check_rounding(architecture: Architecture, kind: Kind) {
    let gradients = |precision| {
        let model = tiny_model_in(architecture, precision);
        gradients(&model, kind, model.config.layers).concat()
    };
    let (exact, rounded) = (gradients(Precision::F32), gradients(Precision::Bf16));
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>().sqrt();
    let error = norm(&mut exact.iter().zip(&rounded).map(|(exact, rounded)| exact - rounded));
    let share = error / norm(&mut exact.iter().copied());
    // Eight bits of significand are rounded by up to 0.4 %, many times through four layers and back; the weights of this
    // model are noise, so that its gradients are small differences.
    assert!((1e-5..0.1).contains(&share), "{kind:?}: {share}");
}
