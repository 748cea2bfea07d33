use std::collections::BTreeMap;

use anyhow::bail;
use perennial_reward::{Cost, LogLevel, Outcome, OutcomeKind, Plugin, Scoring, Task};
use serde::Serialize;

use super::{
    super::{
        output,
        session::Session,
        table::{Table, or_nothing},
    },
    case::Case,
    trial::Subject,
};

/// `perennial plugin test`
#[derive(Debug, clap::Args)]
pub(in super::super) struct Test {
    #[command(flatten)]
    subject: Subject,
    /// How often each case is asked again, in another order each time, to see that it gives the same
    #[arg(long, value_name = "N", default_value_t = 3)]
    repeat: usize,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What came of a case's file.
#[derive(Debug, Serialize)]
struct Tested {
    file: String,
    completions: Vec<Judged>,
    /// Of the whole call.
    fuel: u64,
    memory_bytes_peak: u64,
    /// Where a repetition gave something else.
    unsteady: Vec<String>,
    log: Vec<String>,
}

/// What came of a completion.
#[derive(Debug, Serialize)]
struct Judged {
    outcome: OutcomeKind,
    reward: Option<f64>,
    parts: BTreeMap<String, f64>,
    reason: Option<String>,
    /// From what is expected.
    differences: Vec<String>,
}

impl Test {
    pub(super) fn run(&self, session: &Session) -> anyhow::Result<()> {
        let trial = self.subject.open(session)?;
        let plugins = trial.load()?;
        let cases = trial.cases.iter().zip(plugins);
        let tested: Vec<Tested> = cases
            .map(|((file, case), plugin)| match plugin {
                Ok(plugin) => ask(file, case, &plugin, self.repeat),
                Err(refused) => Tested::new(file, case, &never_asked(case, &refused), Vec::new()),
            })
            .collect();
        if self.json {
            output::json(&tested)?;
        } else {
            output::line(text(&tested));
        }
        verdict(&tested)
    }
}

fn never_asked(case: &Case, refused: &Outcome) -> Scoring {
    let outcomes = vec![refused.clone(); case.completions.len()];
    Scoring { outcomes, cost: Cost::default(), log: Vec::new(), log_lines_dropped: 0 }
}

fn ask(file: &str, case: &Case, plugin: &Plugin, repeat: usize) -> Tested {
    let task = case.task();
    let first = plugin.score(&task);
    let mut unsteady = Vec::new();
    for again in 0..repeat {
        let same = plugin.score(&task);
        if same.outcomes != first.outcomes || same.cost.fuel != first.cost.fuel {
            unsteady.push("asked again, it answers otherwise".to_owned());
        }
        if shuffled(plugin, &task, again + 1) != first.outcomes {
            unsteady.push("with the completions in another order, it answers otherwise".to_owned());
        }
    }
    unsteady.dedup();
    Tested::new(file, case, &first, unsteady)
}

/// The outcomes in the task's order, asked in another: rotated, and every second time from behind.
fn shuffled(plugin: &Plugin, task: &Task, again: usize) -> Vec<Outcome> {
    let mut order: Vec<usize> = (0..task.samples.len()).collect();
    order.rotate_left(again % task.samples.len().max(1));
    if again % 2 == 1 {
        order.reverse();
    }
    let samples = order.iter().map(|&at| task.samples[at].clone()).collect();
    let outcomes = plugin.score(&Task { samples, ..task.clone() }).outcomes;
    let mut placed: Vec<(usize, Outcome)> = order.into_iter().zip(outcomes).collect();
    placed.sort_by_key(|(at, _)| *at);
    placed.into_iter().map(|(_, outcome)| outcome).collect()
}

impl Tested {
    fn new(file: &str, case: &Case, scoring: &Scoring, unsteady: Vec<String>) -> Self {
        let judged = case.completions.iter().zip(&scoring.outcomes).map(|(completion, outcome)| Judged {
            outcome: outcome.kind(),
            reward: outcome.reward(),
            parts: match outcome {
                Outcome::Scored(score) => score.parts.iter().cloned().collect(),
                _ => BTreeMap::new(),
            },
            reason: outcome.message().map(str::to_owned),
            differences: completion.expect.differences(outcome),
        });
        let level = |level| match level {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
        };
        Self {
            file: file.to_owned(),
            completions: judged.collect(),
            fuel: scoring.cost.fuel,
            memory_bytes_peak: scoring.cost.memory_bytes_peak,
            unsteady,
            log: scoring.log.iter().map(|line| format!("{}: {}", level(line.level), line.message)).collect(),
        }
    }

