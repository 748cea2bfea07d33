//! How fast products with frozen weights are, over the shapes of SmolLM2-135M, beside the `gemm` crate, which candle
//! multiplies f32 with (it has no product of bf16: there it multiplies the same numbers in f32). One call of each in turn;
//! medians. Weights are taken from a set that no cache holds, as a model's are, though in pages of 4 KiB, which a model's are
//! not. The last line is JSON: what the processor can do at most, with all cores.
//!
//! `cargo run --release -p perennial-kernels --example products [ISA]`
#![expect(clippy::print_stdout, reason = "it reports")]

mod limits;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use gemm::Parallelism;
use half::bf16;
use perennial_kernels::{Element, Into, Mat, MatMut, Precision, Weight, choose_isa, current_isa};

const SHAPES: [(usize, usize); 5] = [(576, 576), (192, 576), (1536, 576), (576, 1536), (49152, 576)];
const ROWS: [usize; 5] = [1, 8, 32, 256, 1024];
/// More than a processor's caches hold.
const WEIGHT_BYTES: usize = 128 << 20;
/// How long each side runs in a round, and how many rounds there are.
const ROUND: Duration = Duration::from_millis(10);
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(isa) = std::env::args().nth(1) {
        choose_isa(isa.parse()?)?;
    }
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        pool.install(|| {
            report::<f32>(threads);
            report::<bf16>(threads);
        });
    }
    let (isa, read) = (current_isa(), limits::bytes_read());
    let [in_f32, in_bf16] = [Precision::F32, Precision::Bf16].map(|precision| limits::flops(isa, precision));
    println!(r#"{{"flops_f32": {in_f32:.0}, "flops_bf16": {in_bf16:.0}, "bytes_read_per_second": {read:.0}}}"#);
    Ok(())
}

fn report<E: Element>(threads: usize) {
    let (peak, memory) = (limits::flops(current_isa(), E::PRECISION), limits::bytes_read());
    println!("\n{} {:?}, {threads} threads", current_isa(), E::PRECISION);
    println!("limits: {:.0} GFLOP/s of its instruction, {:.1} GB/s of plain reading", peak / 1e9, memory / 1e9);
    println!("each cell: GFLOP/s, share of that limit, GB/s of weights, times the gemm crate in f32");
    print!("{:>14} ", "w");
    ROWS.iter().for_each(|rows| print!("{:>24}", format!("{rows} rows")));
    println!();
    for (outputs, inputs) in SHAPES {
        let case = Case::<E>::new(outputs, inputs);
        for transposed in [false, true] {
            print!("{:>14} ", format!("{outputs}x{inputs}{}", if transposed { "ᵀ" } else { " " }));
            for rows in ROWS {
                let (ours, theirs) = case.measure(rows, transposed, threads);
                let flops = 2.0 * (rows * outputs * inputs) as f64 / ours;
                let bytes = (outputs * inputs * size_of::<E>()) as f64 / ours;
                let (gflops, share, gbytes) = (flops / 1e9, 100.0 * flops / peak, bytes / 1e9);
                print!("{:>24}", format!("{gflops:.0} {share:.0}% {gbytes:.1} {:.1}x", theirs / ours));
            }
            println!();
        }
    }
}

struct Case<E> {
    outputs: usize,
    inputs: usize,
    copies: usize,
    weight: Weight,
    values: Vec<f32>,
    x: Vec<E>,
    x_values: Vec<f32>,
}

impl<E: Element> Case<E> {
    fn new(outputs: usize, inputs: usize) -> Self {
        let copies = (WEIGHT_BYTES / (outputs * inputs * size_of::<E>())).max(2);
        let values = noise(copies * outputs * inputs);
        let weight = match E::PRECISION {
            Precision::F32 => Weight::from_f32(values.clone(), copies * outputs, inputs),
            Precision::Bf16 => {
                let values = values.iter().map(|value| bf16::from_f32(*value)).collect();
                Weight::from_bf16(values, copies * outputs, inputs)
            }
        };
        let x_values = noise(ROWS[ROWS.len() - 1] * outputs.max(inputs));
        let x = x_values.iter().map(|value| E::from_f32(*value)).collect();
        Self { outputs, inputs, copies, weight, values, x, x_values }
    }

    /// Seconds per product: ours, and the gemm crate's.
    fn measure(&self, rows: usize, transposed: bool, threads: usize) -> (f64, f64) {
        let (from, to) = if transposed { (self.outputs, self.inputs) } else { (self.inputs, self.outputs) };
        let (mut ours, mut theirs, mut y) = (Vec::new(), Vec::new(), vec![0.0; rows * to]);
        for round in 0..ROUNDS {
            ours.push(timed(|call| {
                let first = (round + call) % self.copies * self.outputs;
                let (weight, dst) = (self.weight.rows(first..first + self.outputs), MatMut::new(&mut y, rows, to));
                let x = Mat::new(&self.x, rows, from);
                if transposed {
                    weight.transposed_product(dst, Into::Set, x);
                } else {
                    weight.product(dst, Into::Set, x);
                }
            }));
            theirs.push(timed(|call| {
                let first = (round + call) % self.copies * self.outputs * self.inputs;
                let strides = if transposed { (1, self.inputs as isize) } else { (self.inputs as isize, 1) };
                let parallelism = if threads == 1 { Parallelism::None } else { Parallelism::Rayon(threads) };
                let (x, w) = (self.x_values[..rows * from].as_ptr(), self.values[first..].as_ptr());
                // SAFETY: the three matrices lie in their slices, and the destination is not read.
                unsafe {
                    gemm::gemm(
                        rows,
                        to,
                        from,
                        y.as_mut_ptr(),
                        1,
                        to as isize,
                        false,
                        x,
                        1,
                        from as isize,
                        w,
                        strides.0,
                        strides.1,
                        0.0,
                        1.0,
                        false,
                        false,
                        false,
                        parallelism,
                    );
                }
            }));
            black_box(&y);
        }
        (median(ours), median(theirs))
    }
}

/// Seconds per call, over as many as a round has time for.
fn timed(mut call: impl FnMut(usize)) -> f64 {
    let (start, mut calls) = (Instant::now(), 0);
    while start.elapsed() < ROUND {
        call(calls);
        calls += 1;
    }
    start.elapsed().as_secs_f64() / calls as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn noise(len: usize) -> Vec<f32> {
    (0..len).map(|at| (at.wrapping_mul(2_654_435_761) >> 8 & 0xffff) as f32 / 65536.0 - 0.5).collect()
}
