/// Packs sequences into rows of at most `tokens_max` tokens by best-fit decreasing, as TRL does it: longest first, each
/// into the fullest row that still takes it. Gives the indices of the sequences per row. A sequence that is longer than
/// a row gets one to itself.
///
/// Depends on the lengths alone: equals keep the order of their indices.
pub(super) fn pack(lengths: &[usize], tokens_max: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|index| (std::cmp::Reverse(lengths[*index]), *index));
    let mut rows: Vec<(usize, Vec<usize>)> = Vec::new();
    for index in order {
        let length = lengths[index];
        let fits = rows.iter_mut().filter(|(free, _)| *free >= length).min_by_key(|(free, _)| *free);
        match fits {
            Some((free, row)) => {
                *free -= length;
                row.push(index);
            }
            None => rows.push((tokens_max.saturating_sub(length), vec![index])),
        }
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_the_fullest_row_that_fits() {
        assert_eq!(pack(&[3, 6, 5, 4, 2], 10), [vec![1, 3], vec![2, 0, 4]]);
        assert_eq!(pack(&[30, 2], 10), [vec![0], vec![1]]);
        assert!(pack(&[], 10).is_empty());
    }

    proptest! {
        #[test]
        fn every_sequence_is_in_one_row_that_holds_it(lengths in prop::collection::vec(1_usize..60, 0..80), tokens_max in 1_usize..80) {
            let rows = pack(&lengths, tokens_max);
            let mut all: Vec<usize> = rows.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
            for row in &rows {
                let tokens: usize = row.iter().map(|index| lengths[*index]).sum();
                prop_assert!(tokens <= tokens_max || row.len() == 1);
            }
            // Two rows that are both less than half full would have been one.
            let half_empty = rows.iter().filter(|row| row.iter().map(|i| lengths[*i]).sum::<usize>() * 2 <= tokens_max).count();
            prop_assert!(half_empty <= 1);
        }
    }
}
