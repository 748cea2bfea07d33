//! The shares of the loss, by where samples come from.

use std::collections::BTreeMap;

use perennial_data::mix::Origin;
use perennial_learn::train::{Shares, WEIGHT_MAX};

use super::StageManifest;

/// How much smaller than configured a share is before that is told, as a part of it.
const LESS_TOLD: f64 = 0.05;

/// The shares of units of these origins, and what is to be told of them; `None` where the manifest says nothing of shares.
pub(super) fn of(manifest: &StageManifest, origins: &[Origin]) -> Option<(Shares, Vec<String>)> {
    let configured = manifest.shares?;
    let mut places: BTreeMap<Origin, usize> = origins.iter().map(|origin| (*origin, 0)).collect();
    places.values_mut().enumerate().for_each(|(place, of)| *of = place);
    let groups = origins.iter().map(|origin| places[origin]).collect();
    let of_group = places.keys().map(|origin| configured.of(*origin)).collect();
    let shares = Shares { groups, of_group, weighting: manifest.train.loss_weighting };
    let effective = shares.effective();
    let told = places.iter().filter_map(|(origin, place)| {
        let (wanted, found) = (configured.of(*origin), effective[*place]);
        let samples = shares.groups.iter().filter(|group| *group == place).count();
        (found < wanted * (1.0 - LESS_TOLD)).then(|| {
            format!(
                "{samples} {} samples have {:.1} % of the loss, where {:.1} % are configured: no sample counts for more than \
                 {WEIGHT_MAX} others",
                origin.as_str(),
                100.0 * found,
                100.0 * wanted
            )
        })
    });
    let told = told.collect();
    Some((shares, told))
}
