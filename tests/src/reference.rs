//! Holds what the program answers against its own reference, docs/openapi.json: whoever asks it by [`Http`](crate::Http) has
//! every answer in JSON checked, so the reference says what is really sent.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Mutex, OnceLock, PoisonError},
};

use anyhow::{Context, Result, anyhow, ensure};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::{repository, response::Response};

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// Checks an answer to a request.
///
/// # Errors
/// Where the reference knows neither the status nor the code, or the body is not as it says.
pub(crate) fn check(method: &str, path: &str, response: &Response) -> Result<()> {
    let kind = response.header("content-type").unwrap_or_default();
    if kind != JSON && kind != PROBLEM {
        return Ok(());
    }
    let body: Value = serde_json::from_str(&response.body).with_context(|| format!("no JSON: {:?}", response.body))?;
    let path = path.split('?').next().unwrap_or_default();
    let reference = reference()?;
    let known = reference["paths"].as_object().and_then(|paths| paths.keys().find(|known| is_of(path, known)));
    let operation =
        known.map(|known| &reference["paths"][known][method.to_lowercase()]).filter(|found| found.is_object());
    let Some(operation) = operation else {
        let place = "components/schemas/Problem";
        return conforms(reference, place, &reference["components"]["schemas"]["Problem"], &body);
    };
    let status = response.status.to_string();
    let said = &operation["responses"][&status];
    ensure!(said.is_object(), "{method} {path} answers {status}, which its reference does not know: {body}");
    if let Some(code) = body["code"].as_str().filter(|_| kind == PROBLEM) {
        let described = said["description"].as_str().unwrap_or_default();
        ensure!(described.contains(&format!("`{code}`")), "{method} {path} answers {status} with the code {code}");
    }
    let schema = &said["content"][kind]["schema"];
    ensure!(schema.is_object(), "{method} {path} answers {status} as {kind}, which its reference does not know");
    conforms(reference, &format!("{method} {} {status}", known.map_or("", String::as_str)), schema, &body)
}

fn is_of(path: &str, known: &str) -> bool {
    let (path, known) = (path.split('/').collect::<Vec<_>>(), known.split('/').collect::<Vec<_>>());
    path.len() == known.len() && path.iter().zip(known).all(|(part, known)| known.starts_with('{') || *part == known)
}

/// The reference, with every object closed that does not say that it is open: what is sent and not described is a fault too.
fn reference() -> Result<&'static Value> {
    static REFERENCE: OnceLock<Value> = OnceLock::new();
    if let Some(reference) = REFERENCE.get() {
        return Ok(reference);
    }
    let path = repository().join("docs/openapi.json");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut reference: Value = serde_json::from_str(&text)?;
    close(&mut reference["components"]["schemas"]);
    Ok(REFERENCE.get_or_init(|| reference))
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if fields.get("properties").is_some_and(Value::is_object) && fields.contains_key("type") {
                fields.entry("additionalProperties").or_insert(Value::Bool(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn conforms(reference: &Value, place: &str, schema: &Value, body: &Value) -> Result<()> {
    static KNOWN: Mutex<BTreeMap<String, Validator>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if !known.contains_key(place) {
        let whole = json!({ "allOf": [schema], "components": reference["components"] });
        known.insert(place.to_owned(), jsonschema::validator_for(&whole).map_err(|error| anyhow!("{place}: {error}"))?);
    }
    let faults = known.get(place).into_iter().flat_map(|validator| validator.iter_errors(body));
    let faults: Vec<String> = faults.map(|error| format!("{} at {}", error, error.instance_path())).collect();
    ensure!(faults.is_empty(), "{place}: not as docs/openapi.json says: {}: {body}", faults.join("; "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, kind: &str, body: &Value) -> Response {
        Response { status, head: format!("HTTP/1.0 {status} x\r\ncontent-type: {kind}"), body: body.to_string() }
    }

    #[test]
    fn what_is_sent_and_not_described_is_a_fault() {
        let cycle = |body: Value| check("POST", "/v1/cycles", &answer(202, JSON, &body));
        cycle(json!({ "cycle": 7 })).unwrap();
        assert!(cycle(json!({ "cycle": 7, "more": 1 })).unwrap_err().to_string().contains("more"));
        cycle(json!({ "cycle": "seven" })).unwrap_err();
        check("POST", "/v1/cycles", &answer(200, JSON, &json!({ "cycle": 7 }))).unwrap_err();
        let problem = |code: &str| json!({ "title": "Conflict", "status": 409, "code": code, "detail": "x" });
        check("POST", "/v1/cycles", &answer(409, PROBLEM, &problem("nothing_to_do"))).unwrap();
        check("POST", "/v1/cycles", &answer(409, PROBLEM, &problem("other"))).unwrap_err();
        check("GET", "/nowhere", &answer(404, PROBLEM, &problem("not_found"))).unwrap();
    }
}
