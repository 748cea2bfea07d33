use perennial_types::Publication;

use super::{
    output,
    session::{Answerer, Session},
    show::state_of,
    table::{Table, or_nothing, time},
};
use crate::{
    answers::{Anchor, BaseAnswerCounts, Drift, DriftScore, Held, IntakeTrouble, SetAside, Status, pin_reason},
    api,
};

/// `perennial status`
pub(super) fn run(session: &Session, json: bool) -> anyhow::Result<()> {
    let status: Status = match session.to_read()? {
        Answerer::Daemon(client) => client.get("/v1/status")?,
        Answerer::Here(parts) => {
            let context = &parts.context;
            api::status(context, &*parts.ports.cycles, None)?
        }
    };
    if json {
        return output::json(&status);
    }
    output::line(status_text(&status));
    Ok(())
}

fn status_text(status: &Status) -> String {
    let daemon = status.activity.as_ref().map_or_else(|| "not running".to_owned(), |activity| activity.line());
    let champion = match (&status.champion, status.champion_since_ms) {
        (Some(champion), Some(since)) => format!("{champion}, since {}", time(since)),
        (champion, _) => champion.as_ref().map_or_else(|| "the base model".to_owned(), ToString::to_string),
    };
    let last_cycle = status.last_cycle.as_ref().map(|row| format!("{}, {}", row.id, state_of(row)));
    let oldest =
        status.waiting.oldest_ms.map(|oldest| format!(", the oldest since {}", time(oldest))).unwrap_or_default();
    let mut text = format!(
        "state       {}\ndaemon      {daemon}\nchampion    {champion}\nlast cycle  {}\nwaiting     {} samples{oldest}",
        status.state,
        or_nothing(last_cycle),
        status.waiting.samples,
    );
    if let Some(Held { cycle, adapter, until_ms, .. }) = &status.held {
        let (id, until) = (cycle.0, time(*until_ms));
        text.push_str(&format!(
            "\nheld        {adapter} of cycle {cycle} passed the gate and waits for a person's word until {until}: `perennial show {id}`, \
             then `perennial approve` or `perennial decline`"
        ));
    }
    if status.waiting.refused > 0 {
        text.push_str(&format!(
            "\n            {} of them taught what the gate refused: they go along with the next new ones, or begin a cycle once \
             the configuration is another; `perennial cycle` takes them at once",
            status.waiting.refused
        ));
    }
    if let Some(anchor) = &status.anchor {
        text.push_str(&format!("\nanchor      {}", anchor_text(anchor)));
    }
    if let Some(trouble) = &status.intake {
        text.push_str(&intake_text(trouble));
    }
    if let Some(stuck) = &status.stuck {
        text.push_str(&format!("\nstuck       {stuck}"));
        let next = stuck.retry_ms.map_or_else(String::new, |retry| format!("next at {}; ", time(retry)));
        text.push_str(&format!("\n            {next}`perennial cycle` tries at once"));
        if let (Some(cycle), 1..) = (stuck.cycle, stuck.attempts) {
            text.push_str(&format!(", `perennial cycle --abort {}` ends it", cycle.0));
        }
    }
    for doubt in &status.doubts {
        text.push_str(&format!("\ndoubt       {doubt}"));
    }
    for untrained in &status.untrained {
        text.push_str(&format!("\nuntrained   {untrained}"));
    }
    if status.set_aside > 0 {
        text.push_str(&format!(
            "\nset aside   {} samples that nothing can be learned from as things are: `perennial quarantine list` says why",
            status.set_aside
        ));
    }
    for target in &status.targets {
        text.push_str(&format!("\npublish     {}", target_text(target)));
    }
    text.push_str(&drift_text(&status.drift));
    if let Some(BaseAnswerCounts { answered, unanswered }) = status.base_answers {
        text.push_str(&format!("\nanswers     {answered} of the base model, for mixes (replay.base_answers)"));
        if unanswered > 0 {
            text.push_str(&format!("; {unanswered} prompts have none that ends by itself"));
        }
    }
    if status.unindexed > 0 {
        text.push_str(&format!("\nto index    {} samples", status.unindexed));
    }
    if !status.domains.is_empty() {
        let mut table = Table::new(["DOMAIN", "TRAINING", "HELD OUT"]);
        for (domain, samples) in &status.domains {
            table.row([domain.to_string(), samples.training.to_string(), samples.held_out.to_string()]);
        }
        text.push_str(&format!("\n\n{table}"));
    }
    text
}

/// What candidates are held against beside the champion.
fn anchor_text(anchor: &Anchor) -> String {
    match &anchor.pin {
        Some(pin) => format!("{}, pinned {} {}", anchor.name(), time(pin.at_ms), pin_reason(pin)),
        None => "the base model: nobody pinned another (`perennial pin`)".to_owned(),
    }
}

/// What drifted, when that was measured last.
fn drift_text(drift: &Drift) -> String {
    let Drift { reference_samples, current_samples, scores, .. } = drift;
    let known = scores.iter().filter(|score| score.score.is_some()).count();
    let (Some(measured_ms), 1..) = (drift.measured_ms, known) else { return String::new() };
    let mut text = format!(
        "\ndrift       {} of {known} scores beyond their thresholds, of the last {current_samples} samples against {reference_samples} that \
         the champion learned, {}: `perennial drift`",
        drift.drifted().count(),
        time(measured_ms)
    );
    for DriftScore { detector, meaning, domain, score, threshold, .. } in drift.drifted().take(DRIFTED_TOLD_MAX) {
        let (score, threshold) = (score.unwrap_or(f64::NAN), threshold.unwrap_or(f64::NAN));
        let of = domain.as_ref().map_or_else(String::new, |domain| format!(" of {domain}"));
        text.push_str(&format!("\n            {detector}{of} {score:.3}, threshold {threshold:.3} ({meaning})"));
    }
    text
}

