use crate::Check;

/// The wanted sections `<name>…</name>`.
pub(crate) struct Sections {
    pub(crate) names: Vec<String>,
    /// Nothing may stand outside them.
    pub(crate) only: bool,
}

impl Sections {
    /// One check a section, one on their order, and one on what stands outside.
    pub(crate) fn checks(&self, text: &str) -> Vec<Check> {
        if self.names.is_empty() {
            return Vec::new();
        }
        let mut checks: Vec<Check> = self.names.iter().map(|name| check(name, text)).collect();
        let spans: Option<Vec<Span>> = self.names.iter().map(|name| span(name, text)).collect();
        let in_order = spans.filter(|spans| spans.windows(2).all(|pair| pair[0].end <= pair[1].start));
        checks.push(Check {
            part: "order",
            holds: in_order.is_some(),
            failure: format!("no {} in this order", self.names.join(", ")),
        });
        if self.only {
            checks.push(Check {
                part: "only_sections",
                holds: in_order.is_some_and(|spans| is_blank_outside(text, &spans)),
                failure: "text outside the sections".to_owned(),
            });
        }
        checks
    }
}

#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

fn check(name: &str, text: &str) -> Check {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let counts = (text.matches(&open).count(), text.matches(&close).count());
    let filled = span(name, text)
        .is_some_and(|Span { start, end }| !text[start + open.len()..end - close.len()].trim().is_empty());
    let failure = match counts {
        (1, 1) if span(name, text).is_some() => format!("{open} is empty"),
        (1, 1) => format!("{close} comes before {open}"),
        (0, _) => format!("no {open}"),
        (_, 0) => format!("{open} is not closed"),
        _ => format!("{open} is there more than once"),
    };
    Check { part: "sections", holds: counts == (1, 1) && filled, failure }
}

// From the first opening tag to the end of the next closing one.
fn span(name: &str, text: &str) -> Option<Span> {
    let close = format!("</{name}>");
    let start = text.find(&format!("<{name}>"))?;
    let end = start + text[start..].find(&close)? + close.len();
    Some(Span { start, end })
}

fn is_blank_outside(text: &str, spans: &[Span]) -> bool {
    let starts = spans.iter().map(|span| span.start).chain([text.len()]);
    let ends = [0].into_iter().chain(spans.iter().map(|span| span.end));
    ends.zip(starts).all(|(end, start)| text[end..start].trim().is_empty())
}
