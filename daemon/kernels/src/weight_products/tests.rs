use half::bf16;

use super::*;
use crate::testing::{assert_close, noise};

#[test]
fn some_rows_are_a_weight() {
    let values = noise(12 * 5, 1);
    for weight in [
        Weight::from_f32(values.clone(), 12, 5),
        Weight::from_bf16(values.iter().map(|value| bf16::from_f32(*value)).collect(), 12, 5),
    ] {
        let (part, mut row, mut same) = (weight.rows(3..9), vec![0.0; 5], vec![0.0; 5]);
        part.row_into(2, &mut row);
        weight.row_into(5, &mut same);
        assert_eq!(row, same);
        assert_close(&row, &values[25..30], 5e-3);
        let (x, mut all, mut some) = (noise(2 * 5, 2), vec![0.0; 24], vec![0.0; 12]);
        weight.product(MatMut::new(&mut all, 2, 12), Into::Set, Mat::new(&x, 2, 5));
        part.product(MatMut::new(&mut some, 2, 6), Into::Set, Mat::new(&x, 2, 5));
        assert_eq!(some, [&all[3..9], &all[15..21]].concat());
        assert_eq!(part.le_bytes().len(), weight.le_bytes().len() / 2);
    }
}

#[test]
fn prepacked_weights_give_the_same() {
    let values = noise(300 * 70, 1);
    let weights = || {
        let rounded = values.iter().map(|value| bf16::from_f32(*value)).collect();
        [
            Weight::from_f32(values.clone(), 300, 70),
            Weight::from_bf16(rounded, 300, 70),
            Weight::from_f32(noise(5 * 4099, 3), 5, 4099),
        ]
    };
    let mut packed = weights();
    Weight::prepack(packed.iter_mut().collect()).unwrap();
    for (packed, plain) in packed.iter().zip(weights()) {
        for rows in [1, 8, 33, 200] {
            let x = noise(rows * plain.inputs(), 2);
            let [one, other] = [packed, &plain].map(|weight| {
                let mut y = vec![0.0; rows * weight.outputs()];
                let dst = MatMut::new(&mut y, rows, weight.outputs());
                weight.product(dst, Into::Set, Mat::new(&x, rows, weight.inputs()));
                y
            });
            assert_eq!(one, other);
        }
    }
}

#[test]
fn an_adapter_may_be_wider_than_a_stretch() {
    let (inputs, rank, outputs) = (8, 2051, 20);
    let (x, down) = (noise(inputs, 1), noise(rank, 2));
    let weights = || {
        let b = Weight::from_f32(noise(outputs * rank, 4), outputs, rank);
        [Weight::from_f32(noise(outputs * inputs, 3), outputs, inputs), b]
    };
    let run = |[w, b]: &[Weight; 2]| {
        let mut y = vec![0.0; outputs];
        let (x, low_rank) = (&Shared::new(Mat::new(&x, 1, inputs), 1), Some((b, Mat::new(&down, 1, rank))));
        let dst = MatMut::new(&mut y, 1, outputs);
        products(vec![WeightProduct { weight: w, transposed: false, x, low_rank, y: dst, into: Into::Set }]);
        y
    };
    let (plain, mut packed) = (weights(), weights());
    let mut expected = vec![0.0; outputs];
    plain[0].product(MatMut::new(&mut expected, 1, outputs), Into::Set, Mat::new(&x, 1, inputs));
    plain[1].product(MatMut::new(&mut expected, 1, outputs), Into::Add, Mat::new(&down, 1, rank));
    assert_close(&run(&plain), &expected, 1e-5);
    Weight::prepack(packed.iter_mut().collect()).unwrap();
    assert_eq!(run(&packed), run(&plain));
}
