use crate::found::Found;

/// All e-mail addresses: a local part of ASCII letters, digits and `._%+-`, and a host with a top-level domain of letters.
pub(crate) fn emails(text: &[char]) -> Vec<Found> {
    let signs = text.iter().enumerate().filter(|(_, character)| **character == '@').map(|(at, _)| at);
    signs.filter_map(|at| email(text, at)).collect()
}

fn email(text: &[char], sign: usize) -> Option<Found> {
    let local = text[..sign].iter().rev().take_while(|character| is_local(**character)).count();
    let local = trimmed(&text[sign - local..sign]);
    let host = text[sign + 1..].iter().take_while(|character| is_host(**character)).count();
    let host = trimmed(&text[sign + 1..sign + 1 + host]);
    let mut labels = host.split(|character| *character == '.');
    let top = labels.next_back()?;
    let is_top = top.len() >= 2 && top.iter().all(char::is_ascii_alphabetic);
    let mut below = labels.peekable();
    if local.is_empty() || !is_top || below.peek().is_none() || below.any(|label| label.is_empty()) {
        return None;
    }
    let value: String = local.iter().chain(&['@']).chain(host).collect();
    Some(Found { value: value.to_lowercase(), span: sign - local.len()..sign + 1 + host.len() })
}

// Full stops and hyphens belong to the sentence, not to the address.
fn trimmed(mut text: &[char]) -> &[char] {
    while let [rest @ .., '.' | '-'] = text {
        text = rest;
    }
    while let ['.' | '-', rest @ ..] = text {
        text = rest;
    }
    text
}

fn is_local(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '%' | '+' | '-')
}

fn is_host(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        emails(&text.chars().collect::<Vec<_>>()).into_iter().map(|found| found.value).collect()
    }

    #[test]
    fn addresses_in_sentences() {
        assert_eq!(found("Ask Ada.Lovelace+x@Mail.Example.ORG."), ["ada.lovelace+x@mail.example.org"]);
        assert_eq!(found("<a@b.co>, (c_d@e-f.info)"), ["a@b.co", "c_d@e-f.info"]);
        assert_eq!(found("@handle a@b user@host.1 @b.de x@.de a@b..de"), [""; 0]);
    }
}
