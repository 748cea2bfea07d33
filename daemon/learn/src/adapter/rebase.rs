use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use nalgebra::DMatrix;

use super::{Adapter, AdapterError, Kind, LoraConfig, Site, jacobi};
use crate::model::ModelConfig;

/// Sweeps of the decomposition per row of its matrix, after which it is given up. It takes a handful.
const SWEEPS_MAX: usize = 1000;
/// How far the parts of a matrix may be from it when they are put together again, as a share of its norm.
const RECONSTRUCTION_MAX: f64 = 1e-10;

/// That an adapter of one shape can be brought into another at all.
///
/// # Errors
/// [`AdapterError::NotRebased`], where either is not plain LoRA.
pub fn check_rebase(adapter: &LoraConfig, config: &LoraConfig) -> Result<(), AdapterError> {
    if [adapter.kind, config.kind] == [Kind::LORA; 2] {
        return Ok(());
    }
    Err(AdapterError::NotRebased { adapter: adapter.kind.name(), config: config.kind.name() })
}

/// An adapter in another shape.
#[derive(Clone, Debug)]
pub struct Rebased {
    /// The same change of the base model, or the nearest to it that the shape can hold.
    pub adapter: Adapter,
    /// The share of the squared Frobenius norm of all changes that is kept: 1 where nothing was cut off.
    pub kept: f64,
}

impl Adapter {
    /// The adapter in the shape of a configuration, with the change `scale · B · A` of each layer as it is.
    ///
    /// A lower rank keeps the largest singular values: no other matrix of that rank is nearer (Eckart and Young, 1936). A
    /// higher one gets the rest of A from a fresh adapter and zeros in B, so that it begins with the same change and has
    /// more to learn with. Layers that had no adapter get a fresh one. The root of each singular value goes to either side.
    ///
    /// # Errors
    /// [`AdapterError::NotRebased`] for other kinds than LoRA, [`AdapterError::Invalid`] for a senseless configuration,
    /// [`AdapterError::Mismatch`] where a layer would lose its adapter, the adapter is not of this model, or a change cannot be
    /// decomposed (it is not finite).
    pub fn rebased(&self, config: &LoraConfig, model: &ModelConfig, seed: u64) -> Result<Rebased, AdapterError> {
        check_rebase(self.config(), config)?;
        self.check_fits(model)?;
        let fresh = Self::init(config, model, seed)?;
        let (mut whole, mut kept) = (0.0, 0.0);
        let mut pairs: BTreeMap<_, _> = fresh.sites().map(|(at, site)| (at, site.clone())).collect();
        for ((layer, projection), site) in self.sites() {
            let path = projection.module_path(layer);
            let Some(fresh) = pairs.get_mut(&(layer, projection)) else {
                let problem = format!("{path} has an adapter, and none in the shape that is wanted");
                return Err(AdapterError::Mismatch(problem));
            };
            let change = Change::of(site, self.config().scale())?.ok_or_else(|| {
                AdapterError::Mismatch(format!("the change of {path} has no singular values: it is not finite"))
            })?;
            let squares = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
            let rank = config.r.min(change.values.len());
            whole += squares(&change.values);
            kept += squares(&change.values[..rank]);
            *fresh = change.written_into(fresh, config.scale(), rank)?;
        }
        let kept = if whole > 0.0 { kept / whole } else { 1.0 };
        Ok(Rebased { adapter: Self::from_sites(config.clone(), pairs), kept })
    }
}

/// `scale · B · A` as `left · diag(values) · right`, the largest value first.
pub(super) struct Change {
    /// `[out, rank]`, orthonormal columns.
    left: DMatrix<f64>,
    pub(super) values: Vec<f64>,
    /// `[rank, in]`, orthonormal rows.
    right: DMatrix<f64>,
}

