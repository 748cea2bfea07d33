use super::{EMBEDDED_TOKENS_MAX, EmbedError, Embedder, Method};
use crate::model::{Architecture, testing::tiny_model};

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[test]
fn vectors_have_unit_length_and_alike_texts_are_close() {
    let model = tiny_model(Architecture::Llama);
    for method in [Method::Sif, Method::Hidden { layers: 2 }] {
        let embedder = Embedder::new(&model, method).unwrap();
        let vectors = embedder.embed(&["pay the bill", "pay the bills", "ZQX 77!", ""]).unwrap();
        assert!(vectors.iter().all(|vector| vector.len() == embedder.dim()));
        assert!((cosine(&vectors[0], &vectors[0]) - 1.0).abs() < 1e-5);
        assert!(cosine(&vectors[0], &vectors[1]) > cosine(&vectors[0], &vectors[2]) + 0.1);
        assert!(vectors[3].iter().all(|value| *value == 0.0));
    }
}

#[test]
fn a_long_text_is_represented_by_its_beginning() {
    let model = tiny_model(Architecture::Llama);
    let embedder = Embedder::new(&model, Method::Sif).unwrap();
    let long = "x".repeat(EMBEDDED_TOKENS_MAX.min(model.config.positions_max));
    let vectors = embedder.embed(&[&long, &format!("{long}yyyy")]).unwrap();
    assert_eq!(vectors[0], vectors[1]);
}

#[test]
fn a_layer_that_is_not_there_is_an_error() {
    let model = tiny_model(Architecture::Llama);
    for layers in [0, 5] {
        assert!(matches!(Embedder::new(&model, Method::Hidden { layers }), Err(EmbedError::Layer { .. })));
    }
}
