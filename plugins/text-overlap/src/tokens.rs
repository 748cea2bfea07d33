/// The words that ROUGE counts: runs of ASCII letters and digits, in lower case.
pub(crate) fn rouge_words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|character: char| !character.is_ascii_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The tokens of NIST's mteval-v13a, which BLEU is counted in.
pub(crate) fn mteval_13a(text: &str) -> Vec<String> {
    let text = text.trim_end().replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    let text = text.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    let text: Vec<char> = format!(" {text} ").chars().collect();
    let text = apart(&text);
    let text = pairs(&text, |a, b| (!a.is_ascii_digit() && is_point(b)).then_some([a, ' ', b, ' ']));
    let text = pairs(&text, |a, b| (is_point(a) && !b.is_ascii_digit()).then_some([' ', a, ' ', b]));
    let text = pairs(&text, |a, b| (a.is_ascii_digit() && b == '-').then_some([a, ' ', b, ' ']));
    text.iter().collect::<String>().split_whitespace().map(str::to_owned).collect()
}

// ASCII punctuation but for the apostrophe, comma, hyphen and full stop.
fn stands_alone(character: char) -> bool {
    character.is_ascii_punctuation() && !matches!(character, '\'' | ',' | '-' | '.')
}

fn is_point(character: char) -> bool {
    matches!(character, '.' | ',')
}

// Puts spaces around all that stands alone.
fn apart(text: &[char]) -> Vec<char> {
    let mut spaced = Vec::with_capacity(text.len() * 2);
    for character in text {
        match stands_alone(*character) {
            true => spaced.extend([' ', *character, ' ']),
            false => spaced.push(*character),
        }
    }
    spaced
}

// Replaces pairs of neighbours from left to right; a character is in one pair at most, as in a substitution by a regular
// expression.
fn pairs(text: &[char], replace: impl Fn(char, char) -> Option<[char; 4]>) -> Vec<char> {
    let mut replaced = Vec::with_capacity(text.len() * 2);
    let mut rest = text;
    while let [a, after @ ..] = rest {
        match after.first().and_then(|b| replace(*a, *b)) {
            Some(pair) => {
                replaced.extend(pair);
                rest = &after[1..];
            }
            None => {
                replaced.push(*a);
                rest = after;
            }
        }
    }
    replaced
}
