use std::collections::BTreeMap;

use candle_core::Tensor;

use super::{Adapter, AdapterError, Kind, LoraConfig, Site};

/// That adapters of these shapes can be combined into one.
///
/// # Errors
/// [`AdapterError::NotCombined`], where one is not plain LoRA.
pub fn check_interpolate(one: &LoraConfig, other: &LoraConfig) -> Result<(), AdapterError> {
    match [one, other].into_iter().find(|config| config.kind != Kind::LORA) {
        Some(config) => Err(AdapterError::NotCombined { kind: config.kind.name() }),
        None => Ok(()),
    }
}

impl Adapter {
    /// The adapter that changes each layer by `(1 − alpha) · s₀ · B₀ · A₀ + alpha · s₁ · B₁ · A₁`, 0 being `from` and 1 `self`: a
    /// point on the line between two models in the space of their weights (WiSE-FT, arXiv 2109.01903; between the models before
    /// and after a task: Soup to Go, arXiv 2501.05559). Without `from`, the line begins at the base model.
    ///
    /// It is exact, and has the ranks of both: the rows of A one below the other, the columns of B side by side.
    /// [`rebased`](Self::rebased) brings it to another rank.
    ///
    /// # Errors
    /// [`AdapterError::NotCombined`] for other kinds than LoRA, [`AdapterError::Mismatch`] where the two have adapters in different
    /// layers or widths.
    pub fn interpolated(&self, from: Option<&Self>, alpha: f64) -> Result<Self, AdapterError> {
        check_interpolate(self.config(), from.map_or(self.config(), Self::config))?;
        let ranks = self.config().r + from.map_or(0, |from| from.config().r);
        let config = LoraConfig { r: ranks, ..self.config().clone() };
        // The scale stays what it is, whatever the rank.
        let scale = f64::from(self.config().scale());
        let per_alpha = f64::from(LoraConfig { alpha: 1.0, ..config.clone() }.scale());
        let config = LoraConfig { alpha: scale / per_alpha, ..config };
        let mut sites = BTreeMap::new();
        let mut of_from = from.map_or(0, |from| from.sites().count());
        for (at, site) in self.sites() {
            let [a, b] = pair(site)?;
            let b = (b * alpha)?;
            let (a, b) = match from {
                None => (a.clone(), b),
                Some(from) => {
                    let other = from.get(at.0, at.1).ok_or_else(|| in_other_layers(&at.1.module_path(at.0)))?;
                    of_from -= 1;
                    let [from_a, from_b] = pair(other)?;
                    let share = (1.0 - alpha) * f64::from(from.config().scale()) / scale;
                    (Tensor::cat(&[from_a, a], 0)?, Tensor::cat(&[&(from_b * share)?, &b], 1)?)
                }
            };
            sites.insert(at, Site::new(vec![a, b]));
        }
        if of_from > 0 {
            return Err(in_other_layers(&format!("{of_from} layers of one")));
        }
        Ok(Self::from_sites(config, sites))
    }
}

fn in_other_layers(path: &str) -> AdapterError {
    AdapterError::Mismatch(format!("two adapters are combined layer by layer, and the other has none in {path}"))
}

fn pair(site: &Site) -> Result<[&Tensor; 2], AdapterError> {
    match site.tensors() {
        [a, b] => Ok([a, b]),
        tensors => Err(AdapterError::Mismatch(format!("a layer has {} tensors, LoRA has two", tensors.len()))),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;
    use crate::adapter::{Projection, tiny_model};

    fn adapter(r: usize, alpha: f64, use_rslora: bool, seed: u64) -> Adapter {
        let config = LoraConfig { r, alpha, use_rslora, ..LoraConfig::default() };
        let fresh = Adapter::init(&config, &tiny_model(), seed).unwrap();
        let sites = fresh.sites().map(|(at, site)| {
            let [a, b] = pair(site).unwrap();
            (at, Site::new(vec![a.clone(), Tensor::rand(-0.1_f32, 0.1, b.shape(), &Device::Cpu).unwrap()]))
        });
        Adapter::from_sites(config, sites.collect())
    }

    fn change(adapter: &Adapter, at: (usize, Projection)) -> Vec<f64> {
        let [a, b] = pair(adapter.get(at.0, at.1).unwrap()).unwrap();
        let [a, b] = [a, b].map(|tensor| tensor.to_dtype(candle_core::DType::F64).unwrap());
        let product = (b.matmul(&a).unwrap() * f64::from(adapter.config().scale())).unwrap();
        product.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn greatest(values: &[f64]) -> f64 {
        values.iter().fold(0.0, |greatest, value| greatest.max(value.abs()))
    }

    fn distance(one: &[f64], other: &[f64]) -> f64 {
        greatest(&one.iter().zip(other).map(|(one, other)| one - other).collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn each_layer_is_changed_by_the_weighted_sum(
            seed: u64, ranks in (1_usize..6, 1_usize..6), alphas in (0.5..64.0, 0.5..64.0), rslora: bool, alpha in 0.0..1.0,
        ) {
            let (from, to) = (adapter(ranks.0, alphas.0, !rslora, seed), adapter(ranks.1, alphas.1, rslora, seed ^ 1));
            let between = to.interpolated(Some(&from), alpha).unwrap();
            between.check_fits(&tiny_model()).unwrap();
            prop_assert_eq!(between.config().r, ranks.0 + ranks.1);
            for (at, _) in to.sites() {
                let (from, to) = (change(&from, at), change(&to, at));
                let sum: Vec<f64> = from.iter().zip(&to).map(|(from, to)| (1.0 - alpha) * from + alpha * to).collect();
                let size = greatest(&from) + greatest(&to);
                prop_assert!(distance(&change(&between, at), &sum) < 1e-5 * size);
            }
        }
    }

    #[test]
    fn the_ends_are_the_two_and_without_one_the_base_model() {
        let (from, to) = (adapter(2, 4.0, false, 1), adapter(2, 4.0, false, 2));
        for (alpha, end) in [(0.0, &from), (1.0, &to)] {
            let between = to.interpolated(Some(&from), alpha).unwrap();
            let brought_back = between.rebased(to.config(), &tiny_model(), 0).unwrap();
            assert!(brought_back.kept > 1.0 - 1e-12, "{}", brought_back.kept);
            for (at, _) in to.sites() {
                let end = change(end, at);
                let distance = distance(&change(&brought_back.adapter, at), &end);
                assert!(distance < 1e-5 * greatest(&end), "{distance} in {at:?} at {alpha}");
            }
        }
        let half = to.interpolated(None, 0.5).unwrap();
        assert_eq!(half.config(), to.config());
        let at = (1, Projection::UpProj);
        assert!(change(&half, at).iter().zip(change(&to, at)).all(|(half, whole)| (2.0 * half - whole).abs() < 1e-7));
    }

    #[test]
    fn what_cannot_be_combined_is_named() {
        let to = adapter(2, 4.0, false, 1);
        let refused =
            check_interpolate(to.config(), &LoraConfig { kind: Kind::DORA, ..to.config().clone() }).unwrap_err();
        assert!(refused.to_string().contains("dora"), "{refused}");
        let few = LoraConfig { target_modules: [Projection::QProj].into(), ..to.config().clone() };
        let few = Adapter::init(&few, &tiny_model(), 1).unwrap();
        for refused in [to.interpolated(Some(&few), 0.5).unwrap_err(), few.interpolated(Some(&to), 0.5).unwrap_err()] {
            assert!(refused.to_string().contains("layer"), "{refused}");
        }
    }
}
