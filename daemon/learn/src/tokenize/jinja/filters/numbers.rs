//! Filters on numbers, and those that stand for a value that is missing.

use super::Filter;
use crate::tokenize::jinja::{
    args::Args,
    compare::{compare, equal},
    fault::{Result, error},
    machine::Machine,
    ops,
    value::Value,
};
use minijinja::machinery::ast::BinOpKind;

use super::picking::{of_attribute, path_of};
use crate::tokenize::jinja::iteration::items_of;

pub(super) const FILTERS: &[(&str, Filter)] = &[
    ("default", default),
    ("d", default),
    ("int", int),
    ("float", float),
    ("abs", abs),
    ("round", round),
    ("sum", sum),
    ("min", |machine, value, args| extreme(machine, &value, args, false)),
    ("max", |machine, value, args| extreme(machine, &value, args, true)),
];

fn default(_: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [default, boolean] = args.bind("default", ["default_value", "boolean"])?;
    let boolean = boolean.is_some_and(|boolean| boolean.is_true());
    let missing = value.is_undefined() || boolean && !value.is_true();
    Ok(if missing { default.unwrap_or_else(|| Value::str("")) } else { value })
}

fn int(_: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [default, base] = args.bind("int", ["default", "base"])?;
    let default = default.unwrap_or(Value::Int(0));
    let base = base.map_or(Ok(10), |base| base.to_int("base"))?;
    let base = u32::try_from(base).ok().filter(|base| (2..=36).contains(base));
    let Some(base) = base else { return error("int() base must be >= 2 and <= 36") };
    let read = |text: &str| {
        let text = text.trim().replace('_', "");
        i128::from_str_radix(&text, base).ok().or_else(|| text.parse::<f64>().ok().and_then(truncated))
    };
    Ok(match &value {
        Value::Str(text) => read(text).map_or(default, Value::Int),
        Value::Float(number) => truncated(*number).map_or(default, Value::Int),
        other => other.as_int().map_or(default, Value::Int),
    })
}

fn truncated(number: f64) -> Option<i128> {
    number.is_finite().then(|| number.trunc() as i128)
}

fn float(_: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [default] = args.bind("float", ["default"])?;
    let read = match &value {
        Value::Str(text) => text.trim().parse().ok(),
        other => other.as_float(),
    };
    Ok(read.map_or(default.unwrap_or(Value::Float(0.0)), Value::Float))
}

fn abs(_: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [] = args.bind("abs", [])?;
    match (value.as_int(), &value) {
        (Some(number), _) => Ok(Value::Int(number.saturating_abs())),
        (None, Value::Float(number)) => Ok(Value::Float(number.abs())),
        (None, other) => error(format!("bad operand type for abs(): '{}'", other.type_name())),
    }
}

fn round(_: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [precision, method] = args.bind("round", ["precision", "method"])?;
    let precision = precision.map_or(Ok(0), |precision| precision.to_int("precision"))?;
    let method = method.map_or(Ok("common".into()), |method| method.to_text("method"))?;
    let Some(number) = value.as_float() else {
        return error(format!("type {} doesn't define __round__ method", value.type_name()));
    };
    // No float has more digits than this.
    let scale = 10f64.powi(precision.clamp(-400, 400) as i32);
    let scaled = number * scale;
    let rounded = match &*method {
        "common" => scaled.round_ties_even(),
        "ceil" => scaled.ceil(),
        "floor" => scaled.floor(),
        other => return error(format!("method must be common, ceil or floor, not {other}")),
    };
    // Where scaling leaves the numbers that there are, nothing is to be rounded.
    Ok(Value::Float(if (rounded / scale).is_finite() { rounded / scale } else { number }))
}

fn sum(machine: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [attribute, start] = args.bind("sum", ["attribute", "start"])?;
    let path = attribute.map(|attribute| path_of(&attribute)).transpose()?;
    let mut total = start.unwrap_or(Value::Int(0));
    for item in items_of(&value, machine.budget)?.iter() {
        let item = of_attribute(item, path.as_deref())?;
        total = ops::arithmetic(BinOpKind::Add, &total, &item, machine.budget)?;
    }
    Ok(total)
}

fn extreme(machine: &mut Machine<'_>, value: &Value, args: Args, largest: bool) -> Result<Value> {
    let [_, attribute] = args.bind("min", ["case_sensitive", "attribute"])?;
    let path = attribute.map(|attribute| path_of(&attribute)).transpose()?;
    let mut found: Option<(Value, Value)> = None;
    for item in items_of(value, machine.budget)?.iter() {
        let key = of_attribute(item, path.as_deref())?;
        let better = match &found {
            None => true,
            Some((best, _)) if equal(best, &key, machine.budget)? => false,
            Some((best, _)) => compare(&key, best, machine.budget)?.is_gt() == largest,
        };
        if better {
            found = Some((key, item.clone()));
        }
    }
    Ok(found.map_or_else(|| Value::undefined("the first item of nothing"), |(_, item)| item))
}
