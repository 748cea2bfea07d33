use std::collections::BTreeMap;

use perennial_types::SampleId;

use super::{Policy, repeated, similar::ordered};
use crate::replay::Pool;

/// Rows that cover the buffer: the greedy k-centre of Gonzalez ("Clustering to minimize the maximum intercluster distance",
/// 1985), as Sener and Savarese use it to choose a core-set ("Active Learning for Convolutional Neural Networks", 2018). Each
/// centre is the row furthest from all before it. When there are [`CENTRES_MAX`] of them, the other rows follow centre by centre in
/// turn, each with the centre that it is nearest to.
pub(super) struct Diverse;

/// Each costs the distance to every row.
const CENTRES_MAX: usize = 256;

impl Policy for Diverse {
    fn name(&self) -> &'static str {
        "diverse"
    }

    fn reads_space(&self) -> bool {
        true
    }

    fn order(&self, pool: &Pool<'_>) -> Vec<usize> {
        let ids: Vec<SampleId> = pool.rows().iter().map(|row| row.id).collect();
        let mut nearest = vec![(f32::INFINITY, 0_usize); ids.len()];
        let mut centres: Vec<usize> = Vec::new();
        let mut is_centre = vec![false; ids.len()];
        while centres.len() < CENTRES_MAX.min(ids.len()) {
            let open = (0..ids.len()).filter(|place| !is_centre[*place]);
            let furthest = open.max_by(|one, other| {
                let key = |place: &usize| (ordered(nearest[*place].0), pool.lot(*place));
                key(one).cmp(&key(other))
            });
            let Some(centre) = furthest else { break };
            let distances = pool.space().map(|space| space.to_row(ids[centre], &ids)).unwrap_or_default();
            for (known, distance) in nearest.iter_mut().zip(distances) {
                if ordered(distance) < ordered(known.0) {
                    *known = (distance, centres.len());
                }
            }
            is_centre[centre] = true;
            centres.push(centre);
        }
        let mut clusters: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for place in (0..ids.len()).filter(|place| !is_centre[*place]) {
            clusters.entry(nearest[place].1).or_default().push(place);
        }
        let mut rest = Vec::new();
        for (cluster, mut places) in clusters {
            places.sort_by_key(|place| pool.lot(*place));
            rest.extend(places.into_iter().enumerate().map(|(turn, place)| (turn, cluster, place)));
        }
        rest.sort_unstable();
        centres.extend(rest.into_iter().map(|(_, _, place)| place));
        repeated(pool, &centres)
    }
}
