//! Operators on numbers, texts and lists, as Python has them.

use minijinja::machinery::ast::BinOpKind;

use super::{
    args::Args,
    budget::Budget,
    fault::{Result, error},
    format,
    value::Value,
};

/// `left op right`, for operators that look at both.
pub(super) fn arithmetic(op: BinOpKind, left: &Value, right: &Value, budget: &Budget) -> Result<Value> {
    let (left, right) = (left.require()?, right.require()?);
    if let Some(result) = on_sequences(op, left, right, budget)? {
        return Ok(result);
    }
    if let (Some(one), Some(other)) = (left.as_int(), right.as_int()) {
        return on_integers(op, one, other);
    }
    match (left.as_float(), right.as_float()) {
        (Some(one), Some(other)) => on_floats(op, one, other),
        _ => error(format!(
            "unsupported operand type(s) for {}: '{}' and '{}'",
            sign(op),
            left.type_name(),
            right.type_name()
        )),
    }
}

fn on_sequences(op: BinOpKind, left: &Value, right: &Value, budget: &Budget) -> Result<Option<Value>> {
    let joined = |one: &[Value], other: &[Value]| -> Result<Vec<Value>> {
        budget.steps(one.len() + other.len())?;
        Ok([one, other].concat())
    };
    Ok(Some(match (op, left, right) {
        (BinOpKind::Add, Value::Str(one), Value::Str(other)) => concat(one, other, budget)?,
        (BinOpKind::Add, Value::List(one), Value::List(other)) => Value::list(joined(one, other)?),
        (BinOpKind::Add, Value::Tuple(one), Value::Tuple(other)) => Value::tuple(joined(one, other)?),
        (BinOpKind::Rem, Value::Str(pattern), values) => {
            let args = match values {
                Value::Tuple(items) => Args { positional: items.to_vec(), named: Vec::new() },
                other => Args::of(other.clone()),
            };
            Value::str(format::percent(pattern, &args, budget)?)
        }
        (BinOpKind::Mul, sequence, count) | (BinOpKind::Mul, count, sequence)
            if count.as_int().is_some() && sequence.as_int().is_none() && sequence.as_float().is_none() =>
        {
            let count = usize::try_from(count.as_int().unwrap_or(0)).unwrap_or(0);
            match sequence {
                Value::Str(text) => {
                    budget.text(text.len().saturating_mul(count))?;
                    Value::str(text.repeat(count))
                }
                Value::List(items) => {
                    budget.steps(items.len().saturating_mul(count))?;
                    Value::list((0..count).flat_map(|_| items.iter().cloned()).collect())
                }
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    }))
}

/// Two texts as one.
pub(super) fn concat(one: &str, other: &str, budget: &Budget) -> Result<Value> {
    budget.text(one.len() + other.len())?;
    Ok(Value::str([one, other].concat()))
}

fn on_integers(op: BinOpKind, one: i128, other: i128) -> Result<Value> {
    let zero = || error("integer division or modulo by zero");
    let result = match op {
        BinOpKind::Add => one.checked_add(other),
        BinOpKind::Sub => one.checked_sub(other),
        BinOpKind::Mul => one.checked_mul(other),
        BinOpKind::Div if other == 0 => return error("division by zero"),
        BinOpKind::Div => return Ok(Value::Float(one as f64 / other as f64)),
        BinOpKind::FloorDiv | BinOpKind::Rem if other == 0 => return zero(),
        BinOpKind::FloorDiv => one.checked_div(other).map(|quotient| quotient - floor_correction(one, other)),
        BinOpKind::Rem => one.checked_rem(other).map(|rest| rest + floor_correction(one, other) * other),
        BinOpKind::Pow if other < 0 => return Ok(Value::Float((one as f64).powf(other as f64))),
        BinOpKind::Pow => u32::try_from(other).ok().and_then(|power| one.checked_pow(power)),
        _ => return error(format!("the operator {} is not known here", sign(op))),
    };
    match result {
        Some(result) => Ok(Value::Int(result)),
        None => error("an integer has too many digits"),
    }
}

/// 1 where a quotient rounded towards zero is above the one rounded down.
fn floor_correction(one: i128, other: i128) -> i128 {
    i128::from(one % other != 0 && (one < 0) != (other < 0))
}

fn on_floats(op: BinOpKind, one: f64, other: f64) -> Result<Value> {
    let divides = matches!(op, BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem);
    if divides && other == 0.0 {
        return error("float division by zero");
    }
    Ok(Value::Float(match op {
        BinOpKind::Add => one + other,
        BinOpKind::Sub => one - other,
        BinOpKind::Mul => one * other,
        BinOpKind::Div => one / other,
        BinOpKind::FloorDiv => (one / other).floor(),
        BinOpKind::Rem => one - other * (one / other).floor(),
        BinOpKind::Pow => one.powf(other),
        _ => return error(format!("the operator {} is not known here", sign(op))),
    }))
}

fn sign(op: BinOpKind) -> &'static str {
    match op {
        BinOpKind::Add => "+",
        BinOpKind::Sub => "-",
        BinOpKind::Mul => "*",
        BinOpKind::Div => "/",
        BinOpKind::FloorDiv => "//",
        BinOpKind::Rem => "%",
        BinOpKind::Pow => "**",
        _ => "this operator",
    }
}

/// `sequence[start:stop:step]`.
pub(super) fn slice(sequence: &Value, [start, stop, step]: [Option<i128>; 3], budget: &Budget) -> Result<Value> {
    let step = step.unwrap_or(1);
    if step == 0 {
        return error("slice step cannot be zero");
    }
    match sequence.require()? {
        Value::Str(text) => {
            budget.text(text.len())?;
            let characters: Vec<char> = text.chars().collect();
            let places = places(characters.len(), start, stop, step);
            Ok(Value::str(places.map(|place| characters[place]).collect::<String>()))
        }
        Value::List(items) => Ok(Value::list(sliced(items, (start, stop, step), budget)?)),
        Value::Tuple(items) => Ok(Value::tuple(sliced(items, (start, stop, step), budget)?)),
        other => error(format!("'{}' object cannot be sliced", other.type_name())),
    }
}

type Bounds = (Option<i128>, Option<i128>, i128);

fn sliced(items: &[Value], (start, stop, step): Bounds, budget: &Budget) -> Result<Vec<Value>> {
    budget.steps(items.len())?;
    Ok(places(items.len(), start, stop, step).map(|place| items[place].clone()).collect())
}

/// Python's `slice.indices`.
fn places(length: usize, start: Option<i128>, stop: Option<i128>, step: i128) -> impl Iterator<Item = usize> {
    let length = length as i128;
    let (lowest, highest) = if step < 0 { (-1, length - 1) } else { (0, length) };
    let bound = |bound: Option<i128>, default: i128| match bound {
        None => default,
        Some(bound) if bound < 0 => bound.saturating_add(length).max(lowest),
        Some(bound) => bound.min(highest),
    };
    let (start, stop) = match step < 0 {
        true => (bound(start, highest), bound(stop, lowest)),
        false => (bound(start, lowest), bound(stop, highest)),
    };
    let more = move |place: &i128| if step < 0 { *place > stop } else { *place < stop };
    std::iter::successors(Some(start), move |place| place.checked_add(step))
        .take_while(move |place| more(place))
        .filter_map(|place| usize::try_from(place).ok())
}
