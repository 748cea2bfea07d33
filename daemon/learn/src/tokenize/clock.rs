//! The date that chat templates see.
//!
//! Llama 3 and SmolLM3 write the day's date into the system prompt. A template that read the clock would render one
//! sample differently from day to day, and a run resumed after midnight would not end as it began. So the date stands
//! still, at the one that Llama's own template falls back to.

/// 26 July 2024, a Friday, midnight: `strftime` of the formats that templates use.
///
/// # Errors
/// Names a field that is not known here.
pub(super) fn strftime(format: &str) -> Result<String, String> {
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        let field = match characters.next() {
            Some('-') => match characters.next() {
                Some('d') => "26",
                Some('m') => "7",
                Some('H' | 'M' | 'S') => "0",
                other => return Err(unknown(other)),
            },
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
            Some('I') => "12",
            Some('p') => "AM",
            Some('F') => "2024-07-26",
            Some('T' | 'X') => "00:00:00",
            Some('D' | 'x') => "07/26/24",
            Some('%') => "%",
            other => return Err(unknown(other)),
        };
        text.push_str(field);
    }
    Ok(text)
}

fn unknown(field: Option<char>) -> String {
    format!("strftime_now: unknown field `%{}`", field.map_or(String::new(), String::from))
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
