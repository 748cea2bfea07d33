use std::path::Path;

use serde_json::{Map, Value, json};

use super::{AdapterError, Kind, LoraConfig, targets::Targets};

/// The version of PEFT whose form the files have.
const PEFT_VERSION: &str = "0.17.0";

/// Keys that change nothing for a forward pass, or that are read by [`parse`] and [`Targets`].
const HARMLESS_KEYS: [&str; 18] = [
    "auto_mapping",
    "base_model_name_or_path",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "loftq_config",
    "megatron_core",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "revision",
    "target_modules",
    "task_type",
    "use_rslora",
];

/// Ways to start that leave the base weights as they are; others (PiSSA, OLoRA, …) train against changed ones.
const HARMLESS_INITS: [&str; 3] = ["gaussian", "eva", "orthogonal"];

/// The configuration in PEFT's form.
pub(super) fn to_json(config: &LoraConfig, base_name: &str) -> Value {
    let kind = config.kind.delta();
    // PEFT types lora_alpha as an integer; a fraction is written as it is.
    let alpha = if config.alpha.fract() == 0.0 { json!(config.alpha as i64) } else { json!(config.alpha) };
    let targets: Vec<&str> = config.target_modules.iter().map(|projection| projection.as_str()).collect();
    let mut written = json!({
        "alpha_pattern": {},
        "auto_mapping": null,
        "base_model_name_or_path": base_name,
        "bias": "none",
        "exclude_modules": null,
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "layer_replication": null,
        "layers_pattern": null,
        "layers_to_transform": null,
        "loftq_config": {},
        "lora_alpha": alpha,
        "lora_bias": false,
        "lora_dropout": 0.0,
        "megatron_config": null,
        "megatron_core": "megatron.core",
        "modules_to_save": null,
        "peft_type": kind.peft_type(),
        "peft_version": PEFT_VERSION,
        "r": config.r,
        "rank_pattern": {},
        "revision": null,
        "target_modules": targets,
        "target_parameters": null,
        "task_type": "CAUSAL_LM",
        "trainable_token_indices": null,
        "use_dora": false,
        "use_rslora": config.use_rslora,
    });
    if let Some(flag) = kind.flag() {
        written[flag] = json!(true);
    }
    written
}

/// Reads PEFT's form. Whatever asks for more than one of the kinds is refused, known or not: an adapter that is served
/// otherwise than it was trained fails silently. `target_modules` stays empty: which projections have matrices is told by
/// [`Targets`] and the weights together.
pub(super) fn parse(path: &Path, text: &str) -> Result<(LoraConfig, Targets), AdapterError> {
    let map: Map<String, Value> =
        serde_json::from_str(text).map_err(|source| AdapterError::Config { path: path.to_owned(), source })?;
    let unsupported =
        |feature: String| AdapterError::Unsupported { path: path.to_owned(), feature, kinds: Kind::names() };
    let Some(kind) = kind_of(&map) else {
        return Err(unsupported(format!("peft_type {}", shown(map.get("peft_type")))));
    };
    for (key, value) in &map {
        let plain = match key.as_str() {
            "bias" => value == "none",
            "init_lora_weights" => {
                value.is_boolean() || value.as_str().is_some_and(|init| HARMLESS_INITS.contains(&init))
            }
            key => HARMLESS_KEYS.contains(&key) || kind.delta().flag() == Some(key) || is_off(value),
        };
        if !plain {
            return Err(unsupported(format!("{key} = {value}")));
        }
    }
    let r = map.get("r").and_then(Value::as_u64).filter(|r| *r > 0);
    let Some(r) = r else { return Err(unsupported(format!("r = {}", shown(map.get("r"))))) };
    let alpha = map.get("lora_alpha").and_then(Value::as_f64).filter(|alpha| alpha.is_finite());
    let Some(alpha) = alpha else { return Err(unsupported(format!("lora_alpha = {}", shown(map.get("lora_alpha"))))) };
    let use_rslora = map.get("use_rslora").and_then(Value::as_bool).unwrap_or(false);
    let config = LoraConfig { r: r as usize, alpha, use_rslora, target_modules: Default::default(), kind };
    Ok((config, Targets::parse(path, &map)?))
}

/// The kind of that `peft_type` whose flag is on, else the one that has no flag.
fn kind_of(map: &Map<String, Value>) -> Option<Kind> {
    let peft_type = map.get("peft_type")?.as_str()?;
    let of_type = || Kind::ALL.into_iter().filter(|kind| kind.delta().peft_type() == peft_type);
    let asked =
        of_type().find(|kind| kind.delta().flag().is_some_and(|flag| map.get(flag) == Some(&Value::Bool(true))));
    asked.or_else(|| of_type().find(|kind| kind.delta().flag().is_none()))
}

/// Whether a value switches nothing on.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "absent".to_owned(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Projection;

    fn parse_with(change: impl FnOnce(&mut Map<String, Value>)) -> Result<(LoraConfig, Targets), AdapterError> {
        let Value::Object(mut map) = to_json(&LoraConfig::default(), "base") else { panic!("an object") };
        change(&mut map);
        parse(Path::new("adapter_config.json"), &Value::Object(map).to_string())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let config = LoraConfig {
            r: 4,
            alpha: 0.5,
            use_rslora: true,
            target_modules: [Projection::VProj].into(),
            ..LoraConfig::default()
        };
        let (read, targets) = parse(Path::new("c"), &to_json(&config, "base").to_string()).unwrap();
        assert_eq!(LoraConfig { target_modules: config.target_modules.clone(), ..read }, config);
        assert!(targets.cover(7, Projection::VProj) && !targets.cover(7, Projection::QProj));
    }

    #[test]
    fn what_cannot_be_served_is_refused_by_name() {
        for (key, value) in [
            ("use_dora", json!("yes")),
            ("modules_to_save", json!(["lm_head"])),
            ("rank_pattern", json!({"q_proj": 4})),
            ("alpha_pattern", json!({"q_proj": 4})),
            ("bias", json!("all")),
            ("peft_type", json!("ADALORA")),
            ("fan_in_fan_out", json!(true)),
            ("init_lora_weights", json!("pissa")),
            ("a_feature_of_tomorrow", json!(true)),
            ("r", json!(0)),
            ("lora_alpha", json!("much")),
        ] {
            let error = parse_with(|map| drop(map.insert(key.to_owned(), value))).err().unwrap();
            assert!(error.to_string().contains(key), "{key}: {error}");
        }
        let error = parse_with(|map| drop(map.insert("target_modules".to_owned(), json!(["q_proj", "lm_head"]))));
        assert!(error.err().unwrap().to_string().contains("lm_head"));
        assert!(parse(Path::new("c"), "{").is_err());
    }
}
