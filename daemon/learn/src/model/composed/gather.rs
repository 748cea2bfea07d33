use candle_core::{D, DType, Device, Result, Tensor};

/// Takes rows of a matrix, and brings gradients back to them, in fixed order: candle's `index_add` goes through all places
/// one after another.
pub(crate) struct Gather {
    /// The row of each place.
    forth: Tensor,
    /// Where the gradient of each row lies among those of the places, one of zeros, and `sums`.
    back: Tensor,
    sums: Option<Sums>,
}

/// The rows that are taken several times: the sum of their places is their gradient.
struct Sums {
    /// `[rows · most]`, filled up with the place of zeros.
    places: Tensor,
    rows: usize,
    /// The most often that one is taken.
    most: usize,
}

impl Gather {
    /// To each place goes a row of `rows`; to one without, any row, and nothing comes back from it.
    pub(crate) fn new(of_places: &[Option<u32>], rows: usize, device: &Device) -> Result<Self> {
        let mut places_of = vec![Vec::new(); rows];
        for (place, row) in (0_u32..).zip(of_places) {
            if let Some(row) = row {
                places_of[*row as usize].push(place);
            }
        }
        let most = places_of.iter().map(Vec::len).max().unwrap_or(0);
        let zeros = of_places.len() as u32;
        let (mut back, mut summed) = (Vec::with_capacity(rows), Vec::new());
        for places in &places_of {
            back.push(match places[..] {
                [] => zeros,
                [place] => place,
                _ => {
                    summed.extend(places);
                    summed.resize(summed.len() + most - places.len(), zeros);
                    zeros + (summed.len() / most) as u32
                }
            });
        }
        let forth = of_places.iter().map(|row| row.unwrap_or(0)).collect();
        let indices = |values: Vec<u32>| {
            let len = values.len();
            Tensor::from_vec(values, len, device)
        };
        let rows = summed.len().checked_div(most).unwrap_or(0);
        let sums = if rows == 0 { None } else { Some(Sums { places: indices(summed)?, rows, most }) };
        Ok(Self { forth: indices(forth)?, back: indices(back)?, sums })
    }

    /// The row of each place: `[rows, cols]` to `[places, cols]`.
    pub(crate) fn forth(&self, rows: &Tensor) -> Result<Tensor> {
        rows.index_select(&self.forth, 0)
    }

    /// The gradients of the rows, given those of the places: `[places, cols]` to `[rows, cols]`.
    pub(crate) fn back(&self, places: &Tensor) -> Result<Tensor> {
        let cols = places.dim(D::Minus1)?;
        let zeros = Tensor::zeros((1, cols), places.dtype(), places.device())?;
        let places = Tensor::cat(&[places, &zeros], 0)?;
        let Some(Sums { places: summed, rows, most }) = &self.sums else {
            return places.index_select(&self.back, 0);
        };
        let sums = places.index_select(summed, 0)?.reshape((*rows, *most, cols))?;
        let sums = sums.to_dtype(DType::F32)?.sum(1)?.to_dtype(places.dtype())?;
        Tensor::cat(&[&places, &sums], 0)?.index_select(&self.back, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_the_sum_of_a_rows_places() {
        let gather = Gather::new(&[Some(2), None, Some(0), Some(2), Some(3), Some(2)], 4, &Device::Cpu).unwrap();
        let rows = Tensor::new(&[[0_f32, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]], &Device::Cpu).unwrap();
        let forth: Vec<Vec<f32>> = gather.forth(&rows).unwrap().to_vec2().unwrap();
        assert_eq!([&forth[0], &forth[2], &forth[4]], [&[4.0, 5.0], &[0.0, 1.0], &[6.0, 7.0]]);
        let places = Tensor::new(&[[1_f32], [100.0], [2.0], [4.0], [8.0], [16.0]], &Device::Cpu).unwrap();
        assert_eq!(gather.back(&places).unwrap().to_vec2::<f32>().unwrap(), [[2.0], [0.0], [21.0], [8.0]]);
    }
}
