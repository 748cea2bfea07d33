//! How learning from rewards went, from what a cycle's folder keeps of it: for the gate, the report and its picture.

use std::{collections::BTreeMap, fmt, fs, io};

use anyhow::Context as _;
use perennial_gate::{PluginSummary, RewardTraining, Trend};
use perennial_learn::train::{
    METRICS_FILE,
    grpo::{self, GrpoProgress},
};
use perennial_reward::PluginStatistics;
use plotters::prelude::*;

use super::{
    FrozenPlugin,
    journal::{self, Entry},
};
use crate::cycle_folder::CycleFolder;

/// Shares of what was drawn in a run, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Shares {
    /// Completions that nothing scored.
    pub(crate) unscored: f64,
    /// Groups whose rewards were all equal.
    pub(crate) zero_variance: f64,
    /// Completions that were cut off at their limit.
    pub(crate) truncated: f64,
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unscored, zero_variance, truncated } = self;
        write!(
            f,
            "{:.0} % of completions unscored, {:.0} % of groups with equal rewards, {:.0} % of completions cut off",
            100.0 * unscored,
            100.0 * zero_variance,
            100.0 * truncated
        )
    }
}

/// Every step and every generation of a run.
pub(crate) struct History {
    steps: Vec<GrpoProgress>,
    generations: Vec<Entry>,
}

impl History {
    /// Of the run in a cycle's folder; `None` where there was none.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub(crate) fn read(folder: &CycleFolder) -> anyhow::Result<Option<Self>> {
        let path = folder.checkpoints_of(grpo::NAME).join(METRICS_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let line = |line| serde_json::from_str(line).with_context(|| path.display().to_string());
        let steps: Vec<GrpoProgress> = text.lines().map(line).collect::<Result<_, _>>()?;
        let generations = journal::read(&folder.rewards())?;
        Ok((!steps.is_empty()).then_some(Self { steps, generations }))
    }

    /// What the gate is told; `None` where there was no step.
    pub(crate) fn summary(&self, plugins: &[FrozenPlugin]) -> Option<RewardTraining> {
        let optimised = plugins.iter().filter(|frozen| frozen.plugin.weight != 0.0);
        Some(RewardTraining {
            optimised: optimised.map(|frozen| frozen.plugin.name.clone()).collect(),
            steps: self.steps.last()?.steps,
            reward: Trend::of(&self.rewards().map(|(_, reward)| reward).collect::<Vec<_>>()),
            length: Trend::of(&self.lengths().map(|(_, length)| length).collect::<Vec<_>>())?,
            kl: self.trend(|step| step.policy.kl),
            entropy: self.trend(|step| step.policy.entropy),
            clip_ratio: self.trend(|step| step.policy.clip_ratio_region),
            truncated: self.trend(|step| Some(step.rollouts.truncated_share)),
            unscored: self.trend(|step| Some(step.rollouts.abstained_share)),
            zero_variance: self.trend(|step| Some(step.rollouts.zero_variance_share)),
            plugins: plugins.iter().map(|frozen| self.summary_of(frozen)).collect(),
        })
    }

    /// How many completions and groups gave nothing to learn, over the whole run.
    pub(crate) fn shares(&self) -> Shares {
        let steps = self.steps.len().max(1) as f64;
        let mean = |share: fn(&GrpoProgress) -> f64| self.steps.iter().map(share).sum::<f64>() / steps;
        Shares {
            unscored: mean(|step| step.rollouts.abstained_share),
            zero_variance: mean(|step| step.rollouts.zero_variance_share),
            truncated: mean(|step| step.rollouts.truncated_share),
        }
    }

    /// Of a figure, over the steps that have it.
    fn trend(&self, figure: impl Fn(&GrpoProgress) -> Option<f64>) -> Option<Trend> {
        Trend::of(&self.steps.iter().filter_map(figure).collect::<Vec<_>>())
    }

