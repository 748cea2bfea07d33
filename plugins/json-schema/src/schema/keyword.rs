//! Keywords that a value meets or not by itself, without another schema.

use perennial_reward_sdk::serde_json::Value;

use super::{is_integer, report::Report};

/// How far a quotient may be from a whole number, relative to itself, for `multipleOf`: 0.3 is a multiple of 0.1.
const QUOTIENT_SLACK: f64 = 1e-9;

/// Keywords of numbers.
pub(super) fn of_number(keyword: &str, demand: &Value, value: f64, path: &str, report: &mut Report) {
    let Some(limit) = demand.as_f64() else { return };
    match keyword {
        "minimum" => report.demand(value >= limit, path, || format!("less than {demand}")),
        "maximum" => report.demand(value <= limit, path, || format!("more than {demand}")),
        "exclusiveMinimum" => report.demand(value > limit, path, || format!("not more than {demand}")),
        "exclusiveMaximum" => report.demand(value < limit, path, || format!("not less than {demand}")),
        "multipleOf" => {
            let quotient = value / limit;
            let is_whole = (quotient - quotient.round()).abs() <= QUOTIENT_SLACK * quotient.abs();
            report.demand(is_whole, path, || format!("no multiple of {demand}"));
        }
        _ => {}
    }
}

/// Whether a value is of the type of this name, or of one of several.
pub(super) fn is_of_type(value: &Value, types: &Value) -> bool {
    let is = |name: &Value| match (name.as_str(), value) {
        (Some("number"), Value::Number(_))
        | (Some("string"), Value::String(_))
        | (Some("array"), Value::Array(_))
        | (Some("object"), Value::Object(_))
        | (Some("boolean"), Value::Bool(_))
        | (Some("null"), Value::Null) => true,
        (Some("integer"), Value::Number(number)) => is_integer(number),
        _ => false,
    };
    match types {
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    }
}

/// The elements of a keyword that has several; none of another.
pub(super) fn elements(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A limit that is a count.
pub(super) fn count(value: &Value) -> usize {
    // A limit that no memory can reach is as good as none.
    value.as_f64().map_or(usize::MAX, |count| count as usize)
}
