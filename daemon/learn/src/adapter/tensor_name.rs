use super::Projection;

/// What PEFT puts before the path of a module.
const PREFIX: &str = "base_model.model.";

/// The name of a tensor in PEFT's file; `part` is one of [`Adapter::parts`].
pub(crate) fn tensor_name((layer, projection): (usize, Projection), part: &str) -> String {
    format!("{PREFIX}{}.{part}", projection.module_path(layer))
}

/// The layer, projection and part that a tensor's name means.
pub(super) fn parse_name(name: &str, parts: &'static [&'static str]) -> Option<(usize, Projection, usize)> {
    let name = name.strip_prefix(PREFIX)?;
    let of_part = |part: &&str| name.strip_suffix(*part)?.strip_suffix('.');
    let (part, path) = parts.iter().enumerate().find_map(|(at, part)| Some((at, of_part(part)?)))?;
    let (layer, module) = path.strip_prefix("model.layers.")?.split_once('.')?;
    let (layer, projection) = (layer.parse().ok()?, Projection::from_name(module.rsplit('.').next()?)?);
    (projection.module_path(layer) == path).then_some((layer, projection, part))
}