    /// Everything that is not as it must be.
    fn wrong(&self) -> impl Iterator<Item = String> {
        let differences = self.completions.iter().enumerate().flat_map(move |(at, judged)| {
            judged.differences.iter().map(move |difference| format!("{}, completion {at}: {difference}", self.file))
        });
        differences.chain(self.unsteady.iter().map(|what| format!("{}: {what}", self.file)))
    }
}

fn text(tested: &[Tested]) -> String {
    let mut verdicts = Table::new(["CASE", "COMPLETION", "OUTCOME", "REWARD", "PARTS", "REASON"]);
    let mut costs = Table::new(["CASE", "FUEL PER SAMPLE", "PEAK MEMORY"]);
    for Tested { file, completions, fuel, memory_bytes_peak, .. } in tested {
        for (at, judged) in completions.iter().enumerate() {
            let parts: Vec<String> =
                judged.parts.iter().map(|(name, value)| format!("{name} {}", short(*value))).collect();
            verdicts.row([
                file.clone(),
                at.to_string(),
                judged.outcome.as_str().to_owned(),
                or_nothing(judged.reward.map(short)),
                or_nothing((!parts.is_empty()).then(|| parts.join(", "))),
                or_nothing(judged.reason.as_ref()),
            ]);
        }
        let per_sample = fuel / completions.len().max(1) as u64;
        costs.row([file.clone(), per_sample.to_string(), format!("{} KiB", memory_bytes_peak >> 10)]);
    }
    let mut text = format!("{verdicts}\n\n{costs}");
    let log =
        tested.iter().flat_map(|tested| tested.log.iter().map(|line| format!("\nlog    {}: {line}", tested.file)));
    let wrong = tested.iter().flat_map(Tested::wrong).map(|wrong| format!("\nwrong  {wrong}"));
    let below: String = log.chain(wrong).collect();
    if !below.is_empty() {
        text.push_str(&format!("\n{below}"));
    }
    text
}

/// As a person reads it.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn verdict(tested: &[Tested]) -> anyhow::Result<()> {
    let completions = tested.iter().flat_map(|tested| &tested.completions);
    let (judged, differing) =
        completions.fold((0, 0), |(all, wrong), one| (all + 1, wrong + usize::from(!one.differences.is_empty())));
    let unsteady = tested.iter().filter(|tested| !tested.unsteady.is_empty()).count();
    if differing > 0 {
        bail!("{differing} of {judged} completions are not as expected");
    }
    if unsteady > 0 {
        bail!("{unsteady} of {} cases do not give the same each time: training on such rewards is noise", tested.len());
    }
    output::note(format_args!("all {judged} completions are as expected, and the same however often they are asked"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use perennial_reward::Score;

    use super::*;

    fn case() -> Case {
        let text = r#"{"prompt": "p", "completions": [{"text": "a", "expect": {"reward": 1}},
            {"text": "b", "expect": {"reward": 0.5}}, {"text": "c", "expect": {"outcome": "abstained"}}]}"#;
        serde_json::from_str(text).unwrap()
    }

    fn scoring() -> Scoring {
        let scored = |reward, parts: &[(&str, f64)]| {
            let parts = parts.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
            Outcome::Scored(Score { reward, parts, reason: None })
        };
        let outcomes = vec![
            scored(1.0, &[("valid", 1.0), ("fields", 2.0 / 3.0)]),
            scored(0.25, &[]),
            Outcome::Abstained("odd".into()),
        ];
        let cost = Cost { fuel: 30_000, memory_bytes_peak: 3 << 20, ..Cost::default() };
        let log = vec![perennial_reward::LogLine { level: LogLevel::Warn, message: "careful".into() }];
        Scoring { outcomes, cost, log, log_lines_dropped: 0 }
    }

    #[test]
    fn result_reads_well() {
        let steady = Tested::new("good.json", &case(), &scoring(), Vec::new());
        let unsteady = Tested::new("odd.json", &case(), &scoring(), vec!["asked again, it answers otherwise".into()]);
        insta::assert_snapshot!(text(&[steady, unsteady]));
    }

    #[test]
    fn verdict_counts_what_is_wrong() {
        let tested = [Tested::new("case.json", &case(), &scoring(), Vec::new())];
        assert_eq!(verdict(&tested).unwrap_err().to_string(), "1 of 3 completions are not as expected");
    }

    #[test]
    fn numbers_are_as_long_as_they_must_be() {
        assert_eq!([1.0, 0.5, 2.0 / 3.0, 100.0, 0.0].map(short), ["1", "0.5", "0.6667", "100", "0"]);
    }
}
