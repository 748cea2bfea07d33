//! Python's two ways to fill a pattern: `'%s' % value` and `'{}'.format(value)`.

use super::{
    args::Args,
    budget::Budget,
    fault::{Result, error},
    repr,
    value::Value,
};

/// How a value is laid out: `[[fill]align][sign][0][width][.precision][type]`.
#[derive(Default)]
struct Layout {
    fill: Option<char>,
    align: Option<char>,
    plus: bool,
    width: usize,
    precision: Option<usize>,
    kind: Option<char>,
}

/// `pattern % values`; named arguments serve `%(name)s`.
pub(super) fn percent(pattern: &str, args: &Args, budget: &Budget) -> Result<String> {
    let mut out = String::new();
    let mut rest = pattern.chars().peekable();
    let mut values = args.positional.iter();
    while let Some(character) = rest.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        if rest.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let mut name = None;
        if rest.next_if_eq(&'(').is_some() {
            name = Some(rest.by_ref().take_while(|character| *character != ')').collect::<String>());
        }
        let mut layout = Layout::default();
        while let Some(flag) = rest.next_if(|character| "-+ #0".contains(*character)) {
            match flag {
                '-' => layout.align = Some('<'),
                '+' => layout.plus = true,
                '0' if layout.align.is_none() => layout.fill = Some('0'),
                _ => {}
            }
        }
        layout.width = digits(&mut rest);
        if rest.next_if_eq(&'.').is_some() {
            layout.precision = Some(digits(&mut rest));
        }
        layout.kind = rest.next();
        if layout.kind.is_none() {
            return error("incomplete format");
        }
        let value = match name {
            Some(name) => named(args, &name)?,
            None => match values.next() {
                Some(value) => value.clone(),
                None => return error("not enough arguments for format string"),
            },
        };
        layout.align = layout.align.or(Some(if layout.fill == Some('0') { '=' } else { '>' }));
        write(&value, &layout, &mut out, budget)?;
    }
    // A mapping may hold more than the pattern names.
    let is_mapping = matches!(args.positional.as_slice(), [Value::Dict(_) | Value::List(_)]);
    if values.next().is_some() && !is_mapping {
        return error("not all arguments converted during string formatting");
    }
    budget.text(pattern.len())?;
    Ok(out)
}

/// `pattern.format(values)`: fields by place or name, without attributes of what they name.
pub(super) fn braces(pattern: &str, args: &Args, budget: &Budget) -> Result<String> {
    let mut out = String::new();
    let mut rest = pattern.chars().peekable();
    let mut next = 0;
    while let Some(character) = rest.next() {
        match character {
            '{' | '}' if rest.next_if_eq(&character).is_some() => out.push(character),
            '}' => return error("Single '}' encountered in format string"),
            '{' => {
                let field: String = rest.by_ref().take_while(|character| *character != '}').collect();
                let (name, layout) = field.split_once(':').unwrap_or((&field, ""));
                let value = match name.parse::<usize>() {
                    Ok(place) => args.positional.get(place).cloned(),
                    Err(_) if name.is_empty() => {
                        next += 1;
                        args.positional.get(next - 1).cloned()
                    }
                    Err(_) => Some(named(args, name)?),
                };
                match value {
                    Some(value) => write(&value, &layout_of(layout), &mut out, budget)?,
                    None => return error("Replacement index out of range for positional args tuple"),
                }
            }
            _ => out.push(character),
        }
    }
    budget.text(pattern.len())?;
    Ok(out)
}

fn layout_of(text: &str) -> Layout {
    let characters: Vec<char> = text.chars().collect();
    let is_align = |character: Option<&char>| character.is_some_and(|character| "<>^=".contains(*character));
    let mut layout = Layout::default();
    let mut rest = text.chars().peekable();
    if is_align(characters.get(1)) {
        (layout.fill, layout.align) = (rest.next(), rest.next());
    } else if is_align(characters.first()) {
        layout.align = rest.next();
    }
    layout.plus = rest.next_if_eq(&'+').is_some();
    if rest.next_if_eq(&'0').is_some() && layout.align.is_none() {
        (layout.fill, layout.align) = (Some('0'), Some('='));
    }
    layout.width = digits(&mut rest);
    if rest.next_if_eq(&'.').is_some() {
        layout.precision = Some(digits(&mut rest));
    }
    layout.kind = rest.next();
    layout
}

fn digits(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> usize {
    let mut number = 0usize;
    while let Some(digit) = rest.peek().and_then(|character| character.to_digit(10)) {
        number = number.saturating_mul(10).saturating_add(digit as usize);
        rest.next();
    }
    number
}

fn named(args: &Args, name: &str) -> Result<Value> {
    let in_names = args.named.iter().find(|(given, _)| **given == *name).map(|(_, value)| value);
    let in_dict = || match args.positional.first() {
        Some(Value::Dict(dict)) => dict.named(name),
        _ => None,
    };
    match in_names.or_else(in_dict) {
        Some(value) => Ok(value.clone()),
        None => error(format!("the pattern names '{name}', which is not given")),
    }
}

fn write(value: &Value, layout: &Layout, out: &mut String, budget: &Budget) -> Result<()> {
    budget.text(layout.width.max(layout.precision.unwrap_or(0)))?;
    let number = |text: String| if layout.plus && !text.starts_with('-') { format!("+{text}") } else { text };
    let (text, is_number) = match layout.kind {
        Some('d' | 'i' | 'u') => (number(whole(value)?.to_string()), true),
        Some('x') => (number(format!("{:x}", whole(value)?)), true),
        Some('f' | 'F') => (number(fixed(value, layout.precision.unwrap_or(6))?), true),
        Some('r') => (repr::repr(value, budget)?, false),
        Some('s') | None => {
            let text = repr::to_str(value, budget)?;
            let cut = layout.precision.map_or(text.to_string(), |count| text.chars().take(count).collect());
            (cut, layout.kind.is_none() && value.as_float().is_some())
        }
        Some(kind) => return error(format!("the format character '{kind}' is not supported")),
    };
    let missing = layout.width.saturating_sub(text.chars().count());
    let fill = layout.fill.unwrap_or(' ');
    let blanks = |count: usize| fill.to_string().repeat(count);
    match layout.align.unwrap_or(if is_number { '>' } else { '<' }) {
        '<' => out.extend([text, blanks(missing)]),
        '^' => out.extend([blanks(missing / 2), text, blanks(missing - missing / 2)]),
        '=' if is_number && text.starts_with(['-', '+']) => {
            let (sign, rest) = text.split_at(1);
            out.extend([sign, &blanks(missing), rest]);
        }
        '=' if !is_number => out.extend([" ".repeat(missing), text]),
        _ => out.extend([blanks(missing), text]),
    }
    Ok(())
}

fn whole(value: &Value) -> Result<i128> {
    match value {
        Value::Float(number) => Ok(number.trunc() as i128),
        other => other.to_int("what %d or {:d} writes"),
    }
}

fn fixed(value: &Value, precision: usize) -> Result<String> {
    // More digits than a float has say nothing.
    const PRECISION_MAX: usize = 400;
    match value.as_float() {
        Some(number) => Ok(format!("{number:.*}", precision.min(PRECISION_MAX))),
        None => error(format!("must be real number, not {}", value.type_name())),
    }
}
