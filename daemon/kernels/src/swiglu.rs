use rayon::prelude::*;

use crate::{element::Element, exp::sigmoid_inline, rows::TASK_VALUES, vectorized::vectorized};

/// `y = silu(gate) · up`, value by value (arXiv 2002.05202).
///
/// # Panics
/// Where lengths differ.
pub fn swiglu<X: Element, Y: Element>(y: &mut [Y], gate: &[X], up: &[X]) {
    assert!(y.len() == gate.len() && y.len() == up.len(), "operands of swiglu");
    let tasks = y.par_chunks_mut(TASK_VALUES).zip(gate.par_chunks(TASK_VALUES)).zip(up.par_chunks(TASK_VALUES));
    tasks.for_each(|((y, gate), up)| forward(y, gate, up));
}

/// The gradients of gate and up, given that of y.
///
/// # Panics
/// Where lengths differ.
pub fn swiglu_backward<E: Element>(d_gate: &mut [E], d_up: &mut [E], gate: &[E], up: &[E], dy: &[f32]) {
    let lens = [d_gate.len(), d_up.len(), gate.len(), up.len()];
    assert!(lens.iter().all(|len| *len == dy.len()), "operands of swiglu's backward pass");
    let inputs = gate.par_chunks(TASK_VALUES).zip(up.par_chunks(TASK_VALUES));
    let outputs = d_gate.par_chunks_mut(TASK_VALUES).zip(d_up.par_chunks_mut(TASK_VALUES));
    let tasks = outputs.zip(inputs).zip(dy.par_chunks(TASK_VALUES));
    tasks.for_each(|(((d_gate, d_up), (gate, up)), dy)| backward(d_gate, d_up, gate, up, dy));
}

vectorized! {
    fn forward<X: Element, Y: Element>(y: &mut [Y], gate: &[X], up: &[X]) {
        for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
            let gate = gate.to_f32();
            *y = Y::from_f32(gate * sigmoid_inline(gate) * up.to_f32());
        }
    }
}

vectorized! {
    /// d silu(x) / dx = σ(x) · (1 + x · (1 − σ(x)))
    fn backward<E: Element>(d_gate: &mut [E], d_up: &mut [E], gate: &[E], up: &[E], dy: &[f32]) {
        let inputs = gate.iter().zip(up).zip(dy);
        for ((d_gate, d_up), ((gate, up), dy)) in d_gate.iter_mut().zip(d_up.iter_mut()).zip(inputs) {
            let (gate, up) = (gate.to_f32(), up.to_f32());
            let sigmoid = sigmoid_inline(gate);
            *d_up = E::from_f32(dy * gate * sigmoid);
            *d_gate = E::from_f32(dy * up * sigmoid * (1.0 + gate * (1.0 - sigmoid)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_independent_of_threads, check_slopes, noise};

    fn of(gate: &[f32], up: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; gate.len()];
        swiglu(&mut y, gate, up);
        y
    }

    #[test]
    fn agrees_with_the_formula() {
        let (gate, up): (Vec<f32>, Vec<f32>) = (noise(7001, 1).iter().map(|x| 20.0 * x).collect(), noise(7001, 2));
        let formula = |(gate, up): (&f32, &f32)| {
            let gate = f64::from(*gate);
            (gate / (1.0 + (-gate).exp()) * f64::from(*up)) as f32
        };
        let expected: Vec<f32> = gate.iter().zip(&up).map(formula).collect();
        assert_close(&of(&gate, &up), &expected, 1e-6);
    }

    #[test]
    fn gradients() {
        let (gate, up, dy) = (noise(45, 1), noise(45, 2), noise(45, 3));
        let (mut d_gate, mut d_up) = (vec![0.0; 45], vec![0.0; 45]);
        swiglu_backward(&mut d_gate, &mut d_up, &gate, &up, &dy);
        check_slopes(&gate, &d_gate, |gate| (of(gate, &up), dy.clone()));
        check_slopes(&up, &d_up, |up| (of(&gate, up), dy.clone()));
    }

    #[test]
    fn does_not_depend_on_threads() {
        let (gate, up) = (noise(50 * 1536, 1), noise(50 * 1536, 2));
        assert_independent_of_threads(|| of(&gate, &up));
    }
}
