use crate::{FamilyError, keys::Keys};

/// The most tokens of a sequence, whatever the model takes: caches and tables of positions are made for as many.
pub const POSITIONS_MAX: usize = 8192;

// What is built before the first tensor shows that a size was not meant: tables of positions and lists of layers.
const LAYERS_MAX: usize = 512;
const WIDTH_MAX: usize = 1 << 20;
const VOCAB_MAX: usize = 1 << 22;
const HEAD_DIM_MAX: usize = 1024;
const EXPERTS_MAX: usize = 1024;

/// How wide a head is.
pub(crate) enum HeadDim {
    /// The family computes it from the others, and nothing else can stand in the file.
    Derived,
    /// As the file says, else this.
    Own(usize),
    /// As the file says, else computed from the others.
    OwnOrDerived,
}

/// The sizes that every family has, checked against each other.
pub(crate) struct Sizes {
    pub(crate) vocab: usize,
    pub(crate) hidden: usize,
    pub(crate) intermediate: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    /// The most tokens of a sequence.
    pub(crate) positions: usize,
}

impl Keys<'_> {
    /// # Errors
    /// Where one is missing, or they do not fit each other.
    pub(crate) fn sizes(&self, head_dim: HeadDim) -> Result<Sizes, FamilyError> {
        let bounded = |key, most| self.bounded(self.needed(key)?, key, most);
        let hidden = bounded("hidden_size", WIDTH_MAX)?;
        let heads = bounded("num_attention_heads", WIDTH_MAX)?;
        let kv_heads = self.number("num_key_value_heads")?.unwrap_or(heads);
        if kv_heads == 0 || heads % kv_heads != 0 {
            return Err(self.problem("num_key_value_heads", "does not divide `num_attention_heads`"));
        }
        let own = self.number("head_dim")?;
        let derived = hidden / heads;
        let wide = match head_dim {
            HeadDim::Own(absent) => own.unwrap_or(absent),
            HeadDim::OwnOrDerived => own.unwrap_or(derived),
            HeadDim::Derived if own.is_some_and(|own| own != derived) => {
                let problem = format!("is not {derived}, as candle computes it: `hidden_size` / `num_attention_heads`");
                return Err(self.problem("head_dim", &problem));
            }
            HeadDim::Derived if derived * heads != hidden => {
                return Err(self.problem("num_attention_heads", "does not divide `hidden_size`"));
            }
            HeadDim::Derived => derived,
        };
        self.bounded(wide, "head_dim", HEAD_DIM_MAX)?;
        if wide % 2 != 0 {
            return Err(self.problem("head_dim", "is odd: positions rotate pairs"));
        }
        Ok(Sizes {
            vocab: bounded("vocab_size", VOCAB_MAX)?,
            hidden,
            intermediate: bounded("intermediate_size", WIDTH_MAX)?,
            layers: bounded("num_hidden_layers", LAYERS_MAX)?,
            heads,
            kv_heads,
            head_dim: wide,
            positions: bounded("max_position_embeddings", usize::MAX)?.min(POSITIONS_MAX),
        })
    }

    /// The number of experts of a layer.
    ///
    /// # Errors
    /// Where it is 0 or makes no sense.
    pub(crate) fn experts(&self, key: &'static str) -> Result<usize, FamilyError> {
        self.bounded(self.needed(key)?, key, EXPERTS_MAX)
    }

    /// The number of them that each token goes to.
    ///
    /// # Errors
    /// Where it is 0, makes no sense, or is more than there are.
    pub(crate) fn experts_per_token(&self, experts: usize) -> Result<usize, FamilyError> {
        const KEY: &str = "num_experts_per_tok";
        match self.experts(KEY)? {
            chosen if chosen > experts => Err(self.problem(KEY, "is more than there are")),
            chosen => Ok(chosen),
        }
    }

    fn bounded(&self, number: usize, key: &str, most: usize) -> Result<usize, FamilyError> {
        match number {
            0 => Err(self.problem(key, "is 0")),
            number if number > most => {
                Err(self.problem(key, &format!("is {number}; more than {most} are not supported")))
            }
            number => Ok(number),
        }
    }
}

impl Sizes {
    /// The same sizes within a window: inside it, sliding attention is plain causal attention.
    pub(crate) fn within(self, window: Option<usize>, keys: &Keys<'_>) -> Result<Self, FamilyError> {
        match window {
            Some(0) => Err(keys.problem("sliding_window", "is 0")),
            window => {
                Ok(Self { positions: window.map_or(self.positions, |window| self.positions.min(window)), ..self })
            }
        }
    }

    /// That this share of a head is made of pairs.
    pub(crate) fn check_rotated(&self, share: f64, keys: &Keys<'_>) -> Result<(), FamilyError> {
        let rotated = (self.head_dim as f64 * share) as usize;
        match rotated > 0 && rotated.is_multiple_of(2) {
            true => Ok(()),
            false => Err(keys.problem("partial_rotary_factor", "makes an odd part of each head, or none")),
        }
    }
}
