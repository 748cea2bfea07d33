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
        match from {
            None => side_by_side(&[(self, alpha)]),
            Some(from) => side_by_side(&[(from, 1.0 - alpha), (self, alpha)]),
        }
    }

    /// The adapter that changes each layer by `s · B · A + weight · s' · B' · A'`, the second being `other`'s: exact, in the ranks of both
    /// and with the scale of `other`. The first rows of A are this one's own.
    ///
    /// # Errors
    /// As [`interpolated`](Self::interpolated).
    pub fn plus(&self, weight: f64, other: &Self) -> Result<Self, AdapterError> {
        side_by_side(&[(self, 1.0), (other, weight)])
    }
}

/// The weighted sum of what adapters change, with the scale of the last: the rows of A one below the other, the columns of B side by
/// side.
fn side_by_side(parts: &[(&Adapter, f64)]) -> Result<Adapter, AdapterError> {
    let Some((last, _)) = parts.last() else {
        return Err(AdapterError::Invalid("a sum of no adapters has no shape".to_owned()));
    };
    for (adapter, _) in parts {
        check_interpolate(adapter.config(), last.config())?;
        if adapter.sites().count() > last.sites().count() {
            return Err(in_other_layers("some layers of one"));
        }
    }
    let ranks: usize = parts.iter().map(|(adapter, _)| adapter.config().r).sum();
    let config = LoraConfig { r: ranks, ..last.config().clone() };
    // The scale stays what it is, whatever the rank.
    let scale = f64::from(last.config().scale());
    let per_alpha = f64::from(LoraConfig { alpha: 1.0, ..config.clone() }.scale());
    let alpha = if ranks == last.config().r { config.alpha } else { scale / per_alpha };
    let config = LoraConfig { alpha, ..config };
    let mut sites = BTreeMap::new();
    for (at, _) in last.sites() {
        let (mut rows, mut columns) = (Vec::new(), Vec::new());
        for (adapter, weight) in parts {
            let site = adapter.get(at.0, at.1).ok_or_else(|| in_other_layers(&at.1.module_path(at.0)))?;
            let [a, b] = pair(site)?;
            rows.push(a.clone());
            columns.push((b * (weight * (f64::from(adapter.config().scale()) / scale)))?);
        }
        sites.insert(at, Site::new(vec![Tensor::cat(&rows, 0)?, Tensor::cat(&columns, 1)?]));
    }
    Ok(Adapter::from_sites(config, sites))
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
        // A scale that single precision does not hold makes no other shape.
        let odd = adapter(3, 0.7, false, 3);
        assert_eq!(odd.interpolated(None, 0.5).unwrap().config(), odd.config());
        let at = (1, Projection::UpProj);
        assert!(change(&half, at).iter().zip(change(&to, at)).all(|(half, whole)| (2.0 * half - whole).abs() < 1e-7));
    }

    #[test]
    fn a_sum_has_the_first_ones_numbers_first() {
        let (one, other) = (adapter(4, 8.0, true, 1), adapter(4, 8.0, true, 2));
        let sum = one.plus(1.0, &other).unwrap();
        assert!((sum.config().scale() - one.config().scale()).abs() < 1e-6);
        let without = sum.plus(-1.0, &other).unwrap();
        for (at, site) in sum.sites() {
            let [[a, b], [own_a, own_b]] = [site, one.get(at.0, at.1).unwrap()].map(|site| pair(site).unwrap());
            let numbers = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(numbers(&a.narrow(0, 0, 4).unwrap()), numbers(own_a));
            assert_eq!(numbers(&b.narrow(1, 0, 4).unwrap()), numbers(own_b));
            let [one, other] = [&one, &other].map(|adapter| change(adapter, at));
            let both: Vec<f64> = one.iter().zip(&other).map(|(one, other)| one + other).collect();
            let size = greatest(&one) + greatest(&other);
            assert!(distance(&change(&sum, at), &both) < 1e-5 * size);
            assert!(distance(&change(&without, at), &one) < 1e-5 * size);
        }
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
