use std::path::PathBuf;

use anyhow::{Context as _, bail};
use perennial_reward::{Descriptor, Inspection, Kind, LoadError, Refusal, Wasi};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    super::{output, session::Session},
    project::Built,
    trial,
};
use crate::{config::RewardPlugin, told::told};

/// `perennial plugin inspect`
#[derive(Debug, clap::Args)]
pub(in super::super) struct Inspect {
    /// The component's file, or the folder of its project
    #[arg(default_value = ".")]
    plugin: PathBuf,
    /// A configuration of the plugin, for one that does not start without
    #[arg(long, value_name = "JSON", default_value = "{}")]
    plugin_config: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// All that can be known of a plugin without asking it to score.
#[derive(Debug, Serialize)]
struct Inspected {
    #[serde(flatten)]
    inspection: Inspection,
    wasi: Wasi,
    descriptor: Option<Descriptor>,
    /// Why the sandbox does not take it.
    refusal: Option<String>,
}

impl Inspect {
    pub(super) fn run(&self, session: &Session) -> anyhow::Result<()> {
        session.log_quietly()?;
        let config: Map<String, Value> =
            serde_json::from_str(&self.plugin_config).context("--plugin-config is not a JSON object")?;
        let built = Built::find(&self.plugin)?;
        let sandbox = trial::sandbox(session)?;
        let plugin = RewardPlugin { config, ..trial::plugin(built.name(), built.file, Wasi::Denied)? };
        let bytes = sandbox.read(&plugin.file, &plugin)?;
        let inspection = sandbox.inspect(&bytes, &plugin.name).with_context(|| plugin.file.display().to_string())?;
        let wasi = wasi(&inspection);
        let loaded = sandbox.load_bytes(&bytes, &RewardPlugin { wasi, ..plugin });
        let (descriptor, refusal) = match loaded {
            Ok(plugin) => (Some(plugin.descriptor().clone()), None),
            Err(error) => (None, Some(advice(&error))),
        };
        let inspected = Inspected { inspection, wasi, descriptor, refusal };
        if self.json {
            output::json(&inspected)?;
        } else {
            output::line(text(&inspected)?);
        }
        match inspected.refusal {
            Some(refusal) => bail!("{refusal}"),
            None => Ok(()),
        }
    }
}

/// What the plugin's table in the configuration has to grant.
fn wasi(inspection: &Inspection) -> Wasi {
    let needs_wasi = inspection.imports.iter().any(|import| import.starts_with("wasi:"));
    if needs_wasi { Wasi::Stubbed } else { Wasi::Denied }
}

fn advice(error: &anyhow::Error) -> String {
    match error.downcast_ref::<LoadError>() {
        Some(LoadError { refusal: Refusal::Config(_), .. }) => {
            format!("{}; give one with --plugin-config", told(error))
        }
        _ => told(error),
    }
}

fn text(inspected: &Inspected) -> anyhow::Result<String> {
    let Inspected { inspection, wasi, descriptor, refusal } = inspected;
    let list = |names: &[String]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    let kind = match inspection.kind {
        Kind::Component => "component",
        Kind::CoreModule => "core module with an embedded component type",
    };
    let mut lines = vec![
        ("kind", kind.to_owned()),
        ("size", format!("{} bytes", inspection.bytes)),
        ("hash", inspection.hash.to_string()),
        ("interface", inspection.interface.as_ref().map_or("none".to_owned(), |v| format!("perennial:reward@{v}"))),
        ("imports", list(&inspection.imports)),
        ("exports", list(&inspection.exports)),
        ("wasi", if *wasi == Wasi::Denied { "not needed" } else { "needs wasi = \"stubbed\"" }.to_owned()),
        ("sandbox", refusal.as_ref().map_or("takes it".to_owned(), |_| "refuses it".to_owned())),
    ];
    if let Some(descriptor) = descriptor {
        let Descriptor { name, version, help, min, max, .. } = descriptor;
        lines.push(("plugin", format!("{name} {version}: {help}")));
        lines.push(("reward", format!("{min} to {max}")));
        let parts =
            descriptor.parts.iter().map(|part| format!("{}, {} to {}: {}", part.name, part.min, part.max, part.help));
        lines.extend(parts.map(|part| ("part", part)));
        lines.push(("config", serde_json::to_string(&descriptor.config_schema)?));
    }
    let lines: Vec<String> = lines.into_iter().map(|(name, value)| format!("{name:<9}  {value}")).collect();
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use perennial_reward::PartSpec;
    use perennial_types::Fingerprint;
    use serde_json::json;

    use super::*;

    fn inspected(import: &str) -> Inspected {
        let inspection = Inspection {
            kind: Kind::Component,
            bytes: 14_502,
            hash: Fingerprint::of(b"plugin"),
            imports: vec!["perennial:reward/types@0.1.0".into(), import.into()],
            exports: vec!["describe".into(), "score".into()],
            interface: Some("0.1.0".into()),
        };
        Inspected { wasi: wasi(&inspection), inspection, descriptor: None, refusal: None }
    }

    #[test]
    fn accepted_plugin_reads_well() {
        let part = PartSpec { name: "valid".into(), min: 0.0, max: 1.0, help: "Whether it parses".into() };
        let descriptor = Descriptor {
            name: "ticket-fields".into(),
            version: "0.1.0".into(),
            help: "Share of the right fields".into(),
            min: 0.0,
            max: 1.0,
            parts: vec![part],
            config_schema: json!({"type": "object"}),
        };
        let inspected = Inspected { descriptor: Some(descriptor), ..inspected("perennial:reward/log@0.1.0") };
        insta::assert_snapshot!(text(&inspected).unwrap());
    }

    #[test]
    fn refused_plugin_reads_well() {
        let refusal = Some("plugin p: it imports wasi:sockets/tcp@0.2.0".to_owned());
        let inspected = Inspected { refusal, ..inspected("wasi:sockets/tcp@0.2.0") };
        insta::assert_snapshot!(text(&inspected).unwrap());
    }
}
