//! The date that chat templates see.
//!
//! Llama 3 and SmolLM3 write the day's date into the system prompt. A template that read the clock would render one
//! sample differently from day to day, and a run resumed after midnight would not end as it began. So the date stands
//! still, at the one that Llama's own template falls back to.

use minijinja::{Error, ErrorKind};

/// 26 July 2024, a Friday, midnight: `strftime` of the formats that templates use.
pub(super) fn strftime(format: &str) -> Result<String, Error> {
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        let field = match characters.next() {
            Some('Y') => "2024",
            Some('y') => "24",
            Some('m') => "07",
            Some('B') => "July",
            Some('b') => "Jul",
            Some('d') => "26",
            Some('A') => "Friday",
            Some('a') => "Fri",
            Some('j') => "208",
            Some('H' | 'M' | 'S') => "00",
            Some('%') => "%",
            other => {
                let field = other.map_or(String::new(), String::from);
                return Err(Error::new(ErrorKind::InvalidOperation, format!("strftime_now: unknown field `%{field}`")));
            }
        };
        text.push_str(field);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_that_of_llamas_template() {
        assert_eq!(strftime("%d %b %Y, 100%%").unwrap(), "26 Jul 2024, 100%");
        assert!(strftime("%Q").is_err());
        assert!(strftime("%").is_err());
    }
}
