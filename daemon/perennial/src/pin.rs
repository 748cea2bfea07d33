//! The anchor: the adapter, or the base model, that a person accepted, and that no candidate may fall behind however small the
//! steps were that led there.

use anyhow::{Context as _, bail};
use perennial_registry::{Registry, RegistryError, store};
use perennial_types::AdapterId;

use crate::{
    answers::{Anchor, Pins, Whom},
    clock,
    ports::Context,
    telemetry::AnchorPinned,
};

/// The anchor of now.
///
/// # Errors
/// Where the registry fails.
pub(crate) fn anchor(registry: &Registry) -> anyhow::Result<Anchor> {
    let pin = registry.pinned()?;
    Ok(Anchor { adapter: pin.as_ref().and_then(|pin| pin.adapter.clone()), pin })
}

/// The anchor of now, and those before it.
///
/// # Errors
/// Where the registry fails.
pub(crate) fn pins(registry: &Registry) -> anyhow::Result<Pins> {
    Ok(Pins { anchor: anchor(registry)?, history: registry.pins()? })
}

/// Pins an anchor, and says whom.
///
/// # Errors
/// Where there is no such adapter, or its files are gone or are not what its lineage says.
pub(crate) fn set(context: &Context, whom: &Whom, reason: &str) -> anyhow::Result<Anchor> {
    let registry = &context.registry;
    let adapter = match whom {
        Whom::Base => None,
        Whom::Champion => registry.champion()?,
        Whom::Named(name) => Some(name.parse::<AdapterId>().with_context(|| {
            format!("{name:?} cannot be pinned: name an adapter by its id, or \"base\" or \"champion\"")
        })?),
    };
    if let Some(id) = &adapter {
        let known = registry.adapter(id)?.ok_or_else(|| RegistryError::UnknownAdapter(id.clone()))?;
        if !context.state.adapter(id).exists() {
            bail!("the files of adapter {id} are gone: it was rejected, and cycle.adapters_keep newer ones were too");
        }
        store::verify_adapter(&context.state.adapters(), &known.files)?;
    }
    registry.pin(adapter.as_ref(), reason, clock::now_ms())?;
    let anchor = anchor(registry)?;
    context.telemetry.emit(AnchorPinned(&anchor));
    Ok(anchor)
}