    fn summary_of(&self, frozen: &FrozenPlugin) -> PluginSummary {
        let name = &frozen.plugin.name;
        let said = self.generations.iter().filter_map(|entry| entry.statistics.plugins.get(name));
        let generations: Vec<&PluginStatistics> = said.collect();
        let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
        let mut parts: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for statistics in &generations {
            for (outcome, count) in &statistics.outcomes {
                *outcomes.entry(outcome.as_str().to_owned()).or_default() += count;
            }
            for (part, moments) in &statistics.parts {
                parts.entry(part.clone()).or_default().push(moments.mean);
            }
        }
        let scored = generations.iter().filter(|statistics| statistics.reward.count > 0);
        let rewards: Vec<f64> = scored.map(|statistics| statistics.reward.mean).collect();
        PluginSummary {
            name: name.clone(),
            version: frozen.identity.version.clone(),
            weight: frozen.plugin.weight,
            outcomes,
            reward: Trend::of(&rewards),
            parts: parts.into_iter().filter_map(|(part, means)| Some((part, Trend::of(&means)?))).collect(),
        }
    }

    fn rewards(&self) -> impl Iterator<Item = (f64, f64)> {
        self.steps.iter().filter_map(|step| Some((step.step as f64, step.rollouts.reward_mean?)))
    }

    fn lengths(&self) -> impl Iterator<Item = (f64, f64)> {
        self.steps.iter().map(|step| (step.step as f64, step.rollouts.completion_length_mean))
    }
}

/// The picture's size, in pixels.
const CHART: (u32, u32) = (800, 480);

/// The reward and the length of completions over the steps, as an SVG.
///
/// # Errors
/// Where it cannot be drawn.
pub(crate) fn chart(history: &History) -> anyhow::Result<String> {
    let rewards: Vec<(f64, f64)> = history.rewards().collect();
    let lengths: Vec<(f64, f64)> = history.lengths().collect();
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, CHART).into_drawing_area();
        area.fill(&WHITE)?;
        let (above, below) = area.split_vertically(CHART.1 * 2 / 3);
        curve(&above, "mean reward", &rewards, &BLUE)?;
        curve(&below, "mean completion length, tokens", &lengths, &BLACK)?;
        area.present()?;
    }
    Ok(svg)
}

fn curve(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    caption: &str,
    points: &[(f64, f64)],
    colour: &RGBColor,
) -> anyhow::Result<()> {
    if points.is_empty() {
        return Ok(());
    }
    let last = points.last().map_or(1.0, |(step, _)| *step).max(2.0);
    let (low, high) = points.iter().fold((f64::MAX, f64::MIN), |(low, high), (_, y)| (low.min(*y), high.max(*y)));
    let room = ((high - low) * 0.05).max(1e-3);
    let mut chart = ChartBuilder::on(area)
        .caption(caption, ("sans-serif", 15))
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(52)
        .build_cartesian_2d(1.0..last, low - room..high + room)?;
    let whole = |step: &f64| format!("{step:.0}");
    chart.configure_mesh().x_desc("step").x_label_formatter(&whole).light_line_style(WHITE).draw()?;
    // Steps of few prompts jump: the thin line is what was seen, the thick one its mean over a tenth of the run.
    chart.draw_series(LineSeries::new(points.iter().copied(), colour.mix(0.3)))?;
    chart.draw_series(LineSeries::new(smoothed(points), colour.stroke_width(2)))?;
    Ok(())
}

/// The mean of each point and those around it, a tenth of all.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let reach = points.len() / 20;
    let mean = |at: usize| {
        let around = &points[at.saturating_sub(reach)..(at + reach + 1).min(points.len())];
        around.iter().map(|(_, y)| y).sum::<f64>() / around.len() as f64
    };
    points.iter().enumerate().map(|(at, (x, _))| (*x, mean(at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_smoothed_without_a_shift() {
        let points: Vec<(f64, f64)> = (0..40).map(|x| (f64::from(x), f64::from(x))).collect();
        let smooth = smoothed(&points);
        assert_eq!((smooth[20], smooth[0], smooth[39]), ((20.0, 20.0), (0.0, 1.0), (39.0, 38.0)));
    }
}
