//! Tests: what stands after `is`.

use super::{
    args::{Args, required},
    compare::{compare, contains, equal},
    fault::{Result, error},
    machine::Machine,
    value::Value,
};

type Test = fn(&mut Machine<'_>, &Value, Args) -> Result<bool>;

/// Every test, one a line.
const TESTS: &[(&str, Test)] = &[
    ("defined", |_, value, _| Ok(!value.is_undefined())),
    ("undefined", |_, value, _| Ok(value.is_undefined())),
    ("none", |_, value, _| Ok(matches!(value, Value::None))),
    ("boolean", |_, value, _| Ok(matches!(value, Value::Bool(_)))),
    ("true", |_, value, _| Ok(matches!(value, Value::Bool(true)))),
    ("false", |_, value, _| Ok(matches!(value, Value::Bool(false)))),
    ("integer", |_, value, _| Ok(matches!(value, Value::Int(_)))),
    ("float", |_, value, _| Ok(matches!(value, Value::Float(_)))),
    ("number", |_, value, _| Ok(value.as_float().is_some())),
    ("string", |_, value, _| Ok(matches!(value, Value::Str(_)))),
    ("mapping", |_, value, _| Ok(matches!(value, Value::Dict(_)))),
    ("sequence", |_, value, _| Ok(has_items(value) || matches!(value, Value::Undefined(_)))),
    ("iterable", |_, value, _| Ok(has_items(value) || matches!(value, Value::Undefined(_) | Value::Loop(_)))),
    ("callable", |_, value, _| Ok(matches!(value, Value::Macro(_) | Value::Method(_) | Value::Function(_)))),
    ("lower", |_, value, _| Ok(is_cased(value, char::is_lowercase, char::is_uppercase))),
    ("upper", |_, value, _| Ok(is_cased(value, char::is_uppercase, char::is_lowercase))),
    ("escaped", |_, _, _| Ok(false)),
    ("odd", |_, value, _| Ok(value.to_int("what is odd")?.rem_euclid(2) == 1)),
    ("even", |_, value, _| Ok(value.to_int("what is even")?.rem_euclid(2) == 0)),
    ("divisibleby", |_, value, args| {
        let number = other(args)?.to_int("what it is divided by")?;
        match value.to_int("what is divided")?.checked_rem(number) {
            Some(rest) => Ok(rest == 0),
            None => error("integer modulo by zero"),
        }
    }),
    ("sameas", |machine, value, args| {
        let other = other(args)?;
        Ok(value.type_name() == other.type_name() && equal(value, &other, machine.budget)?)
    }),
    ("in", |machine, value, args| contains(&other(args)?, value, machine.budget)),
    ("eq", equals),
    ("equalto", equals),
    ("==", equals),
    ("ne", |machine, value, args| equals(machine, value, args).map(|equal| !equal)),
    ("!=", |machine, value, args| equals(machine, value, args).map(|equal| !equal)),
    ("lt", |machine, value, args| Ok(compare(value, &other(args)?, machine.budget)?.is_lt())),
    ("lessthan", |machine, value, args| Ok(compare(value, &other(args)?, machine.budget)?.is_lt())),
    ("<", |machine, value, args| Ok(compare(value, &other(args)?, machine.budget)?.is_lt())),
    ("le", |machine, value, args| Ok(compare(value, &other(args)?, machine.budget)?.is_le())),
    ("<=", |machine, value, args| Ok(compare(value, &other(args)?, machine.budget)?.is_le())),
    ("gt", |machine, value, args| Ok(compare(value, &other(args)?, machine.budget)?.is_gt())),
    ("greaterthan", |machine, value, args| Ok(compare(value, &other(args)?, machine.budget)?.is_gt())),
    (">", |machine, value, args| Ok(compare(value, &other(args)?, machine.budget)?.is_gt())),
    ("ge", |machine, value, args| Ok(compare(value, &other(args)?, machine.budget)?.is_ge())),
    (">=", |machine, value, args| Ok(compare(value, &other(args)?, machine.budget)?.is_ge())),
];

/// Whether `value is name(args)`.
pub(super) fn holds(machine: &mut Machine<'_>, name: &str, value: &Value, args: Args) -> Result<bool> {
    match TESTS.iter().find(|(known, _)| *known == name) {
        Some((_, test)) => test(machine, value, args),
        None => error(format!("No test named '{name}'")),
    }
}

/// Whether there are letters of one case and none of the other.
fn is_cased(value: &Value, wanted: fn(char) -> bool, other: fn(char) -> bool) -> bool {
    value.as_str().is_some_and(|text| text.chars().any(wanted) && !text.chars().any(other))
}

fn has_items(value: &Value) -> bool {
    matches!(value, Value::Str(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_))
}

fn other(args: Args) -> Result<Value> {
    let [other] = args.bind("this test", ["other"])?;
    required(other, "what to compare with")
}

fn equals(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<bool> {
    equal(value, &other(args)?, machine.budget)
}