/// Scores that are told one by one.
const DRIFTED_TOLD_MAX: usize = 8;

/// How a target of publishing stands.
fn target_text(target: &Publication) -> String {
    let Publication { target: name, attempts, .. } = target;
    let since = time(target.since_ms);
    if !target.is_behind() {
        return format!("{name} serves the champion, since {since}");
    }
    let mut text = format!("{name} does not serve the champion, since {since}");
    if let Some(error) = &target.error {
        text.push_str(&format!(": {error}"));
    }
    match target.next_ms {
        Some(next_ms) => text.push_str(&format!(" (try {attempts}, the next at {})", time(next_ms))),
        None if target.is_given_up() => {
            text.push_str(&format!(
                " (given up after {attempts} tries: tried again with the next champion, at a reload and at the next start)"
            ));
        }
        None => {}
    }
    text
}

/// What keeps rows from coming in, if anything does.
fn intake_text(trouble: &IntakeTrouble) -> String {
    let mut text = String::new();
    if trouble.storage_full {
        text.push_str("\nintake      the disk is full: nothing is taken in until there is room");
    }
    if trouble.set_aside_files > 0 {
        let files = trouble.set_aside_files;
        text.push_str(&format!(
            "\nset aside   {files} files of the inbox, tried again when they change or at the next start"
        ));
    }
    for SetAside { file, attempts, reason } in &trouble.set_aside {
        text.push_str(&format!("\n            {file}, after {attempts} attempts: {reason}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use perennial_types::{CycleId, Domain, Fingerprint, Kind};

    use super::*;
    use crate::{
        answers::{CycleRow, DomainSamples, DriftScore, SetAside, Stuck, Waiting},
        untrained,
    };

    /// One that follows, or that failed and is tried again at this time.
    fn publication(target: &str, behind: Option<(Option<&str>, Option<i64>)>) -> Publication {
        Publication {
            target: target.to_owned(),
            place: Fingerprint::of(b""),
            wished: 2,
            wished_adapter: None,
            served: Some(if behind.is_some() { 1 } else { 2 }),
            served_adapter: None,
            since_ms: 3_000,
            attempts: 4,
            next_ms: behind.and_then(|(_, next_ms)| next_ms),
            error: behind.and_then(|(error, _)| error.map(str::to_owned)),
        }
    }

    fn drift_score(detector: &str, domain: Option<&str>, score: Option<f64>) -> DriftScore {
        DriftScore {
            detector: detector.into(),
            meaning: "far above 1".into(),
            domain: domain.map(|domain| Domain::new(domain).unwrap()),
            score,
            threshold: score.map(|_| 0.11),
            drifted: score.is_some_and(|score| score > 0.11),
        }
    }

    #[test]
    fn status_reads_well() {
        let status = Status {
            version: "0.1.0".into(),
            state: "/var/lib/perennial".into(),
            activity: None,
            intake: Some(IntakeTrouble {
                storage_full: true,
                set_aside_files: 2,
                set_aside: vec![SetAside { file: "a.bin".to_owned(), attempts: 5, reason: "no".to_owned() }],
            }),
            champion: Some("0123456789ab".parse().unwrap()),
            champion_since_ms: Some(0),
            anchor: Some(Anchor::default()),
            stuck: Some(Stuck {
                cycle: Some(CycleId(4)),
                since_ms: 1_000,
                reason: "no answer from http://gpu:8000".into(),
                remedy: String::new(),
                attempts: 3,
                failed_cycles: 2,
                retry_ms: Some(90_000),
            }),
            held: Some(Held {
                cycle: CycleId(4),
                adapter: "ba9876543210".parse().unwrap(),
                since_ms: 1_000,
                until_ms: 604_801_000,
            }),
            unpublished: Some("production reads the base model, the champion is 0123456789ab".into()),
            targets: vec![
                publication("folder", None),
                publication("near", Some((Some("no answer"), Some(5_000)))),
                publication("far", Some((Some("no answer"), None))),
                publication("new", Some((None, None))),
            ],
            drift: Drift {
                reference_samples: 200,
                current_samples: 1000,
                scores: vec![
                    drift_score("mix", None, Some(0.1234)),
                    drift_score("mix", Some("tickets"), Some(0.1)),
                    drift_score("other", None, None),
                ],
                measured_ms: Some(120_000),
                ..Drift::default()
            },
            doubts: vec!["the reward plugin a scores no sample".into()],
            waiting: Waiting { samples: 12, refused: 5, oldest_ms: Some(60_000) },
            untrained: vec![untrained::of(Kind::Preference, 9)],
            set_aside: 2,
            base_answers: Some(BaseAnswerCounts { answered: 180, unanswered: 21 }),
            unindexed: 3,
            domains: BTreeMap::from([(Domain::new("tickets").unwrap(), DomainSamples { training: 285, held_out: 15 })]),
            last_cycle: Some(CycleRow {
                id: CycleId(4),
                reason: "samples".into(),
                phase: None,
                outcome: None,
                candidate: None,
                started_ms: 0,
                finished_ms: None,
            }),
        };
        insta::assert_snapshot!(status_text(&status));
    }
}
