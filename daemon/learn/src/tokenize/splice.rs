//! An answer put behind what the model is asked for it, where a template writes the conversation with the answer otherwise
//! than without it: as Mistral's, which has the system text in the last turn, and only where that is the user's.

use super::control::Rendered;

/// How many bytes two texts have in common at their start, up to the end of a character.
pub(super) fn common_length(one: &str, other: &str) -> usize {
    let same = |(one, other): &(char, char)| one == other;
    one.chars().zip(other.chars()).take_while(same).map(|(character, _)| character.len_utf8()).sum()
}

/// How many bytes two texts have in common at their end.
fn common_end(one: &[u8], other: &[u8]) -> usize {
    one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count()
}

/// A header is not looked for in more of a text than this.
const WINDOW_BYTES: usize = 1 << 14;

/// The prompt, and behind it what follows in the other text on the longest ending that it shares with the prompt, before
/// the answer's content. `None` where the content is not there.
pub(super) fn spliced(prompt: Rendered, through: &Rendered, content: &str) -> Option<Rendered> {
    let content = through.text.rfind(content)?;
    let window = content.saturating_sub(WINDOW_BYTES)..=content;
    let shared = |place: &usize| common_end(&through.text.as_bytes()[..*place], prompt.text.as_bytes());
    let places = window.filter(|place| through.text.is_char_boundary(*place));
    // The last of those that share most; nothing shared leaves the content itself.
    let from = places.max_by_key(shared).filter(|place| shared(place) > 0).unwrap_or(content);
    let start = prompt.text.len();
    let moved = |byte: usize| byte - from + start;
    let said_behind =
        through.said.iter().filter(|said| said.start >= from).map(|said| moved(said.start)..moved(said.end));
    let said = prompt.said.iter().cloned().chain(said_behind).collect();
    Some(Rendered { text: prompt.text + &through.text[from..], said, generation: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_follows_what_the_model_is_asked() {
        let prompt = Rendered::plain("<s>[INST] be brief\n\nq [/INST]".to_owned(), Vec::new());
        let through = Rendered::plain("<s>[INST] q [/INST] a</s>".to_owned(), Vec::new());
        let whole = spliced(prompt, &through, "a").unwrap();
        assert_eq!(whole.text, "<s>[INST] be brief\n\nq [/INST] a</s>");
    }

    #[test]
    fn common_starts_end_with_a_character() {
        assert_eq!(common_length("aé", "aè"), 1);
        assert_eq!(common_length("ab", "abc"), 2);
    }
}
