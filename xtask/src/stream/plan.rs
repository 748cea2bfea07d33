//! Which runs there are, and what each does.

use serde::{Deserialize, Serialize};

use super::{
    arm::{Arm, Shape},
    scene::Costs,
};
use crate::random::Random;

/// Which of the orders and seeds a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    /// The order's number, from 0.
    pub(super) order: usize,
    pub(super) seed: u64,
}

/// An arm with an order and a seed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run<'a> {
    pub(super) arm: &'a Arm,
    pub(super) key: Key,
    /// Its folder's name.
    pub(super) name: String,
    pub(super) steps: Vec<Step>,
}

/// A cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Counts from 1.
    pub(super) number: usize,
    /// The tasks whose rows come in, as they are numbered in the stream.
    pub(super) tasks: Vec<usize>,
    /// The folder of its state directory, below the run's.
    pub(super) place: String,
    /// The number of its cycle there, from 1.
    pub(super) cycle: u64,
}

/// The orders of so many tasks: as they come, backwards, and then at random; as many as are asked for, or as there are.
pub(super) fn orders(tasks: usize, wanted: usize) -> Vec<Vec<usize>> {
    let there_are = (1..=tasks).fold(1_usize, usize::saturating_mul);
    let forwards: Vec<usize> = (0..tasks).collect();
    let mut random = Random::new(tasks as u64);
    let mut orders: Vec<Vec<usize>> = Vec::new();
    while orders.len() < wanted.min(there_are) {
        let mut next = forwards.clone();
        match orders.len() {
            0 => {}
            1 => next.reverse(),
            _ => random.shuffle(&mut next),
        }
        if !orders.contains(&next) {
            orders.push(next);
        }
    }
    orders
}

/// All runs, so that what can be compared is done together: the arms of one order and seed, then those of the next. What has no
/// order runs once for each seed.
pub(super) fn runs<'a>(arms: &'a [Arm], orders: &[Vec<usize>], seeds: &[u64]) -> Vec<Run<'a>> {
    let mut runs = Vec::new();
    for &seed in seeds {
        for (order, tasks) in orders.iter().enumerate() {
            let here = arms.iter().filter(|arm| order == 0 || arm.has_order());
            runs.extend(here.map(|arm| run(arm, Key { order, seed }, tasks)));
        }
    }
    runs
}

fn run<'a>(arm: &'a Arm, key: Key, tasks: &[usize]) -> Run<'a> {
    let name = match arm.has_order() {
        true => format!("{}-order{}-seed{}", arm.name, key.order + 1, key.seed),
        false => format!("{}-seed{}", arm.name, key.seed),
    };
    let place = |task: usize| match arm.recipe.shape {
        Shape::Single => format!("task{}", task + 1),
        _ => "all".to_owned(),
    };
    let step = |(at, tasks): (usize, Vec<usize>)| Step {
        number: at + 1,
        place: place(*tasks.first().unwrap_or(&0)),
        cycle: if arm.recipe.shape == Shape::Single { 1 } else { at as u64 + 1 },
        tasks,
    };
    let groups: Vec<Vec<usize>> = match arm.recipe.shape {
        Shape::Base => Vec::new(),
        Shape::Joint => vec![tasks.to_vec()],
        Shape::Sequence | Shape::Single => tasks.iter().map(|task| vec![*task]).collect(),
    };
    Run { arm, key, name, steps: groups.into_iter().enumerate().map(step).collect() }
}

impl Run<'_> {
    /// The run of another arm that this one is compared with: of the same seed, and of the same order where it has one.
    pub(super) fn beside(&self, key: Key) -> bool {
        self.key.seed == key.seed && (!self.arm.has_order() || self.key.order == key.order)
    }
}

/// About how long a step takes, in seconds. `items` are those of all suites that it asks.
pub(super) fn seconds(costs: &Costs, step: &Step, rows: usize, items: usize) -> f64 {
    // The first cycle of a state directory asks the base model as well.
    let sides = if step.cycle == 1 { 2.0 } else { 1.0 };
    let trained = (rows * step.tasks.len()) as f64;
    costs.cycle_seconds + trained * costs.row_seconds + sides * items as f64 * costs.item_seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(name: &str) -> Arm {
        Arm::load(name).unwrap()
    }

    #[test]
    fn orders_are_all_different_and_always_the_same() {
        let three = orders(4, 3);
        assert_eq!(three[..2], [vec![0, 1, 2, 3], vec![3, 2, 1, 0]]);
        assert!(three.len() == 3 && !three[..2].contains(&three[2]));
        assert_eq!(orders(4, 3), three);
        assert_eq!((orders(1, 3).len(), orders(2, 9).len(), orders(3, 9).len()), (1, 2, 6));
    }

    #[test]
    fn arms_have_the_cycles_of_their_shape() {
        let arms = ["default", "joint", "single", "base"].map(arm);
        let runs = runs(&arms, &orders(2, 2), &[0, 7]);
        let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        let of_seed = |seed: u64| {
            [
                format!("default-order1-seed{seed}"),
                format!("joint-seed{seed}"),
                format!("single-seed{seed}"),
                format!("base-seed{seed}"),
                format!("default-order2-seed{seed}"),
            ]
        };
        assert_eq!(names, [of_seed(0), of_seed(7)].concat());
        let cycles = |run: &Run<'_>| -> Vec<(Vec<usize>, String, u64)> {
            run.steps.iter().map(|step| (step.tasks.clone(), step.place.clone(), step.cycle)).collect()
        };
        let all = "all".to_owned();
        assert_eq!(cycles(&runs[0]), [(vec![0], all.clone(), 1), (vec![1], all.clone(), 2)]);
        assert_eq!(cycles(&runs[1]), [(vec![0, 1], all.clone(), 1)]);
        assert_eq!(cycles(&runs[2]), [(vec![0], "task1".to_owned(), 1), (vec![1], "task2".to_owned(), 1)]);
        assert_eq!(cycles(&runs[3]), []);
        assert_eq!(cycles(&runs[4]), [(vec![1], all.clone(), 1), (vec![0], all, 2)]);
        // Joint training is beside every order of its seed.
        let beside = |order, seed| runs.iter().filter(|run| run.beside(Key { order, seed })).count();
        assert_eq!((beside(0, 0), beside(1, 7), beside(0, 1)), (4, 4, 0));
    }

    #[test]
    fn the_first_cycle_of_a_place_asks_twice() {
        let costs = Costs { cycle_seconds: 1.0, row_seconds: 0.5, item_seconds: 0.1 };
        let step = |cycle, tasks| Step { number: 1, tasks, place: String::new(), cycle };
        assert_eq!(seconds(&costs, &step(1, vec![0, 1]), 10, 20), 1.0 + 10.0 + 4.0);
        assert_eq!(seconds(&costs, &step(2, vec![0]), 10, 20), 1.0 + 5.0 + 2.0);
    }
}
