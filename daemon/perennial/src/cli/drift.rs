use super::{
    output,
    session::{Answerer, Session},
    table::{NOTHING, Table, time},
};
use crate::{
    answers::{Drift, DriftScore, PolicyDrift, Retention, adapter_name},
    ports::Stop,
};

/// `perennial drift`
#[derive(Debug, clap::Args)]
pub(super) struct DriftCommand {
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl DriftCommand {
    /// Tells what the daemon measured last; measures here where none runs.
    pub(super) fn run(&self, session: &Session) -> anyhow::Result<()> {
        let drift: Drift = match session.to_write("perennial drift")? {
            Answerer::Daemon(client) => client.get("/v1/drift")?,
            Answerer::Here(parts) => {
                parts.ports.indexer.index(&Stop::default())?;
                parts.ports.drift.measure(true, &Stop::default())?
            }
        };
        if self.json {
            return output::json(&drift);
        }
        output::line(text(&drift));
        Ok(())
    }
}

fn text(drift: &Drift) -> String {
    let Some(measured_ms) = drift.measured_ms else { return "nothing was measured yet".to_owned() };
    let Some(cycle) = drift.reference_cycle else {
        return format!("measured    {}\nthere is no champion to compare with", time(measured_ms));
    };
    let mut text = format!(
        "measured    {}\nreference   {} samples that cycle {cycle} learned\ncurrent     the last {} samples since",
        time(measured_ms),
        drift.reference_samples,
        drift.current_samples,
    );
    if drift.domains_left_out > 0 {
        text.push_str(&format!("\nleft out    {} domains, being too small or too many", drift.domains_left_out));
    }
    if let Some(policy) = &drift.policy {
        text.push_str(&policy_text(policy));
    }
    if let Some(retention) = &drift.retention {
        text.push_str(&retention_text(retention));
    }
    let mut table = Table::new(["DETECTOR", "DOMAIN", "SCORE", "THRESHOLD", "DRIFT"]);
    for score in drift.scores.iter().filter(|score| score.score.is_some()) {
        table.row(row(score));
    }
    match drift.scores.iter().any(|score| score.score.is_some()) {
        true => text.push_str(&format!("\n\n{table}")),
        false => text.push_str("\ntoo few samples came in to say more"),
    }
    text
}

fn row(score: &DriftScore) -> [String; 5] {
    let number = |number: Option<f64>| number.map_or_else(|| NOTHING.to_owned(), |number| format!("{number:.4}"));
    let domain = score.domain.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string);
    let drift = if score.drifted { "yes" } else { "no" };
    [score.detector.clone(), domain, number(score.score), number(score.threshold), drift.to_owned()]
}

fn policy_text(policy: &PolicyDrift) -> String {
    let PolicyDrift { kl_base, previous, kl_previous, entropy, distinct: [one, two, three], .. } = policy;
    format!(
        "\nchampion    {kl_base:.3} nats per token from the base model, {kl_previous:.3} from {} before it; entropy {entropy:.3} nats, \
         different tokens {one:.2}, pairs {two:.2}, triples {three:.2}",
        adapter_name(previous.as_ref())
    )
}

fn retention_text(retention: &Retention) -> String {
    let worst = retention.suites.iter().filter_map(|suite| Some((suite.forgetting?, &suite.suite)));
    let worst = worst.filter(|(forgetting, _)| *forgetting > 0.0).max_by(|(one, _), (other, _)| one.total_cmp(other));
    let forgot = worst
        .map_or_else(String::new, |(forgetting, suite)| format!("; most was forgotten of {suite}, {forgetting:.3}"));
    let (acc, bwt, suites) = (retention.acc, retention.bwt, retention.suites.len());
    format!("\nretention   ACC {acc:.3} over {suites} suites, BWT {bwt:+.3}{forgot}")
}

#[cfg(test)]
mod tests {
    use perennial_types::{CycleId, Domain};

    use super::*;
    use crate::answers::SuiteRetention;

    #[test]
    fn what_moved_reads_well() {
        let score = |detector: &str, domain: Option<&str>, score: Option<f64>| DriftScore {
            detector: detector.to_owned(),
            meaning: String::new(),
            domain: domain.map(|domain| Domain::new(domain).unwrap()),
            score,
            threshold: score.map(|_| 0.25),
            drifted: score.is_some_and(|score| score > 0.25),
        };
        let scores = vec![
            score("domain_mix", None, Some(0.5)),
            score("length", Some("a"), Some(0.1)),
            score("perplexity", Some("a"), None),
        ];
        let policy = PolicyDrift {
            adapter: "0123456789ab".parse().unwrap(),
            measured_ms: 0,
            kl_base: 0.5,
            previous: None,
            kl_previous: 0.25,
            entropy: 1.5,
            distinct: [0.5, 0.75, 1.0],
        };
        let suites = vec![SuiteRetention { suite: "a".to_owned(), forgetting: Some(0.125), scores: vec![] }];
        let drift = Drift {
            measured_ms: Some(60_000),
            reference_cycle: Some(CycleId(3)),
            reference_samples: 200,
            current_samples: 100,
            domains_left_out: 2,
            scores,
            policy: Some(policy),
            retention: Some(Retention { acc: 0.5, bwt: -0.1, suites }),
        };
        insta::assert_snapshot!(text(&drift));
        assert_eq!(text(&Drift::default()), "nothing was measured yet");
        let few = Drift { scores: vec![], policy: None, retention: None, ..drift };
        assert!(text(&few).ends_with("too few samples came in to say more"));
        assert!(text(&Drift { reference_cycle: None, ..few }).ends_with("there is no champion to compare with"));
    }
}
