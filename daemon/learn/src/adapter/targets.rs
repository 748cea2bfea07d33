use std::{collections::BTreeSet, path::Path};

use regex_lite::Regex;
use serde_json::{Map, Value};

use super::{AdapterError, Kind, Projection};

/// Which linear layers a PEFT configuration puts matrices on, by the names of modules (`check_target_module_exists` of PEFT's
/// `tuners_utils.py`). Weights of others are in no forward pass of PEFT's, whatever a file holds.
pub(super) struct Targets {
    included: Modules,
    excluded: Modules,
    layers: Option<Layers>,
}

/// Names of modules, or the ends of names; or a pattern for all of a name.
enum Modules {
    Named(Vec<String>),
    Matching(Regex),
}

/// `layers_to_transform`, and how the number of a layer is found in the name of a module.
struct Layers {
    numbers: BTreeSet<u64>,
    patterns: Vec<Regex>,
}

/// What PEFT writes where an adapter is to go on all linear layers but the head.
const ALL_LINEAR: &str = "all-linear";

impl Targets {
    /// Reads `target_modules`, `exclude_modules`, `layers_to_transform` and `layers_pattern`.
    ///
    /// # Errors
    /// Where one of them is of a form that PEFT refuses, or a pattern that only Python has.
    pub(super) fn parse(path: &Path, map: &Map<String, Value>) -> Result<Self, AdapterError> {
        let refused = |key: &str| AdapterError::Unsupported {
            path: path.to_owned(),
            feature: format!("{key} = {}", map.get(key).unwrap_or(&Value::Null)),
            kinds: Kind::names(),
        };
        let modules = |key: &str| Modules::parse(map.get(key)).ok_or_else(|| refused(key));
        let (included, excluded) = (modules("target_modules")?, modules("exclude_modules")?);
        if let Modules::Named(names) = &included {
            let unknown = names.iter().any(|name| projection_of(name).is_none());
            if names.is_empty() || unknown {
                return Err(refused("target_modules"));
            }
        }
        let set = |key: &str| map.get(key).filter(|value| !value.is_null() && **value != Value::Array(Vec::new()));
        let layers = match (set("layers_to_transform"), set("layers_pattern")) {
            (None, None) => None,
            (None, Some(_)) => return Err(refused("layers_pattern")),
            (Some(_), _) if matches!(included, Modules::Matching(_)) => return Err(refused("layers_to_transform")),
            (Some(numbers), pattern) => Some(Layers {
                numbers: numbers_of(numbers).ok_or_else(|| refused("layers_to_transform"))?,
                patterns: layer_patterns(pattern).ok_or_else(|| refused("layers_pattern"))?,
            }),
        };
        Ok(Self { included, excluded, layers })
    }

