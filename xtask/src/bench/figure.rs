use super::tool::Tool;

/// Something measured: who takes part, what is read off, and what it must reach.
pub(super) struct Figure {
    /// By which it is asked for; its results file is called so.
    pub(super) name: &'static str,
    /// What is measured, for the reader of the report.
    pub(super) about: &'static str,
    /// They run in turn.
    pub(super) contenders: Vec<Contender>,
    /// The columns of its table.
    pub(super) measures: &'static [Measure],
    pub(super) goals: Vec<Goal>,
    /// What the processor must have for this to mean anything, as `/proc/cpuinfo` calls it.
    pub(super) needs: Option<&'static str>,
    /// What is compared by its course instead of its cost.
    pub(super) curves: Option<Curves>,
}

/// Lists of positive numbers that contenders print, a number a step: the same every time, however busy the machine is.
pub(super) struct Curves {
    /// The list in the JSON that a contender prints.
    pub(super) key: &'static str,
    /// What its numbers are, on the axis of the picture.
    pub(super) title: &'static str,
    /// The contender that the others' distances are taken from.
    pub(super) from: &'static str,
    /// The measure that the distances become.
    pub(super) distance: &'static str,
}

/// One side of a figure.
#[derive(Clone)]
pub(super) struct Contender {
    pub(super) name: &'static str,
    pub(super) tool: Tool,
    /// Separated by spaces.
    pub(super) arguments: String,
    pub(super) environment: &'static [(&'static str, &'static str)],
}

/// A number in the JSON that a contender prints.
#[derive(Clone, Copy)]
pub(super) struct Measure {
    pub(super) key: &'static str,
    pub(super) title: &'static str,
    pub(super) unit: Unit,
}

#[derive(Clone, Copy)]
pub(super) enum Unit {
    PerSecond,
    Seconds,
    Bytes,
    Flops,
    BytesPerSecond,
    NatsPerTarget,
}

/// A ratio that has to be reached, between the best of ours and the best of the peers.
pub(super) struct Goal {
    pub(super) what: &'static str,
    /// The key of the measure.
    pub(super) measure: &'static str,
    pub(super) compare: Compare,
    pub(super) ours: &'static [&'static str],
    pub(super) peers: &'static [&'static str],
    pub(super) at_least: f64,
    pub(super) aim: f64,
}

/// What makes a ratio of ours and a peer's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Compare {
    /// More is better: ours by the peer's, which should be high.
    Rate,
    /// Less is better: the peer's by ours, which should be high.
    SpeedUp,
    /// Less is better: ours by the peer's, which should be low.
    Share,
}

/// How far a ratio came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reached {
    Aim,
    AtLeast,
    No,
}

impl Figure {
    /// Whether time and memory are measured: by several runs, on a machine that others leave in peace.
    pub(super) fn is_timed(&self) -> bool {
        self.curves.is_none()
    }
}

impl Compare {
    /// The ratio of the best of ours to the best of the peers' numbers; none where either is missing.
    pub(super) fn ratio(self, ours: &[f64], peers: &[f64]) -> Option<f64> {
        let best = |values: &[f64]| match self {
            Self::Rate => values.iter().copied().reduce(f64::max),
            Self::SpeedUp | Self::Share => values.iter().copied().reduce(f64::min),
        };
        let (ours, peers) = (best(ours)?, best(peers)?);
        Some(if self == Self::SpeedUp { peers / ours } else { ours / peers })
    }

    /// Whether a ratio is as good as a limit.
    fn meets(self, ratio: f64, limit: f64) -> bool {
        if self == Self::Share { ratio <= limit } else { ratio >= limit }
    }
}

impl Goal {
    pub(super) fn reached(&self, ratio: f64) -> Reached {
        if self.compare.meets(ratio, self.aim) {
            return Reached::Aim;
        }
        if self.compare.meets(ratio, self.at_least) { Reached::AtLeast } else { Reached::No }
    }
}

impl Unit {
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::PerSecond if value < 100.0 => format!("{value:.1}"),
            Self::PerSecond => format!("{value:.0}"),
            Self::Seconds => format!("{value:.2} s"),
            Self::Bytes => format!("{:.2} GB", value / 1e9),
            Self::Flops => format!("{:.0} GFLOP/s", value / 1e9),
            Self::BytesPerSecond => format!("{:.1} GB/s", value / 1e9),
            Self::NatsPerTarget => format!("{value:.4}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_each_side_is_compared() {
        assert_eq!(Compare::Rate.ratio(&[10.0, 30.0], &[5.0, 10.0]), Some(3.0));
        assert_eq!(Compare::SpeedUp.ratio(&[2.0, 4.0], &[20.0, 10.0]), Some(5.0));
        assert_eq!(Compare::Share.ratio(&[2.0, 4.0], &[20.0, 10.0]), Some(0.2));
        assert_eq!(Compare::Rate.ratio(&[10.0], &[]), None);
    }

    #[test]
    fn limits_are_reached_from_the_right_side() {
        let goal =
            |compare, at_least, aim| Goal { what: "", measure: "", compare, ours: &[], peers: &[], at_least, aim };
        let more = goal(Compare::Rate, 3.0, 6.0);
        assert_eq!([2.9, 3.0, 6.0].map(|ratio| more.reached(ratio)), [Reached::No, Reached::AtLeast, Reached::Aim]);
        let less = goal(Compare::Share, 0.4, 0.25);
        assert_eq!([0.41, 0.4, 0.2].map(|ratio| less.reached(ratio)), [Reached::No, Reached::AtLeast, Reached::Aim]);
    }
}
