//! Which tensors a model has, and of what shape: held against a file's before any of them is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{ModelConfig, ModelError, names};

/// The shape of each tensor of a file, by Hugging Face's names.
pub(super) type Shapes = BTreeMap<String, Vec<usize>>;

/// Every tensor of a model of this configuration, with its shape; layer by layer, so that whoever asks can end early.
pub(super) fn tensors(config: &ModelConfig) -> impl Iterator<Item = (String, Vec<usize>)> {
    let table = vec![config.vocab_size, config.hidden_size];
    let head = (!config.tied_head).then(|| (names::HEAD.to_owned(), table.clone()));
    let ends = [(names::EMBEDDINGS.to_owned(), table), (names::NORM.to_owned(), vec![config.hidden_size])];
    ends.into_iter().chain(head).chain((0..config.layers).flat_map(|layer| layer_tensors(config, layer)))
}

fn layer_tensors(config: &ModelConfig, layer: usize) -> Vec<(String, Vec<usize>)> {
    let (hidden, wide) = (config.hidden_size, config.intermediate_size);
    let (q, kv, biases) = (config.q_width(), config.kv_width(), config.biases);
    let linears = [
        (names::Q, q, hidden, biases.qkv),
        (names::K, kv, hidden, biases.qkv),
        (names::V, kv, hidden, biases.qkv),
        (names::O, hidden, q, biases.o),
        (names::GATE, wide, hidden, biases.feed_forward),
        (names::UP, wide, hidden, biases.feed_forward),
        (names::DOWN, hidden, wide, biases.feed_forward),
    ];
    let mut tensors = vec![
        (names::weight(layer, names::ATTENTION_NORM), vec![hidden]),
        (names::weight(layer, names::FEED_FORWARD_NORM), vec![hidden]),
    ];
    if config.qk_norm {
        tensors.push((names::weight(layer, names::Q_NORM), vec![config.head_dim]));
        tensors.push((names::weight(layer, names::K_NORM), vec![config.head_dim]));
    }
    for (part, out, width, biased) in linears {
        tensors.push((names::weight(layer, part), vec![out, width]));
        if biased {
            tensors.push((names::bias(layer, part), vec![out]));
        }
    }
    tensors
}

/// That a file has exactly the tensors of a model of this configuration. With a tied head, the head's own table may be there, alone
/// or beside the embeddings.
///
/// # Errors
/// Which tensor is missing, has another shape, or is one too many.
pub(super) fn check(config: &ModelConfig, shapes: &Shapes, path: &Path) -> Result<(), ModelError> {
    let problem = |tensor: &str, problem: String| {
        Err(ModelError::Tensor { path: path.to_owned(), tensor: tensor.to_owned(), problem })
    };
    let mut wanted = BTreeSet::new();
    for (name, shape) in tensors(config) {
        // Whichever of the two tables is there stands for both.
        let swapped = config.tied_head && name == names::EMBEDDINGS && !shapes.contains_key(names::EMBEDDINGS);
        match shapes.get(if swapped { names::HEAD } else { &name }) {
            None => return problem(&name, "is missing".to_owned()),
            Some(found) if *found != shape => {
                return problem(&name, format!("has the shape {found:?}, but the configuration implies {shape:?}"));
            }
            Some(_) => wanted.insert(name),
        };
    }
    let tied = |name: &&String| config.tied_head && *name == names::HEAD;
    if let Some(head) = shapes.get(names::HEAD).filter(|head| **head != [config.vocab_size, config.hidden_size]) {
        return problem(names::HEAD, format!("has the shape {head:?}, which is not that of the embeddings"));
    }
    match shapes.keys().find(|name| !wanted.contains(*name) && !tied(name)) {
        None => Ok(()),
        Some(name) => problem(name, "is not one that a model of this configuration has".to_owned()),
    }
}
