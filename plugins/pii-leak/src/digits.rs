use std::ops::Range;

/// Digits that belong together: groups with at most two separating characters between them, bounded by something that is
/// neither letter nor digit.
#[derive(Debug)]
pub(crate) struct Digits {
    pub(crate) groups: Vec<Group>,
}

/// Digits without anything between them.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) digits: String,
    pub(crate) span: Range<usize>,
    /// What stands between this group and the one before.
    pub(crate) separator: String,
}

impl Digits {
    /// All of a text, in order.
    pub(crate) fn all(text: &[char]) -> Vec<Self> {
        let mut all = Vec::new();
        let mut groups: Vec<Group> = Vec::new();
        let mut at = 0;
        while at < text.len() {
            if !text[at].is_ascii_digit() {
                at += 1;
                continue;
            }
            let length = text[at..].iter().take_while(|character| character.is_ascii_digit()).count();
            let span = at..at + length;
            at = span.end;
            let glued = |neighbour: Option<&char>| neighbour.is_some_and(|character| character.is_alphanumeric());
            if glued(span.start.checked_sub(1).and_then(|before| text.get(before))) || glued(text.get(span.end)) {
                all.extend(Self::of(&mut groups));
                continue;
            }
            let between: &[char] = groups.last().map_or(&[], |last| &text[last.span.end..span.start]);
            if between.len() > 2 || !between.iter().all(|character| is_separator(*character)) {
                all.extend(Self::of(&mut groups));
            }
            let separator = if groups.is_empty() { String::new() } else { between.iter().collect() };
            groups.push(Group { digits: text[span.clone()].iter().collect(), span, separator });
        }
        all.extend(Self::of(&mut groups));
        all
    }

    fn of(groups: &mut Vec<Group>) -> Option<Self> {
        (!groups.is_empty()).then(|| Self { groups: std::mem::take(groups) })
    }
}

fn is_separator(character: char) -> bool {
    matches!(character, ' ' | '-' | '.' | '/' | '(' | ')' | '\u{a0}' | '\u{202f}' | '‑' | '–')
}

/// The digits of these groups.
pub(crate) fn joined(groups: &[Group]) -> String {
    groups.iter().map(|group| group.digits.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_belong_together() {
        let text: Vec<char> = "(030) 12-34, x99 5 and 6:7".chars().collect();
        let groups = |digits: &Digits| digits.groups.iter().map(|group| group.digits.clone()).collect::<Vec<_>>();
        let all: Vec<_> = Digits::all(&text).iter().map(groups).collect();
        assert_eq!(all, [vec!["030", "12", "34"], vec!["5"], vec!["6"], vec!["7"]]);
    }
}