impl Change {
    /// The product is never formed: both factors are reduced to their triangles first, and what is decomposed is as wide as
    /// the rank. `None` where that has no end.
    pub(super) fn of(site: &Site, scale: f32) -> Result<Option<Self>, AdapterError> {
        let [a, b] = matrices(site)?;
        let b = b * f64::from(scale);
        if !b.iter().chain(&a).all(|number| number.is_finite()) {
            return Ok(None);
        }
        let (b, a) = (b.qr(), a.transpose().qr());
        let core = b.r() * a.r().transpose();
        let sweeps = SWEEPS_MAX * core.nrows().max(1);
        let Some(svd) = core.clone().try_svd(true, true, f64::EPSILON, sweeps) else { return Ok(None) };
        let (Some(left), Some(right)) = (svd.u, svd.v_t) else { return Ok(None) };
        let values: Vec<f64> = svd.singular_values.iter().copied().collect();
        let again = &left * DMatrix::from_diagonal(&svd.singular_values) * &right;
        let (left, values, right) = match (again - &core).norm() <= RECONSTRUCTION_MAX * core.norm() {
            true => (left, values, right),
            // Where the matrix has not its full rank, what comes of that may not be the matrix.
            false => {
                let (left, values, right) = jacobi::svd(&core);
                (left, values, right.transpose())
            }
        };
        Ok(Some(Self { left: b.q() * left, values, right: right * a.q().transpose() }))
    }

    /// The first `rank` of its values in the place of as many rows of A and columns of B.
    fn written_into(&self, fresh: &Site, scale: f32, rank: usize) -> Result<Site, AdapterError> {
        let [mut a, mut b] = matrices(fresh)?;
        for (at, value) in self.values.iter().take(rank).enumerate() {
            let root = (value / f64::from(scale)).sqrt();
            a.row_mut(at).copy_from(&(self.right.row(at) * root));
            b.column_mut(at).copy_from(&(self.left.column(at) * root));
        }
        Ok(Site::new(vec![tensor(&a)?, tensor(&b)?]))
    }
}

/// A and B.
fn matrices(site: &Site) -> Result<[DMatrix<f64>; 2], AdapterError> {
    let [a, b] = site.tensors() else {
        return Err(AdapterError::Mismatch(format!("a layer has {} tensors, LoRA has two", site.tensors().len())));
    };
    Ok([matrix(a)?, matrix(b)?])
}

fn matrix(tensor: &Tensor) -> Result<DMatrix<f64>, AdapterError> {
    let (rows, columns) = tensor.dims2()?;
    let numbers: Vec<f64> = tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
    Ok(DMatrix::from_row_slice(rows, columns, &numbers))
}

