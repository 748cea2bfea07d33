use serde_json::{Map, Value, json};

use super::{Architecture, ModelError, Rope, RopeScaling, Yarn, hf_keys::Keys};

const SUPPORTED: &str = "default, linear, dynamic, llama3 and yarn";
const BETA_FAST_DEFAULT: f64 = 32.0;
const BETA_SLOW_DEFAULT: f64 = 1.0;

impl Rope {
    /// The position encoding of a `config.json`: `rope_scaling` of transformers 4, which goes first where both are there, or
    /// `rope_parameters` of 5; `max_positions` is its `max_position_embeddings`.
    ///
    /// # Errors
    /// Where it asks for what the decoder does not do, or lacks a number.
    pub(super) fn from_hf(
        keys: &Keys<'_>,
        architecture: Architecture,
        max_positions: usize,
    ) -> Result<Self, ModelError> {
        let object = |key| keys.raw.get(key).and_then(Value::as_object).filter(|object| !object.is_empty());
        let (place, parameters) = match (object("rope_scaling"), object("rope_parameters")) {
            (Some(scaling), _) => ("rope_scaling", scaling.clone()),
            (None, parameters) => ("rope_parameters", parameters.cloned().unwrap_or_default()),
        };
        let parameters = Parameters { keys, parameters, place, max_positions };
        if let Some((key, _)) = parameters.parameters.iter().find(|(_, value)| value.is_object()) {
            let problem = "differs from layer to layer, which is not supported";
            return Err(keys.problem(&format!("{place}.{key}"), problem));
        }
        let part = parameters.real_or_outer("partial_rotary_factor")?.unwrap_or(1.0);
        if part != 1.0 {
            let problem = "is not 1: rotating a part of each head is not supported";
            return Err(keys.problem("partial_rotary_factor", problem));
        }
        let theta = parameters.real_or_outer("rope_theta")?.unwrap_or(architecture.rope_theta());
        Ok(Self { theta, scaling: parameters.scaling()? })
    }

    /// `rope_scaling` in the form of transformers 4, which 5 reads too.
    pub(super) fn scaling_to_hf(&self) -> Value {
        match &self.scaling {
            RopeScaling::None => Value::Null,
            RopeScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_positions } => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_positions,
            }),
            RopeScaling::Yarn(yarn) => json!({
                "rope_type": "yarn",
                "factor": yarn.factor,
                "attention_factor": yarn.attention_factor,
                "beta_fast": yarn.beta_fast,
                "beta_slow": yarn.beta_slow,
                "original_max_position_embeddings": yarn.original_positions,
                "truncate": yarn.truncate,
            }),
        }
    }
}

impl Architecture {
    /// The base of the wave lengths where a file has none.
    fn rope_theta(self) -> f64 {
        match self {
            Self::SmolLm3 => 2_000_000.0,
            Self::Llama | Self::Mistral | Self::Qwen2 | Self::Qwen3 => 10_000.0,
        }
    }
}

struct Parameters<'a> {
    keys: &'a Keys<'a>,
    parameters: Map<String, Value>,
    /// Where they stand in the file.
    place: &'static str,
    max_positions: usize,
}

impl Parameters<'_> {
    fn scaling(&self) -> Result<RopeScaling, ModelError> {
        let kind = self.parameters.get("rope_type").or_else(|| self.parameters.get("type"));
        let kind =
            kind.map_or(Some("default"), Value::as_str).ok_or_else(|| self.problem("rope_type", "is no text"))?;
        match kind {
            // Beyond `max_position_embeddings` alone does the dynamic form change anything, and no text is longer here.
            "default" | "dynamic" => Ok(RopeScaling::None),
            "linear" => Ok(RopeScaling::Linear { factor: self.needed("factor")? }),
            "llama3" => Ok(RopeScaling::Llama3 {
                factor: self.needed("factor")?,
                low_freq_factor: self.needed("low_freq_factor")?,
                high_freq_factor: self.needed("high_freq_factor")?,
                original_positions: self.original_positions()?,
            }),
            "yarn" => self.yarn().map(RopeScaling::Yarn),
            other => Err(self.keys.unsupported(format!("the rope scaling `{other}`"), SUPPORTED)),
        }
    }

    fn yarn(&self) -> Result<Yarn, ModelError> {
        let original_positions = self.original_positions()?;
        let factor = match self.parameters.get("factor") {
            Some(Value::Null) => self.max_positions as f64 / original_positions as f64,
            _ => self.needed("factor")?,
        };
        let weights = self.real("mscale")?.zip(self.real("mscale_all_dim")?);
        let truncate = match self.parameters.get("truncate") {
            None => true,
            Some(truncate) => truncate.as_bool().ok_or_else(|| self.problem("truncate", "must be true or false"))?,
        };
        Ok(Yarn {
            factor,
            attention_factor: self.real("attention_factor")?.unwrap_or_else(|| Yarn::attention_factor(factor, weights)),
            beta_fast: self.real("beta_fast")?.unwrap_or(BETA_FAST_DEFAULT),
            beta_slow: self.real("beta_slow")?.unwrap_or(BETA_SLOW_DEFAULT),
            original_positions,
            truncate,
        })
    }

    /// The context length of pre-training: that beside the parameters goes first, as in transformers, then that among them.
    fn original_positions(&self) -> Result<usize, ModelError> {
        const KEY: &str = "original_max_position_embeddings";
        let Some(number) = self.keys.raw.get(KEY).or_else(|| self.parameters.get(KEY)) else {
            return Ok(self.max_positions);
        };
        let number = number.as_u64().and_then(|number| usize::try_from(number).ok()).filter(|number| *number > 0);
        number.ok_or_else(|| self.problem(KEY, "must be a whole number above 0"))
    }

    fn needed(&self, key: &str) -> Result<f64, ModelError> {
        self.real(key)?.ok_or_else(|| self.problem(key, "is missing"))
    }

    fn real(&self, key: &str) -> Result<Option<f64>, ModelError> {
        self.positive(self.parameters.get(key), key)
    }

    /// A number among the parameters, or beside them.
    fn real_or_outer(&self, key: &str) -> Result<Option<f64>, ModelError> {
        self.positive(self.parameters.get(key).or_else(|| self.keys.raw.get(key)), key)
    }

    fn positive(&self, value: Option<&Value>, key: &str) -> Result<Option<f64>, ModelError> {
        let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
        let number = value.as_f64().filter(|number| *number > 0.0 && number.is_finite());
        number.map(Some).ok_or_else(|| self.problem(key, "must be a number above 0"))
    }

    fn problem(&self, key: &str, problem: &str) -> ModelError {
        let key = match self.parameters.contains_key(key) || !self.keys.raw.contains_key(key) {
            true => format!("{}.{key}", self.place),
            false => key.to_owned(),
        };
        self.keys.problem(&key, problem)
    }
}