    /// The projections that carry matrices in every layer; none where that is not all that is said.
    pub(super) fn named_projections(&self) -> BTreeSet<Projection> {
        match (&self.included, &self.excluded, &self.layers) {
            (Modules::Named(names), Modules::Named(excluded), None) if excluded.is_empty() => {
                names.iter().filter_map(|name| projection_of(name)).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Whether a linear layer carries matrices.
    pub(super) fn cover(&self, layer: usize, projection: Projection) -> bool {
        let name = projection.module_path(layer);
        if self.excluded.has(&name) || !self.included.has(&name) {
            return false;
        }
        // A module that is named in full is meant whatever its layer.
        let in_full = matches!(&self.included, Modules::Named(names) if names.contains(&name));
        in_full || self.layers.as_ref().is_none_or(|layers| layers.have(&name))
    }
}

impl Modules {
    fn parse(value: Option<&Value>) -> Option<Self> {
        match value {
            None | Some(Value::Null) => Some(Self::Named(Vec::new())),
            Some(Value::String(text)) if text.eq_ignore_ascii_case(ALL_LINEAR) => {
                Some(Self::Named(Projection::ALL.map(|projection| projection.as_str().to_owned()).into()))
            }
            // Python's `re.fullmatch`; the dialects agree on what both have.
            Some(Value::String(text)) => Regex::new(&format!("^(?:{text})$")).ok().map(Self::Matching),
            Some(Value::Array(names)) => {
                names.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>().map(Self::Named)
            }
            Some(_) => None,
        }
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::Named(names) => names
                .iter()
                .any(|end| name.strip_suffix(end).is_some_and(|front| front.is_empty() || front.ends_with('.'))),
            Self::Matching(pattern) => pattern.is_match(name),
        }
    }
}

impl Layers {
    fn have(&self, name: &str) -> bool {
        let found = self.patterns.iter().find_map(|pattern| pattern.captures(name)?.name("layer"));
        found.and_then(|number| number.as_str().parse().ok()).is_some_and(|number| self.numbers.contains(&number))
    }
}

/// The projection that a name or the end of one means.
fn projection_of(name: &str) -> Option<Projection> {
    name.rsplit('.').next().and_then(Projection::from_name)
}

fn numbers_of(value: &Value) -> Option<BTreeSet<u64>> {
    match value {
        Value::Array(numbers) => numbers.iter().map(Value::as_u64).collect(),
        number => Some(BTreeSet::from([number.as_u64()?])),
    }
}

/// Patterns whose group `layer` is the number of a module's layer: the first number in its name where none is given.
fn layer_patterns(value: Option<&Value>) -> Option<Vec<Regex>> {
    let given = |pattern: &Value| Regex::new(&format!(r"^(?:.*?\.)?(?:{})\.(?P<layer>\d+)\.", pattern.as_str()?)).ok();
    match value {
        None => Regex::new(r"^.*?\.[^.]*\.(?P<layer>\d+)\.").ok().map(|pattern| vec![pattern]),
        Some(Value::Array(patterns)) => patterns.iter().map(given).collect(),
        Some(pattern) => given(pattern).map(|pattern| vec![pattern]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn targets(config: Value) -> Result<Targets, String> {
        Targets::parse(Path::new("c"), config.as_object().unwrap()).map_err(|error| error.to_string())
    }

    /// Layers 0 to 2 of the queries, then of the way down.
    fn covered(config: Value) -> [Vec<usize>; 2] {
        let targets = targets(config).unwrap();
        [Projection::QProj, Projection::DownProj].map(|p| (0..3).filter(|layer| targets.cover(*layer, p)).collect())
    }

    #[test]
    fn modules_and_layers_are_chosen_as_peft_chooses_them() {
        let both = json!(["q_proj", "down_proj"]);
        assert_eq!(covered(json!({ "target_modules": both })), [[0, 1, 2], [0, 1, 2]]);
        assert_eq!(covered(json!({ "target_modules": "all-linear" })), [[0, 1, 2], [0, 1, 2]]);
        assert_eq!(covered(json!({ "target_modules": ["self_attn.q_proj"] })), [vec![0, 1, 2], vec![]]);
        assert_eq!(covered(json!({ "target_modules": r".*\.[02]\.mlp\..*" })), [vec![], vec![0, 2]]);
        assert_eq!(
            covered(json!({ "target_modules": "q_proj" })),
            [vec![0; 0], vec![]],
            "a pattern is for all of a name"
        );
        assert_eq!(covered(json!({ "target_modules": both, "layers_to_transform": [0, 2] })), [[0, 2], [0, 2]]);
        assert_eq!(covered(json!({ "target_modules": both, "layers_to_transform": 1 })), [[1], [1]]);
        assert_eq!(covered(json!({ "target_modules": both, "layers_to_transform": [] })), [[0, 1, 2], [0, 1, 2]]);
        let patterned =
            |pattern: Value| json!({ "target_modules": both, "layers_to_transform": [1], "layers_pattern": pattern });
        assert_eq!(covered(patterned(json!("layers"))), [[1], [1]]);
        assert_eq!(covered(patterned(json!(["blocks", "layers"]))), [[1], [1]]);
        assert_eq!(covered(patterned(json!(["blocks"]))), [[0; 0], []]);
        let in_full =
            json!({ "target_modules": ["model.layers.2.self_attn.q_proj", "down_proj"], "layers_to_transform": [0] });
        assert_eq!(covered(in_full), [vec![2], vec![0]]);
        let excluded = |modules: Value| json!({ "target_modules": both, "exclude_modules": modules });
        assert_eq!(covered(excluded(json!(["mlp.down_proj"]))), [vec![0, 1, 2], vec![]]);
        assert_eq!(covered(excluded(json!(r"model\.layers\.1\..*"))), [[0, 2], [0, 2]]);
    }

    #[test]
    fn what_peft_refuses_or_cannot_be_told_is_refused_by_name() {
        let both = json!(["q_proj", "v_proj"]);
        for (key, config) in [
            ("target_modules", json!({})),
            ("target_modules", json!({ "target_modules": [] })),
            ("target_modules", json!({ "target_modules": ["q_proj", "lm_head"] })),
            ("target_modules", json!({ "target_modules": "(?!.*lm_head).*" })),
            ("target_modules", json!({ "target_modules": 3 })),
            ("exclude_modules", json!({ "target_modules": both, "exclude_modules": "(" })),
            ("layers_to_transform", json!({ "target_modules": ".*", "layers_to_transform": [0] })),
            ("layers_to_transform", json!({ "target_modules": both, "layers_to_transform": "0" })),
            ("layers_to_transform", json!({ "target_modules": both, "layers_to_transform": [-1] })),
            ("layers_pattern", json!({ "target_modules": both, "layers_pattern": "layers" })),
            ("layers_pattern", json!({ "target_modules": both, "layers_to_transform": [0], "layers_pattern": "(" })),
        ] {
            let error = targets(config.clone()).err().unwrap();
            assert!(error.contains(key), "{config}: {error}");
        }
    }
}
