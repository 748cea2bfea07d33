use std::collections::BTreeMap;

use super::{Adapter, AdapterError, Kind, Projection, rebase::Change};

/// How large the change is that an adapter makes to a kind of layers, and how many directions it is spread over.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spectrum {
    /// The Frobenius norm of the changes of all layers together.
    pub norm: f64,
    /// The mean over layers of the stable rank ‖ΔW‖²_F / ‖ΔW‖²₂ (Rudelson and Vershynin, 2007): 1 where one direction is all there
    /// is, the rank itself where all directions are as strong. Layers without a change do not count.
    pub stable_rank: f64,
}

impl Adapter {
    /// The spectrum of `scale · B · A` for each kind of layers; `None` for adapters that are not plain LoRA, or not finite.
    ///
    /// # Errors
    /// [`AdapterError::Tensors`]
    pub fn spectrum(&self) -> Result<Option<BTreeMap<Projection, Spectrum>>, AdapterError> {
        if self.config().kind != Kind::LORA {
            return Ok(None);
        }
        let mut sums: BTreeMap<Projection, (f64, f64, usize)> = BTreeMap::new();
        for ((_, projection), site) in self.sites() {
            let Some(change) = Change::of(site, self.config().scale())? else { return Ok(None) };
            let squares = change.values.iter().map(|value| value * value).sum::<f64>();
            let greatest = change.values.iter().fold(0.0_f64, |greatest, value| greatest.max(*value));
            let sum = sums.entry(projection).or_default();
            sum.0 += squares;
            if greatest > 0.0 {
                (sum.1, sum.2) = (sum.1 + squares / (greatest * greatest), sum.2 + 1);
            }
        }
        let spectrum = |(squares, ranks, layers): (f64, f64, usize)| Spectrum {
            norm: squares.sqrt(),
            stable_rank: ranks / layers.max(1) as f64,
        };
        Ok(Some(sums.into_iter().map(|(projection, sums)| (projection, spectrum(sums))).collect()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::adapter::{LoraConfig, Site, tiny_model};

    #[test]
    fn norm_and_stable_rank_are_those_of_the_change() {
        let config =
            LoraConfig { r: 3, alpha: 6.0, target_modules: [Projection::QProj].into(), ..LoraConfig::default() };
        let fresh = Adapter::init(&config, &tiny_model(), 1).unwrap();
        assert_eq!(fresh.spectrum().unwrap().unwrap()[&Projection::QProj], Spectrum::default());
        // Rows of A and columns of B along the axes, so that the singular values are 2 · 3, 2 · 1 and 2 · 1.
        let sites = fresh.sites().map(|(at, site)| {
            let [a, b] = site.tensors() else { panic!("two matrices") };
            let axes = |rows: usize, columns: usize, values: [f32; 3]| {
                let of = |i: usize| if i / columns == i % columns { values[i / columns] } else { 0.0 };
                Tensor::from_vec((0..rows * columns).map(of).collect(), (rows, columns), &Device::Cpu).unwrap()
            };
            let (inputs, outputs) = (a.dim(1).unwrap(), b.dim(0).unwrap());
            (at, Site::new(vec![axes(3, inputs, [1.0; 3]), axes(outputs, 3, [3.0, 1.0, -1.0])]))
        });
        let adapter = Adapter::from_sites(config.clone(), sites.collect());
        let found = adapter.spectrum().unwrap().unwrap()[&Projection::QProj];
        assert!((found.norm - 88.0_f64.sqrt()).abs() < 1e-5, "{found:?}");
        assert!((found.stable_rank - 44.0 / 36.0).abs() < 1e-5, "{found:?}");
    }
}
