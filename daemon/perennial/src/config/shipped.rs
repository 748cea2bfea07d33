//! The shipped configuration is the documentation: these tests keep it whole.

use std::collections::BTreeSet;

use serde::{Deserialize, de};

use perennial_gate::HackingPolicy;
use perennial_learn::train::{
    DistillationConfig, EwcConfig, L2SpConfig, OrthogonalConfig, PenaltyConfig, grpo::GrpoConfig, objective::Keys,
};
use perennial_publish::{CommandConfig, FolderConfig, LlamaCppConfig, VllmConfig, WebhookConfig};

use super::gate::{AutoDomain, AutoSuites, GateAnchor, SequentialTest};
use super::*;

const SHIPPED: &str = include_str!("../../../../config/perennial.toml");

#[test]
fn shipped_configuration_equals_the_defaults() {
    assert_eq!(toml::from_str::<Config>(SHIPPED).unwrap(), Config::default());
}

#[test]
fn every_key_is_documented_in_its_section_and_no_other_is() {
    let mut expected: BTreeSet<String> = BTreeSet::new();
    for (section, keys) in [
        ("state", keys::<State>()),
        ("model", keys::<Model>()),
        ("ingest", keys::<Ingest>()),
        ("ingest.file", keys::<FileBounds>()),
        ("ingest.request", keys::<RequestBounds>()),
        ("replay", keys::<Replay>()),
        ("replay.base_answers", keys::<BaseAnswers>()),
        ("cycle", keys::<Cycle>()),
        ("train", keys::<Train>()),
        ("train.slow", keys::<Slow>()),
        ("train.penalty", keys::<PenaltyConfig>()),
        ("train.penalty.l2_sp", keys::<L2SpConfig>()),
        ("train.penalty.ewc", keys::<EwcConfig>()),
        ("train.penalty.orthogonal", keys::<OrthogonalConfig>()),
        ("train.penalty.distillation", keys::<DistillationConfig>()),
        ("grpo", keys::<GrpoConfig>()),
        ("rollout", keys::<Rollout>()),
        ("rollout.server", keys::<RolloutServer>()),
        ("reward", keys::<Reward>()),
        ("reward.plugin", keys::<RewardPlugin>()),
        ("gate", keys::<Gate>()),
        ("gate.anchor", keys::<GateAnchor>()),
        ("gate.sequential", keys::<SequentialTest>()),
        ("gate.hacking", keys::<HackingPolicy>()),
        ("gate.auto", keys::<AutoSuites>()),
        ("gate.auto.domain.tickets", keys::<AutoDomain>()),
        ("gate.suite", keys::<Suite>()),
        ("promotion", keys::<Promotion>()),
        ("publish", &["kind"]),
        ("publish", keys::<FolderConfig>()),
        ("publish", keys::<WebhookConfig>()),
        ("publish", keys::<VllmConfig>()),
        ("publish", keys::<LlamaCppConfig>()),
        ("publish", keys::<CommandConfig>()),
        ("drift", keys::<Drift>()),
        ("trigger", keys::<Trigger>()),
        ("http", keys::<Http>()),
        ("resources", keys::<Resources>()),
        ("log", keys::<Log>()),
        ("shutdown", keys::<Shutdown>()),
    ] {
        expected.extend(keys.iter().map(|key| format!("{section}.{key}")));
    }
    // The keys of an objective are its own; those of "grpo" stand in a section already.
    expected.extend(["objective", "steps_max"].map(|key| format!("train.stage.{key}")));
    for objective in Objective::all().filter(|objective| objective.kind().rows().is_some()) {
        let keys = objective.kind().complete(&Keys::new()).unwrap();
        expected.extend(keys.keys().map(|key| format!("train.stage.{key}")));
    }
    // Those are sections of their own.
    for table in [
        "ingest.file",
        "ingest.request",
        "gate.anchor",
        "replay.base_answers",
        "gate.auto",
        "gate.sequential",
        "gate.hacking",
        "gate.suite",
        "gate.auto.domain",
        "reward.plugin",
        "rollout.server",
        "train.slow",
        "train.penalty",
        "train.penalty.l2_sp",
        "train.penalty.ewc",
        "train.penalty.orthogonal",
        "train.penalty.distillation",
        "train.stage",
    ] {
        assert!(expected.remove(table), "{table}");
    }
    let sections: BTreeSet<&str> = expected.iter().filter_map(|key| key.split('.').next()).collect();
    assert_eq!(sections, keys::<Config>().iter().copied().collect());
    assert_eq!(documented(SHIPPED), expected);
}

#[test]
fn what_others_call_otherwise_is_a_key_here() {
    let documented = documented(SHIPPED);
    for (foreign, own) in super::foreign::FOREIGN_NAMES {
        assert!(documented.contains(*own), "{foreign}: {own}");
    }
}

#[test]
fn every_key_has_a_comment_above_it() {
    let mut above = "";
    for line in SHIPPED.lines() {
        let in_example = above.starts_with("# [gate.auto.domain") || key_of(above).is_some() && line.starts_with('#');
        assert!(key_of(line).is_none() || above.starts_with('#') || in_example, "{line}");
        above = line;
    }
}

/// The keys that a text sets, or shows in a comment, with their sections.
fn documented(text: &str) -> BTreeSet<String> {
    let mut section = String::new();
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = header.trim_matches(['[', ']']).to_owned();
        } else if let Some(key) = key_of(line) {
            found.insert(format!("{section}.{key}"));
        }
    }
    found
}

fn key_of(line: &str) -> Option<&str> {
    let line = line.strip_prefix("# ").unwrap_or(line);
    let (key, _) = line.split_once(" = ")?;
    key.chars().all(|c| c.is_ascii_lowercase() || c == '_').then_some(key)
}

/// The fields that a structure is read from.
fn keys<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    let _ = T::deserialize(Introspector(&mut keys));
    assert!(!keys.is_empty());
    keys
}

/// Reads nothing, and notes which fields it was asked for.
struct Introspector<'a>(&'a mut &'static [&'static str]);

impl<'de> de::Deserializer<'de> for Introspector<'_> {
    type Error = de::value::Error;

    fn deserialize_struct<V: de::Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(de::Error::custom("introspected"))
    }

    fn deserialize_any<V: de::Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("not a structure"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
