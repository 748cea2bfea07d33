/// One notation for what can be written in several.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '−' | '‐' | '‑' | '–' => plain.push('-'),
            '⁄' => plain.push('/'),
            // Spaces that group thousands.
            '\u{a0}' | '\u{2009}' | '\u{202f}' | '’' => plain.push('_'),
            '×' | '·' => plain.push('*'),
            '½' => plain.push_str(" 1/2"),
            '¼' => plain.push_str(" 1/4"),
            '¾' => plain.push_str(" 3/4"),
            '⅓' => plain.push_str(" 1/3"),
            '⅔' => plain.push_str(" 2/3"),
            _ => plain.push(character),
        }
    }
    let plain =
        plain.replace("{,}", ",").replace("\\,", "").replace("\\!", "").replace("\\times", "*").replace("\\cdot", "*");
    without_latex_fractions(&plain.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac"))
}

// `\frac{3}{4}` as ` 3/4`.
fn without_latex_fractions(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\frac") {
        plain.push_str(before);
        rest = after;
        let Some((top, after_top)) = braced(after) else { continue };
        let Some((bottom, after_bottom)) = braced(after_top) else { continue };
        if !plain.ends_with(['-', '+']) {
            plain.push(' ');
        }
        plain.push_str(&format!("{top}/{bottom}"));
        rest = after_bottom;
    }
    plain.push_str(rest);
    plain
}

fn braced(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('{')?.split_once('}')
}
