use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// One scrape: every series with its labels, as `name` or `name{label="value"}`, and its value.
#[derive(Debug)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads Prometheus' text format.
    ///
    /// # Errors
    /// Where a line is neither a comment nor a series with a number.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(parse_line).collect::<Result<_>>().map(Self)
    }

    /// The sum over all series of this name whose labels include all of `labels`, `None` where there is no such series.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let matches = |series: &str| {
            let (base, rest) = series.split_once('{').unwrap_or((series, ""));
            base == name && wanted.iter().all(|label| rest.contains(label.as_str()))
        };
        let found: Vec<f64> = self.0.iter().filter(|(series, _)| matches(series)).map(|(_, value)| *value).collect();
        (!found.is_empty()).then(|| found.iter().sum())
    }

    /// The names, without labels, each once, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.0.keys().map(|series| series.split_once('{').map_or(series.as_str(), |(base, _)| base)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn parse_line(line: &str) -> Result<(String, f64)> {
    let (series, value) = line.rsplit_once(' ').with_context(|| format!("not a series: {line:?}"))?;
    let value = value.parse().with_context(|| format!("not a number: {line:?}"))?;
    Ok((series.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_name_and_labels() {
        let text = "# HELP a b\na_total{kind=\"x\",by=\"y\"} 1\na_total{kind=\"z\"} 2\nb 0\n";
        let metrics = Metrics::parse(text).unwrap();
        assert_eq!(metrics.sum("a_total", &[]), Some(3.0));
        assert_eq!(metrics.sum("a_total", &[("kind", "x")]), Some(1.0));
        assert_eq!(metrics.sum("a_total", &[("kind", "q")]), None);
        assert_eq!(metrics.names(), ["a_total", "b"]);
        assert!(Metrics::parse("nonsense").is_err());
    }
}
