use perennial_learn::{adapter, model::Model};
use perennial_registry::{Adapter, store};

use crate::ports::Context;

/// An adapter of the registry, verified and fit for this model; `None` for the base model.
///
/// # Errors
/// Where it is damaged, gone, or of another model.
pub(super) fn load(
    context: &Context,
    adapter: Option<&Adapter>,
    model: &Model,
) -> anyhow::Result<Option<adapter::Adapter>> {
    let Some(adapter) = adapter else { return Ok(None) };
    store::verify_adapter(&context.state.adapters(), &adapter.files)?;
    let weights = adapter::Adapter::load_peft(&context.state.adapter(&adapter.id))?;
    weights.check_fits(&model.config)?;
    Ok(Some(weights))
}