fn tensor(matrix: &DMatrix<f64>) -> Result<Tensor, AdapterError> {
    // Columns lie one after the other.
    let numbers: Vec<f32> = matrix.transpose().iter().map(|number| *number as f32).collect();
    Ok(Tensor::from_vec(numbers, matrix.shape(), &Device::Cpu)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::adapter::{Projection, tiny_model};

    fn shape(r: usize, alpha: f64) -> LoraConfig {
        LoraConfig { r, alpha, ..LoraConfig::default() }
    }

    /// An adapter that changes something.
    fn trained(config: &LoraConfig, seed: u64) -> Adapter {
        let fresh = Adapter::init(config, &tiny_model(), seed).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        with_b(&fresh, |_| random.random_range(-0.1..0.1))
    }

    /// The adapter with other numbers in B.
    fn with_b(adapter: &Adapter, mut number: impl FnMut(f32) -> f32) -> Adapter {
        let sites = adapter.sites().map(|(at, site)| {
            let (values, [a, b]) = (site.values().unwrap(), site.tensors()) else { panic!("two matrices") };
            let numbers: Vec<f32> = values[1].iter().map(|value| number(*value)).collect();
            (at, Site::new(vec![a.clone(), Tensor::from_vec(numbers, b.shape(), &Device::Cpu).unwrap()]))
        });
        Adapter::from_sites(adapter.config().clone(), sites.collect())
    }

    fn changes(adapter: &Adapter) -> Vec<DMatrix<f64>> {
        let change = |site: &Site| {
            let [a, b] = matrices(site).unwrap();
            b * a * f64::from(adapter.config().scale())
        };
        adapter.sites().map(|(_, site)| change(site)).collect()
    }

    fn rebased(adapter: &Adapter, config: &LoraConfig) -> Rebased {
        let rebased = adapter.rebased(config, &tiny_model(), 3).unwrap();
        rebased.adapter.check_fits(&tiny_model()).unwrap();
        assert_eq!(rebased.adapter.config(), config);
        rebased
    }

    proptest! {
        #[test]
        fn a_shape_with_room_enough_changes_nothing(seed: u64, r in 1_usize..6, more in 0_usize..6, alpha in 0.5..64.0) {
            let adapter = trained(&shape(r, 16.0), seed);
            let Rebased { adapter: other, kept } = rebased(&adapter, &shape(r + more, alpha));
            prop_assert!((kept - 1.0).abs() < 1e-12);
            for (before, after) in changes(&adapter).iter().zip(changes(&other)) {
                prop_assert!((before - after).norm() <= 1e-5 * before.norm());
            }
        }
    }

    #[test]
    fn a_lower_rank_keeps_as_much_as_any_matrix_of_that_rank_can() {
        let adapter = trained(&shape(6, 12.0), 1);
        let Rebased { adapter: other, kept } = rebased(&adapter, &shape(2, 4.0));
        let (mut lost, mut whole) = (0.0, 0.0);
        for (before, after) in changes(&adapter).iter().zip(changes(&other)) {
            let values = before.clone().svd(false, false).singular_values;
            let least = values.iter().skip(2).map(|value| value * value).sum::<f64>();
            let distance = (before - after).norm_squared();
            assert!((distance - least).abs() < 1e-6 * before.norm_squared(), "{distance} instead of {least}");
            lost += distance;
            whole += before.norm_squared();
        }
        assert!((kept - (1.0 - lost / whole)).abs() < 1e-6 && kept < 0.99, "{kept}");
    }

    #[test]
    fn what_is_added_can_learn_and_is_seeded() {
        let adapter = trained(&shape(2, 4.0), 1);
        let wide = rebased(&adapter, &shape(4, 8.0)).adapter;
        let (_, site) = wide.sites().next().unwrap();
        let rows: Vec<Vec<f32>> = site.tensors()[0].to_vec2().unwrap();
        assert!(rows.iter().all(|row| row.iter().any(|number| *number != 0.0)), "a row of zeros learns nothing");
        let same = rebased(&adapter, &shape(4, 8.0)).adapter;
        assert_eq!(wide.fingerprint().unwrap(), same.fingerprint().unwrap());
    }

    #[test]
    fn an_adapter_without_effect_keeps_having_none() {
        let fresh = Adapter::init(&shape(4, 8.0), &tiny_model(), 1).unwrap();
        let Rebased { adapter, kept } = rebased(&fresh, &shape(2, 4.0));
        assert!(adapter.has_no_effect(&tiny_model()).unwrap() && kept == 1.0);
    }

    #[test]
    fn layers_are_added_and_never_dropped() {
        let few = LoraConfig { target_modules: [Projection::QProj].into(), ..shape(4, 8.0) };
        let all = shape(4, 8.0);
        let adapter = trained(&few, 1);
        assert_eq!(rebased(&adapter, &all).adapter.sites().count(), 14);
        let refused = trained(&all, 1).rebased(&few, &tiny_model(), 3).unwrap_err();
        assert!(refused.to_string().contains("has an adapter, and none in the shape"), "{refused}");
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        let adapter = trained(&shape(2, 4.0), 1);
        let broken = with_b(&adapter, |_| f32::INFINITY);
        let refused = broken.rebased(&shape(1, 2.0), &tiny_model(), 3).unwrap_err();
        assert!(refused.to_string().contains("not finite"), "{refused}");
    }
}
