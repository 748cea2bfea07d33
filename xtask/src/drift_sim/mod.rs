//! How often the detectors cry wolf, and how soon they see what is planted: by simulation of the code that ships.

mod world;

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use clap::Args;
use perennial_drift::{FALSE_ALARM_DAYS, Thresholds, Window, measure};

use self::world::{HOUR_ROWS, Shift, World};
use crate::{output, random::Random};

/// How to simulate.
#[derive(Args)]
pub(crate) struct Options {
    /// Worlds of a hundred days each, every one with its own reference
    #[arg(long, default_value_t = 5)]
    worlds: u64,
    /// Worlds that each shift is planted in
    #[arg(long, default_value_t = 10)]
    plantings: u64,
    /// The seed of the first world
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// One look an hour.
const INTERVAL_SECONDS: f64 = 3600.0;

/// A shift is planted once windows are full.
const HOURS_BEFORE: usize = 12;

/// Windows within which a shift that is planted must be found, in every world.
const WINDOWS_MAX: usize = 24;

/// What is planted, and what it is in words.
const SHIFTS: [(Shift, &str); 12] = [
    (Shift::Embedding(1.0), "embedding mean +1 sd"),
    (Shift::Embedding(2.0), "embedding mean +2 sd"),
    (Shift::Length(1.5), "length x1.5"),
    (Shift::Length(2.0), "length x2"),
    (Shift::Tokens(0.2), "20 % other tokens"),
    (Shift::Domains(0.2), "20 % other domain"),
    (Shift::NewDomain(0.1), "10 % unheard-of domain"),
    (Shift::Labels(0.3), "30 % other label"),
    (Shift::Tools(0.3), "30 % other tool calls"),
    (Shift::Refused(0.05), "refused 1 % to 5 %"),
    (Shift::Loss(0.5), "champion's loss +0.5 nats"),
    (Shift::Loss(1.0), "champion's loss +1 nat"),
];

/// Prints what was found; fails where a promise is not kept.
pub(crate) fn run(options: &Options) -> Result<()> {
    let windows = (FALSE_ALARM_DAYS * 24.0) as usize;
    let mut alarms = BTreeMap::new();
    let mut days_with = 0;
    for world in 0..options.worlds {
        output::note(format!("world {} of {}: {windows} windows", world + 1, options.worlds));
        let found = false_alarms(options.seed.wrapping_add(world), windows);
        days_with += usize::from(!found.is_empty());
        for (detector, windows) in found {
            *alarms.entry(detector).or_insert(0) += windows;
        }
    }
    let all: usize = alarms.values().sum();
    let rate = all as f64 / options.worlds.max(1) as f64;
    output::result(format!(
        "{HOUR_ROWS} rows an hour, one window an hour, {FALSE_ALARM_DAYS} days, {} worlds\nfalse alarms in {FALSE_ALARM_DAYS} days, \
         all detectors and domains together: {rate:.2} windows, in {days_with} of {} worlds",
        options.worlds, options.worlds
    ));
    for (detector, windows) in &alarms {
        output::result(format!("  {detector}: {windows} windows"));
    }
    output::result("planted | found after windows: median, latest | by (first)");
    let mut missed = Vec::new();
    let mut grounds: Vec<Ground> =
        (0..options.plantings).map(|world| Ground::new(options.seed.wrapping_add(1000 + world))).collect();
    for (shift, name) in SHIFTS {
        let found: Vec<Option<(usize, &str)>> = grounds.iter_mut().map(|ground| ground.planted(shift)).collect();
        let mut after: Vec<usize> =
            found.iter().map(|found| found.map_or(WINDOWS_MAX + 1, |(after, _)| after)).collect();
        after.sort_unstable();
        let by: std::collections::BTreeSet<&str> = found.iter().flatten().map(|(_, by)| *by).collect();
        let by: Vec<&str> = by.into_iter().collect();
        let (median, latest) = (after.get(after.len() / 2), after.last());
        let told = |after: Option<&usize>| match after {
            Some(after) if *after <= WINDOWS_MAX => after.to_string(),
            _ => format!("> {WINDOWS_MAX}"),
        };
        output::result(format!("{name} | {}, {} | {}", told(median), told(latest), by.join(", ")));
        if latest.is_some_and(|latest| *latest > WINDOWS_MAX) {
            missed.push(name);
        }
    }
    ensure!(missed.is_empty(), "not found within {WINDOWS_MAX} windows: {}", missed.join("; "));
    ensure!(rate < 1.0, "{rate:.2} false alarms in {FALSE_ALARM_DAYS} days: less than one is promised");
    Ok(())
}

/// In how many windows each detector cries wolf.
fn false_alarms(seed: u64, windows: usize) -> BTreeMap<String, usize> {
    let Ground { mut world, reference, mut current, mut thresholds } = Ground::new(seed);
    let mut alarms = BTreeMap::new();
    for _ in 0..windows {
        world.hour(&mut current);
        for finding in measure(&reference, &current, INTERVAL_SECONDS, &mut thresholds).findings {
            if finding.is_drift() {
                let domain = finding.domain.map_or_else(String::new, |domain| format!(" ({domain})"));
                *alarms.entry(format!("{}{domain}", finding.detector)).or_insert(0) += 1;
            }
        }
    }
    alarms
}

/// A world in which nothing moved yet, with what the champion learned there, and a full window.
struct Ground {
    world: World,
    reference: Window,
    current: Window,
    thresholds: Thresholds,
}

impl Ground {
    fn new(seed: u64) -> Self {
        // Seeds beside each other would make sequences that are nearly each other's.
        let mut world = World::new(Random::new(seed).below(usize::MAX) as u64);
        let (reference, mut current) = (world.reference(), Window::default());
        for _ in 0..HOURS_BEFORE {
            world.hour(&mut current);
        }
        Self { world, reference, current, thresholds: Thresholds::default() }
    }

    /// After how many windows a shift is found, and by which detector first.
    fn planted(&mut self, shift: Shift) -> Option<(usize, &'static str)> {
        let (mut world, mut current) = (self.world.clone(), self.current.clone());
        world.shift(shift);
        (1..=WINDOWS_MAX).find_map(|after| {
            world.hour(&mut current);
            let found = measure(&self.reference, &current, INTERVAL_SECONDS, &mut self.thresholds).findings;
            found.into_iter().find(|finding| finding.is_drift()).map(|finding| (after, finding.detector))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The short version of `cargo xtask drift-sim`.
    #[test]
    fn nobody_cries_wolf_for_five_days_and_what_is_planted_is_found_within_a_day() {
        assert_eq!(false_alarms(7, 120), BTreeMap::new());
        let mut ground = Ground::new(8);
        for (shift, name) in SHIFTS {
            let found = ground.planted(shift);
            assert!(found.is_some_and(|(after, _)| after <= WINDOWS_MAX), "{name}: {found:?}");
        }
        let mut by = |shift| ground.planted(shift).map(|(_, by)| by);
        assert_eq!(by(Shift::Refused(0.05)), Some("refused"));
        assert_eq!(by(Shift::Labels(0.3)), Some("label_mix"));
        assert_eq!(by(Shift::Tools(0.3)), Some("tool_calls"));
        assert_eq!(by(Shift::Loss(1.0)), Some("perplexity"));
        assert_eq!(by(Shift::None), None);
    }
}
