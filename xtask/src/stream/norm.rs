//! How much an adapter adds to the weights.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;

/// The Frobenius norm of all that a LoRA adds to the weights, `√(Σ ‖s · B A‖²)` over its layers with `s = alpha / r`, or
/// `alpha / √r` for rsLoRA. It is computed as `‖B A‖² = tr((Bᵀ B)(A Aᵀ))`, without the product. Nothing for a folder of another
/// kind: without A and B of each layer in f32, or with a rank of its own for some.
///
/// # Errors
/// Where the folder cannot be read.
pub(super) fn of_adapter(folder: &Path) -> Result<Option<f64>> {
    let read = |name: &str| fs::read(folder.join(name)).with_context(|| format!("{name} in {}", folder.display()));
    let config: Value = serde_json::from_slice(&read("adapter_config.json")?)?;
    let bytes = read("adapter_model.safetensors")?;
    let tensors = SafeTensors::deserialize(&bytes).with_context(|| format!("the tensors in {}", folder.display()))?;
    let Some(scale) = scale(&config) else { return Ok(None) };
    let mut layers: BTreeMap<String, [Option<TensorView<'_>>; 2]> = BTreeMap::new();
    for (name, tensor) in tensors.iter() {
        let (layer, side) = match (name.split_once(".lora_A."), name.split_once(".lora_B.")) {
            (Some((layer, _)), _) => (layer, 0),
            (_, Some((layer, _))) => (layer, 1),
            _ => return Ok(None),
        };
        layers.entry(layer.to_owned()).or_default()[side] = Some(tensor);
    }
    let mut sum = 0.0;
    for [a, b] in layers.into_values() {
        let Some((a, b)) = a.zip(b) else { return Ok(None) };
        let (Some(a), Some(b)) = (matrix(&a), matrix(&b)) else { return Ok(None) };
        sum += square(&a, &b);
    }
    Ok(Some(scale * sum.sqrt()))
}

fn scale(config: &Value) -> Option<f64> {
    let differs = |key: &str| config[key].as_object().is_some_and(|patterns| !patterns.is_empty());
    if differs("rank_pattern") || differs("alpha_pattern") || config["use_dora"] == true {
        return None;
    }
    let (r, alpha) = (config["r"].as_f64()?, config["lora_alpha"].as_f64()?);
    Some(alpha / if config["use_rslora"] == true { r.sqrt() } else { r })
}

/// The rows of a matrix.
fn matrix(tensor: &TensorView<'_>) -> Option<Vec<Vec<f64>>> {
    let &[_, columns] = tensor.shape() else { return None };
    if tensor.dtype() != Dtype::F32 || columns == 0 {
        return None;
    }
    let (values, _) = tensor.data().as_chunks::<4>();
    let values: Vec<f64> = values.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect();
    Some(values.chunks(columns).map(<[f64]>::to_vec).collect())
}

/// `‖B A‖²` of B `[out, r]` and A `[r, in]`.
fn square(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    let rank = a.len();
    let mut gram = vec![vec![0.0; rank]; rank];
    for row in b {
        for (i, x) in row.iter().enumerate().take(rank) {
            row.iter().zip(&mut gram[i]).for_each(|(y, sum)| *sum += x * y);
        }
    }
    let dot = |i: usize, j: usize| a[i].iter().zip(&a[j]).map(|(x, y)| x * y).sum::<f64>();
    (0..rank).flat_map(|i| (0..rank).map(move |j| (i, j))).map(|(i, j)| gram[i][j] * dot(i, j)).sum()
}

#[cfg(test)]
mod tests {
    use perennial_tests::repository;

    use super::*;

    #[test]
    fn the_square_is_that_of_the_product() {
        // B A = [[1, 2, 1], [3, 4, 1], [5, 6, 1]]
        let a = vec![vec![1.0, 0.0, -1.0], vec![0.0, 1.0, 1.0]];
        let b = vec![vec![1.0, 2.0], vec![3.0, 4.0], vec![5.0, 6.0]];
        assert_eq!(square(&a, &b), 1.0 + 4.0 + 1.0 + 9.0 + 16.0 + 1.0 + 25.0 + 36.0 + 1.0);
    }

    #[test]
    fn the_committed_adapter_has_a_norm_and_one_of_dora_has_none() {
        let goldens = repository().join("tests/goldens");
        assert!(of_adapter(&goldens.join("adapter_tiny")).unwrap().is_some_and(|norm| norm > 0.0 && norm < 100.0));
        assert_eq!(of_adapter(&goldens.join("adapter_dora_tiny")).unwrap(), None);
        assert!(of_adapter(&goldens.join("nowhere")).is_err());
    }
}
