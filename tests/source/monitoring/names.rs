use std::collections::BTreeMap;

/// What is written in an expression of PromQL like a metric, and is none.
const WORDS: [&str; 19] = [
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "offset",
    "bool",
    "sum",
    "count",
    "max",
    "min",
    "avg",
    "nan",
    "inf",
    "e",
];
/// What Prometheus itself says of a target.
const OWN: [&str; 1] = ["up"];
/// Labels that every series has, and the one of buckets.
const COMMON: [&str; 3] = ["job", "instance", "le"];
/// What comes before a list of labels in brackets.
const TAKE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// The metrics and the labels that an expression of PromQL names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) metrics: Vec<String>,
    pub(super) labels: Vec<String>,
}

/// Reads an expression as far as names go: strings, durations and numbers are passed over, and a word before `(` is a
/// function or takes labels.
pub(super) fn named(expression: &str) -> Named {
    let (mut found, mut rest) = (Named::default(), expression);
    while let Some(first) = rest.chars().next() {
        let ends = |keeps: fn(char) -> bool| rest.find(|letter| !keeps(letter)).unwrap_or(rest.len());
        match first {
            '{' => {
                let (inside, after) = rest[1..].split_once('}').expect("a bracket that closes");
                found.labels.extend(inside.split(',').filter_map(label));
                rest = after;
            }
            '[' => rest = rest.split_once(']').expect("a bracket that closes").1,
            _ if first.is_ascii_alphabetic() || first == '_' => {
                let (word, after) =
                    rest.split_at(ends(|letter| letter.is_ascii_alphanumeric() || "_:".contains(letter)));
                rest = after;
                let calls = after.trim_start().starts_with('(');
                if TAKE_LABELS.contains(&word) && calls {
                    let (inside, after) = after.trim_start()[1..].split_once(')').expect("a bracket that closes");
                    found.labels.extend(inside.split(',').map(|label| label.trim().to_owned()));
                    rest = after;
                } else if !calls && !WORDS.contains(&word) {
                    found.metrics.push(word.to_owned());
                }
            }
            // A number, or a duration such as 6h.
            _ if first.is_ascii_digit() => {
                rest = &rest[ends(|letter| letter.is_ascii_alphanumeric() || letter == '.')..]
            }
            _ => rest = &rest[first.len_utf8()..],
        }
    }
    found.labels.retain(|label| !label.is_empty());
    found
}

fn label(matcher: &str) -> Option<String> {
    let (label, _) = matcher.split_once(['=', '!'])?;
    Some(label.trim().to_owned())
}

/// What an expression names that is not exported, or not with this label.
pub(super) fn unknown(expression: &str, exported: &BTreeMap<String, (String, Vec<String>)>) -> Vec<String> {
    let Named { metrics, labels } = named(expression);
    let base = |name: &str| -> Option<&(String, Vec<String>)> {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        let of_histogram = of_histogram.and_then(|name| exported.get(name)).filter(|(kind, _)| kind == "histogram");
        exported.get(name).filter(|(kind, _)| kind != "histogram").or(of_histogram)
    };
    let (own, theirs): (Vec<&String>, Vec<&String>) = metrics.iter().partition(|name| OWN.contains(&name.as_str()));
    let mut unknown: Vec<String> =
        theirs.iter().filter(|name| base(name).is_none()).map(|name| (**name).clone()).collect();
    let known = |label: &String| {
        COMMON.contains(&label.as_str())
            || theirs.iter().filter_map(|name| base(name)).any(|(_, labels)| labels.contains(label))
    };
    unknown.extend(labels.into_iter().filter(|label| !known(label)));
    if own.is_empty() && theirs.is_empty() && !expression.starts_with("vector(") {
        unknown.push(format!("no metric at all in {expression}"));
    }
    unknown
}

#[test]
fn names_are_read_from_expressions() {
    let read =
        named(r#"sum by (job, kind) (rate(a_total{outcome=~"x|y", job!="(z)"}[5m])) > 0.5 and b_ratio offset 6h > 1"#);
    assert_eq!(read.metrics, ["a_total", "b_ratio"]);
    assert_eq!(read.labels, ["job", "kind", "outcome", "job"]);
    let exported = [("a_total".to_owned(), ("counter".to_owned(), vec!["outcome".to_owned()]))].into();
    assert_eq!(unknown(r#"a_total{outcome="x"}"#, &exported), Vec::<String>::new());
    assert_eq!(unknown(r#"a_total{color="x"} / c"#, &exported), ["c", "color"]);
    assert_eq!(unknown("1", &exported).len(), 1);
}
