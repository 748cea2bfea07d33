use std::path::Path;

use anyhow::Context as _;

use super::{download, known::HubModel, sha256, watch::Watch};

/// The hub, unless the usual variable names a mirror.
const HUB: &str = "https://huggingface.co";
const HUB_VARIABLE: &str = "HF_ENDPOINT";

/// Brings a model's files into a folder, each checked.
///
/// # Errors
/// Where the hub is out of reach or sends something else than the pinned files.
pub(super) fn fetch(model: &HubModel, folder: &Path, watch: &Watch<'_>) -> anyhow::Result<()> {
    let hub = std::env::var(HUB_VARIABLE).unwrap_or_else(|_| HUB.to_owned());
    let client = download::client()?;
    for file in model.files {
        let whole = folder.join(file.name);
        if whole.is_file() {
            continue;
        }
        let url = format!("{hub}/{}/resolve/{}/{}", model.repository, model.revision, file.name);
        let part = folder.join(format!("{}.part", file.name));
        download::resume(&client, &url, file, &part, watch)?;
        sha256::check(&part, file)?;
        std::fs::rename(&part, &whole).with_context(|| format!("{} cannot be written", whole.display()))?;
    }
    Ok(())
}
