use super::{
    figure::{Compare, Figure, Goal, Reached, Unit},
    results::Results,
    table::table,
};

/// The tables of a figure for the terminal.
pub(super) fn text(figure: &Figure, results: &Results) -> String {
    let mut text = format!("{}\n{}", figure.name, measurements(figure, results));
    if !figure.goals.is_empty() {
        text += &format!("\n{}", goals(figure, results));
    }
    for (contender, reason) in &results.unavailable {
        text += &format!("{contender} could not be measured: {reason}\n");
    }
    text
}

/// Each contender's medians, with the lowest and the highest run.
pub(super) fn measurements(figure: &Figure, results: &Results) -> String {
    let header = ["", "runs"].into_iter().chain(figure.measures.iter().map(|measure| measure.title));
    let rows = figure.contenders.iter().map(|contender| {
        let runs = results.runs.iter().filter(|run| run.contender == contender.name).count();
        let cells = figure.measures.iter().map(|measure| {
            let mut values = results.values(contender.name, measure.key);
            values.sort_by(f64::total_cmp);
            let median = results.median(contender.name, measure.key);
            median.map_or("–".to_owned(), |median| with_range(measure.unit, median, &values))
        });
        [contender.name.to_owned(), runs.to_string()].into_iter().chain(cells).collect()
    });
    table(&header.map(str::to_owned).collect::<Vec<_>>(), &rows.collect::<Vec<_>>())
}

fn with_range(unit: Unit, median: f64, sorted: &[f64]) -> String {
    match sorted {
        [low, .., high] => format!("{} ({} … {})", unit.show(median), unit.show(*low), unit.show(*high)),
        _ => unit.show(median),
    }
}

/// What a figure had to reach, and how far it came.
pub(super) fn goals(figure: &Figure, results: &Results) -> String {
    let header = ["goal", "ours", "peer", "ratio", "at least", "aim", "reached"];
    let rows: Vec<Vec<String>> = figure.goals.iter().map(|goal| row(figure, goal, results)).collect();
    table(&header.map(str::to_owned), &rows)
}

fn row(figure: &Figure, goal: &Goal, results: &Results) -> Vec<String> {
    let medians = |names: &[&'static str]| -> Vec<(f64, &'static str)> {
        names.iter().filter_map(|name| Some((results.median(name, goal.measure)?, *name))).collect()
    };
    let (ours, peers) = (medians(goal.ours), medians(goal.peers));
    let values = |medians: &[(f64, &str)]| medians.iter().map(|(value, _)| *value).collect::<Vec<_>>();
    let ratio = goal.compare.ratio(&values(&ours), &values(&peers));
    let unit = figure.measures.iter().find(|measure| measure.key == goal.measure).map(|measure| measure.unit);
    let show = |medians: &[(f64, &str)]| match (best(goal.compare, medians), unit) {
        (Some((value, name)), Some(unit)) => format!("{} ({name})", unit.show(value)),
        _ => "–".to_owned(),
    };
    let reached = match ratio.map(|ratio| goal.reached(ratio)) {
        Some(Reached::Aim) => "aim",
        Some(Reached::AtLeast) => "at least",
        Some(Reached::No) => "no",
        None => "not measured",
    };
    let ratio = ratio.map_or("–".to_owned(), times);
    vec![
        goal.what.to_owned(),
        show(&ours),
        show(&peers),
        ratio,
        times(goal.at_least),
        times(goal.aim),
        reached.to_owned(),
    ]
}

fn best<'a>(compare: Compare, medians: &[(f64, &'a str)]) -> Option<(f64, &'a str)> {
    let better = |one: (f64, &'a str), other: (f64, &'a str)| {
        let other_is = if compare == Compare::Rate { other.0 > one.0 } else { other.0 < one.0 };
        if other_is { other } else { one }
    };
    medians.iter().copied().reduce(better)
}

fn times(ratio: f64) -> String {
    format!("{}x", (ratio * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{figures::figures, results::tests::results},
        *,
    };

    #[test]
    fn ratios_are_those_of_the_medians_of_the_best() {
        let figure = figures(false).into_iter().find(|figure| figure.name == "sft").unwrap();
        let rate = "tokens_per_second";
        let mut results = results(
            "sft",
            &[
                ("perennial f32", rate, 900.0),
                ("perennial f32", rate, 1000.0),
                ("perennial f32", rate, 5000.0),
                ("PEFT f32", rate, 200.0),
                ("PEFT bf16", rate, 250.0),
            ],
        );
        results.unavailable.insert("perennial bf16".to_owned(), "not yet".to_owned());
        let text = text(&figure, &results);
        let line = |start: &str| {
            let line = text.lines().find(|line| line.starts_with(start)).unwrap();
            line.split('|').map(str::trim).collect::<Vec<_>>().join("|")
        };
        assert_eq!(line("| perennial f32"), "|perennial f32|3|1000 (900 … 5000)|–|");
        assert_eq!(
            line("| tokens/s, against"),
            "|tokens/s, against the better of PEFT f32 and bf16|1000 (perennial f32)|250 (PEFT bf16)|4x|3x|6x|at least|"
        );
        assert!(line("| peak memory of").ends_with("|–|–|–|0.4x|0.25x|not measured|"));
        assert!(text.ends_with("perennial bf16 could not be measured: not yet\n"));
    }
}
