use serde::{Deserialize, Serialize};

use super::ModelConfig;

/// The linear layers of a decoder layer, each of which can carry an adapter. Named as in the model's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Projection {
    /// Queries.
    QProj,
    /// Keys.
    KProj,
    /// Values.
    VProj,
    /// The output of attention.
    OProj,
    /// The gate of the feed-forward layer.
    GateProj,
    /// The way up in the feed-forward layer.
    UpProj,
    /// The way down in the feed-forward layer.
    DownProj,
}

impl Projection {
    /// Every linear layer, in the order of the forward pass.
    pub const ALL: [Self; 7] =
        [Self::QProj, Self::KProj, Self::VProj, Self::OProj, Self::GateProj, Self::UpProj, Self::DownProj];

    /// The name in model files and in PEFT's `target_modules`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QProj => "q_proj",
            Self::KProj => "k_proj",
            Self::VProj => "v_proj",
            Self::OProj => "o_proj",
            Self::GateProj => "gate_proj",
            Self::UpProj => "up_proj",
            Self::DownProj => "down_proj",
        }
    }

    /// By the name in the tensors of a checkpoint, such as `q_proj`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|projection| projection.as_str() == name)
    }

    /// The path of the module in a Hugging Face model: `model.layers.0.self_attn.q_proj`.
    pub fn module_path(self, layer: usize) -> String {
        format!("model.layers.{layer}.{}", self.path_in_layer())
    }

    /// The same within its layer: `self_attn.q_proj`.
    pub fn path_in_layer(self) -> String {
        let block = match self {
            Self::QProj | Self::KProj | Self::VProj | Self::OProj => "self_attn",
            Self::GateProj | Self::UpProj | Self::DownProj => "mlp",
        };
        format!("{block}.{}", self.as_str())
    }

    /// Inputs and outputs of this layer in a model.
    pub fn width(self, model: &ModelConfig) -> (usize, usize) {
        match self {
            Self::QProj => (model.hidden_size, model.q_width()),
            Self::KProj | Self::VProj => (model.hidden_size, model.kv_width()),
            Self::OProj => (model.q_width(), model.hidden_size),
            Self::GateProj | Self::UpProj => (model.hidden_size, model.intermediate_size),
            Self::DownProj => (model.intermediate_size, model.hidden_size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_those_of_the_model_files() {
        assert_eq!(Projection::QProj.module_path(3), "model.layers.3.self_attn.q_proj");
        assert_eq!(Projection::DownProj.module_path(0), "model.layers.0.mlp.down_proj");
        for projection in Projection::ALL {
            assert_eq!(Projection::from_name(projection.as_str()), Some(projection));
            assert_eq!(serde_json::to_value(projection).unwrap(), projection.as_str());
        }
        assert_eq!(Projection::from_name("lm_head"), None);
    }
}
