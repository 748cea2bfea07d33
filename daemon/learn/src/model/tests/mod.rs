mod files;
mod gguf_files;
mod gradients;
mod passes;

use super::{Attention, Matrix, Model, Rows, Workspace};

const TOKENS: [u32; 9] = [5, 17, 200, 3, 3, 90, 61, 7, 250];

fn packed_logits(model: &Model, sequences: &[&[u32]]) -> Vec<Vec<f32>> {
    let (rows, cu_seqlens) = Rows::packed(sequences);
    let hidden = model.decoder.hidden(&rows, Attention::Packed(&cu_seqlens), None, &mut Workspace::default()).unwrap();
    to_rows(&model.decoder.logits(&hidden, &mut Workspace::default()))
}

fn to_rows(matrix: &Matrix) -> Vec<Vec<f32>> {
    matrix.rows().map(<[f32]>::to_vec).collect()
}

fn assert_close(ours: &[Vec<f32>], theirs: &[Vec<f32>], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len());
    let scale = theirs.iter().flatten().fold(0.0_f32, |max, value| max.max(value.abs()));
    for (ours, theirs) in ours.iter().flatten().zip(theirs.iter().flatten()) {
        assert!((ours - theirs).abs() <= tolerance * scale, "{ours} is not {theirs}");
    }
}
