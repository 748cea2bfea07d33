use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use perennial_publish::PathKey;
use serde::Deserialize as _;
use toml::{
    Table,
    de::{DeTable, Deserializer},
};

use super::{
    Config, Listen, foreign,
    overrides::{Override, apply, overrides},
    place::{self, Origin, Origins},
    problems::Problem,
    renamed, validate,
};

/// Where systemd puts what `LoadCredential=` names …
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// … and the one among them that is `http.tokens_file` where the configuration names none.
const TOKENS_CREDENTIAL: &str = "http-tokens";

/// … and what stands before a target's name in the one that is its secret.
const PUBLISH_CREDENTIAL: &str = "publish-";

/// Read where no `--config` is given, if it is there.
const DEFAULT_FILE: &str = "/etc/perennial/perennial.toml";

/// What the configuration is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// `--config FILE`.
    pub(crate) file: Option<PathBuf>,
    /// `--set KEY=VALUE`, in order.
    pub(crate) set: Vec<String>,
    /// `--state DIR`.
    pub(crate) state: Option<PathBuf>,
    /// The environment's variables.
    pub(crate) environment: Vec<(String, String)>,
}

/// A configuration that is fit to run with, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The values, with paths made absolute.
    pub(crate) config: Config,
    /// Where each value that is not a default comes from.
    pub(crate) origins: Origins,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
    /// What is to be told of keys that were set by an old name.
    pub(crate) renamed: BTreeSet<String>,
}

/// Why there is no configuration to run with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML, or a key or a type is wrong.
    #[error("{}:{line}:{column}: {message}{hint}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
        /// What is wrong.
        message: String,
        /// The key that was probably meant.
        hint: String,
    },
    /// An environment variable or a flag is wrong.
    #[error("{origin}: {message}{hint}")]
    Override {
        /// Which.
        origin: Origin,
        /// What is wrong.
        message: String,
        /// The key that was probably meant.
        hint: String,
    },
    /// Values make no sense.
    #[error("{}", list(.0))]
    Invalid(Vec<(Origin, Problem)>),
    /// There is no working directory to find relative paths in.
    #[error("the working directory cannot be told")]
    WorkingDirectory(#[source] std::io::Error),
}

/// Reads the configuration from its sources, each above the one before: defaults, file, environment, flags.
///
/// # Errors
/// At the first source that cannot be read; else with everything that [`validate`] finds.
pub(crate) fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let working_directory = std::env::current_dir().map_err(ConfigError::WorkingDirectory)?;
    let file = sources.file.clone().or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.is_file()));
    let (mut config, mut table, mut origins, mut renamed) = match &file {
        Some(path) => read_file(path)?,
        None => Default::default(),
    };
    for Override { key, value, origin } in overrides(sources)? {
        let (key, note) = renamed::key(&key).map_or((key, None), |(key, note)| (key, Some(note)));
        renamed.extend(note);
        (config, table) = apply(&table, &key, &value, &origin)?;
        origins.insert(key, origin);
    }
    take_credentials(&mut config, &mut origins, &sources.environment);
    let file_folder = file.as_ref().and_then(|path| path.parent()).map(|folder| working_directory.join(folder));
    resolve_paths(&mut config, &origins, &file_folder.unwrap_or_default(), &working_directory);
    let problems = validate::problems(&config);
    if problems.is_empty() {
        return Ok(Loaded { config, origins, file, renamed });
    }
    let place = |problem: &Problem| origins.get(&problem.key).cloned().unwrap_or(Origin::Default);
    Err(ConfigError::Invalid(problems.into_iter().map(|problem| (place(&problem), problem)).collect()))
}

/// What systemd hands over takes effect without a key, unless the key is set.
fn take_credentials(config: &mut Config, origins: &mut Origins, environment: &[(String, String)]) {
    let Some((_, folder)) = environment.iter().find(|(name, _)| name == CREDENTIALS_VARIABLE) else { return };
    let mut take = |key: String, path: &mut Option<PathBuf>, credential: &str| {
        let file = Path::new(folder).join(credential);
        if path.is_none() && file.is_file() {
            *path = Some(file);
            origins.insert(key, Origin::Environment(CREDENTIALS_VARIABLE.to_owned()));
        }
    };
    take("http.tokens_file".to_owned(), &mut config.http.tokens_file, TOKENS_CREDENTIAL);
    for (at, target) in config.publish.iter_mut().enumerate() {
        let credential = format!("{PUBLISH_CREDENTIAL}{}", target.settings().name());
        for PathKey { key, path, .. } in target.settings_mut().paths().into_iter().filter(|key| key.is_secret) {
            take(format!("publish[{at}].{key}"), path, &credential);
        }
    }
}

fn read_file(path: &Path) -> Result<(Config, Table, Origins, BTreeSet<String>), ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let error = |error: toml::de::Error| {
        let message = error.message().to_owned();
        let offset = error.span().map_or(0, |span| place::of_named_key(&text, span.start, &message));
        let (line, column) = place::line_and_column(&text, offset);
        let hint = nearest(&message);
        ConfigError::File { path: path.to_owned(), line, column, message, hint }
    };
    let mut places = DeTable::parse(&text).map_err(error)?;
    let renamed = renamed::in_file(places.get_mut()).map_err(|(span, message)| {
        let (line, column) = place::line_and_column(&text, span.start);
        ConfigError::File { path: path.to_owned(), line, column, message, hint: String::new() }
    })?;
    let config = Config::deserialize(Deserializer::from(places.clone())).map_err(error)?;
    let table = Table::deserialize(Deserializer::from(places.clone())).map_err(error)?;
    Ok((config, table, place::of_file(path, &text, places.get_ref()), renamed.into_iter().collect()))
}

/// How alike a wrong and a right name must be (Jaro-Winkler) for the right one to be proposed.
const LIKENESS_MIN: f64 = 0.75;

/// Proposes the expected name that is most like the wrong one in one of serde's messages.
pub(super) fn nearest(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let Some(wrong) = names.next().filter(|_| message.starts_with("unknown")) else { return String::new() };
    if let Some(key) = foreign::own_name(wrong) {
        return format!("; it is called `{key}` here");
    }
    let likeness = |name: &str| strsim::jaro_winkler(wrong, name);
    let best = names.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    best.filter(|name| likeness(name) >= LIKENESS_MIN)
        .map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

/// Relative paths of the file are relative to the file; those of the environment and flags to the working directory.
fn resolve_paths(config: &mut Config, origins: &Origins, file_folder: &Path, working_directory: &Path) {
    let resolve = |key: &str, path: &Path| match origins.get(key) {
        Some(Origin::File { .. }) => file_folder.join(path),
        _ => working_directory.join(path),
    };
    config.state.dir = resolve("state.dir", &config.state.dir);
    config.model.cache = config.model.cache.take().map(|path| resolve("model.cache", &path));
    config.http.tokens_file = config.http.tokens_file.take().map(|path| resolve("http.tokens_file", &path));
    if let Listen::Unix(path) = &config.http.listen {
        config.http.listen = Listen::Unix(resolve("http.listen", path));
    }
    config.ingest.inbox = config.ingest.inbox.take().map(|path| resolve("ingest.inbox", &path));
    let base_answers = &mut config.replay.base_answers;
    base_answers.file = base_answers.file.take().map(|path| resolve("replay.base_answers.file", &path));
    if let Some(path) = config.model.path() {
        config.model.base = resolve("model.base", path).to_string_lossy().into_owned();
    }
    for (at, suite) in config.gate.suite.iter_mut().enumerate() {
        suite.file = resolve(&format!("gate.suite[{at}].file"), &suite.file);
    }
    if let Some(server) = &mut config.rollout.server {
        server.adapter_dir = server.adapter_dir.take().map(|dir| resolve("rollout.server.adapter_dir", &dir));
    }
    for (at, target) in config.publish.iter_mut().enumerate() {
        for PathKey { key, path, .. } in target.settings_mut().paths() {
            *path = path.take().map(|path| resolve(&format!("publish[{at}].{key}"), &path));
        }
    }
    for (at, plugin) in config.reward.plugin.iter_mut().enumerate() {
        plugin.file = resolve(&format!("reward.plugin[{at}].file"), &plugin.file);
    }
}

fn list(problems: &[(Origin, Problem)]) -> String {
    let mut text = String::new();
    for (at, (origin, problem)) in problems.iter().enumerate() {
        let newline = if at == 0 { "" } else { "\n" };
        let _ = write!(text, "{newline}{origin}: {problem}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str, set: &[&str]) -> Result<Loaded, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("perennial.toml");
        std::fs::write(&file, text).unwrap();
        let set = set.iter().map(|&set| set.to_owned()).collect();
        let sources = Sources { file: Some(file), set, ..Default::default() };
        load(&sources).map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "DIR"))
    }

    #[test]
    fn wrong_keys_and_types_are_refused_with_their_place_and_the_nearest_key() {
        let cases = [
            "[train]\nlerning_rate = 1e-4",
            "[tran]\nr = 8",
            "[train]\nr = \"many\"",
            "[replay]\npolicy = \"reservoire\"",
            "[[gate.suite]]\nname = \"x\"",
            "[http]\nlisten = \"localhost\"",
            "[ingest]\ndefault_domain = \"a/b\"",
            "[cycle]\nseed = ",
        ];
        let errors: Vec<String> = cases.iter().map(|case| with_file(case, &[]).unwrap_err()).collect();
        insta::assert_snapshot!(errors.join("\n"));
    }

    #[test]
    fn a_key_is_still_read_by_its_old_name_and_that_is_told() {
        let loaded =
            with_file("[replay.anchor]\nratio = 0.3\nfile = \"a.jsonl\"", &["replay.anchor.prompts_max=7"]).unwrap();
        let answers = &loaded.config.replay.base_answers;
        assert_eq!((answers.ratio, answers.prompts_max), (0.3, 7));
        assert!(answers.file.as_ref().unwrap().parent() == loaded.file.as_ref().unwrap().parent());
        assert!(matches!(loaded.origins["replay.base_answers.ratio"], Origin::File { line: 2, .. }));
        let told: Vec<&String> = loaded.renamed.iter().collect();
        assert_eq!(told, ["`replay.anchor` is called `replay.base_answers` now: the old name is still read"]);
        let both = with_file("[replay.anchor]\nratio = 0.3\n[replay.base_answers]\nratio = 0.2", &[]).unwrap_err();
        assert!(both.starts_with("DIR/perennial.toml:1:9: `replay.anchor` is called"), "{both}");
        let error = with_file("[replay.anchor]\nratoi = 0.3", &[]).unwrap_err();
        assert!(error.starts_with("DIR/perennial.toml:2:1: unknown field `ratoi`"), "{error}");
        let new = with_file("[replay.base_answers]\nratio = 0.3", &["replay.base_answers.prompts_max=7"]).unwrap();
        assert!(new.renamed.is_empty());
    }

    #[test]
    fn values_that_make_no_sense_are_all_named_with_their_lines() {
        let error = with_file("[replay]\nratio = 1.5\n[train]\nr = 0\n[gate]\nconfidence = 95", &[]).unwrap_err();
        insta::assert_snapshot!(error);
    }

    #[test]
    fn adapters_that_a_rollout_server_does_not_load_are_refused() {
        let with = |use_dora| {
            let train = format!("[train]\nobjectives = [\"grpo\"]\nuse_dora = {use_dora}\n");
            with_file(&format!("{train}[rollout.server]\nurl = \"http://127.0.0.1:1\""), &[]).unwrap_err()
        };
        assert!(with(true).contains("`train.use_dora` does not go with [rollout.server]"), "{}", with(true));
        assert!(!with(false).contains("use_dora"), "{}", with(false));
    }

    #[test]
    fn later_sources_stand_above_earlier_ones() {
        let environment =
            vec![("PERENNIAL_TRAIN__R".to_owned(), "4".to_owned()), ("PERENNIAL_CONFIG".into(), "x".into())];
        let sources = Sources { environment, set: vec!["train.alpha=8".into()], ..Default::default() };
        let loaded = load(&sources).unwrap();
        assert_eq!((loaded.config.train.r, loaded.config.train.alpha), (4, 8.0));
        assert_eq!(loaded.origins["train.r"], Origin::Environment("PERENNIAL_TRAIN__R".into()));
        let loaded = load(&Sources { set: vec!["train.r=2".into()], ..sources }).unwrap();
        assert_eq!(loaded.config.train.r, 2);
    }

    #[test]
    fn a_variable_with_one_underscore_is_refused_and_others_are_left_alone() {
        let with = |name: &str| {
            let environment = vec![(name.to_owned(), "1".to_owned())];
            load(&Sources { environment, ..Default::default() }).map(|_| ()).map_err(|error| error.to_string())
        };
        for (name, meant) in [
            ("PERENNIAL_TRAIN_EPOCHS", "`PERENNIAL_TRAIN__EPOCHS`"),
            ("PERENNIAL_TRAIN_STEPS_MAX", "`PERENNIAL_TRAIN__STEPS_MAX`"),
            ("PERENNIAL_GATE_AUTO_ITEMS_MAX", "`PERENNIAL_GATE__AUTO__ITEMS_MAX`"),
        ] {
            let told = with(name).unwrap_err();
            assert!(told.contains(name) && told.contains(meant), "{told}");
        }
        for other in ["PERENNIAL_TOKEN", "PERENNIAL_TRAIN", "PERENNIAL_HTTP_PROXY", "PERENNIAL_STATE"] {
            assert_eq!(with(other), Ok(()), "{other}");
        }
    }

    #[test]
    fn the_names_of_others_are_told_as_ours() {
        for (foreign, own) in foreign::FOREIGN_NAMES {
            let set = format!("train.{foreign}=1");
            let told = with_file("", &[&set]).unwrap_err();
            assert!(told.ends_with(&format!("; it is called `{own}` here")), "{told}");
        }
        assert!(with_file("[train]\nlora_alpha = 16", &[]).unwrap_err().ends_with("it is called `train.alpha` here"));
    }

    #[test]
    fn wrong_overrides_are_refused_by_name() {
        let errors: Vec<String> = ["train.rr=8", "train.r=many", "train", "replay.ratio=7", "nothing=1"]
            .iter()
            .map(|set| with_file("", &[set]).unwrap_err())
            .collect();
        insta::assert_snapshot!(errors.join("\n"));
    }

    #[test]
    fn stages_that_make_no_sense_are_named_with_their_lines() {
        let cases = [
            "[[train.stage]]\nobjective = \"sft\"\n# so many\nepochs = 0\nbatch_size = 0",
            "[[train.stage]]\nobjective = \"grpo\"\nbeta = -1.0\n[[train.stage]]\nobjective = \"sft\"",
            "[[train.stage]]\nobjective = \"sft\"\nbetta = 1.0",
            "[train]\nr = 8\n[[train.stage]]\nobjective = \"sft\"\nepochs = \"many\"",
            "[[train.stage]]\nobjective = \"sftt\"",
            "[train]\nlearning_rate = 1e-3\n[[train.stage]]\nobjective = \"sft\"",
            "[train]\nobjectives = []",
        ];
        let errors: Vec<String> = cases.iter().map(|case| with_file(case, &[]).unwrap_err()).collect();
        insta::assert_snapshot!(errors.join("\n--\n"));
        let set = "train.stage=[{objective=\"sft\", epochs=3.0}]";
        assert_eq!(with_file("", &[set]).unwrap().config.stages()[0].keys["epochs"], 3.0);
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_device_that_this_build_cannot_use_is_refused() {
        let error = with_file("[train]\ndevice = \"cuda\"", &[]).unwrap_err();
        assert!(error.contains("`train.device` is \"cuda\"") && error.contains("--features perennial/cuda"), "{error}");
    }

    #[test]
    fn text_that_looks_like_a_number_stays_text_where_text_is_wanted() {
        assert_eq!(with_file("", &["model.base=7"]).unwrap().config.model.base, "7");
    }

    #[test]
    fn other_machines_need_tokens_which_systemd_may_hand_over() {
        let error = with_file("[http]\nlisten = \"0.0.0.0:7411\"", &[]).unwrap_err();
        assert!(error.contains("DIR/perennial.toml:2") && error.contains("http.tokens_file"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(TOKENS_CREDENTIAL);
        std::fs::write(&file, "").unwrap();
        let environment = vec![(CREDENTIALS_VARIABLE.to_owned(), folder.path().display().to_string())];
        let set = vec!["http.listen=0.0.0.0:7411".to_owned()];
        let loaded = load(&Sources { environment, set, ..Default::default() }).unwrap();
        assert_eq!(loaded.config.http.tokens_file, Some(file));
    }

    #[test]
    fn paths_are_relative_to_what_names_them() {
        let text =
            "[state]\ndir = \"here\"\n[[gate.suite]]\nname = \"s\"\nfile = \"s.jsonl\"\nmetric = \"exact_match\"";
        let config = with_file(text, &["ingest.inbox=box"]).unwrap().config;
        assert!(config.state.dir.is_absolute() && config.state.dir.ends_with("here"));
        assert_eq!(config.state.dir.parent(), config.gate.suite[0].file.parent());
        assert_eq!(config.ingest.inbox.unwrap(), std::env::current_dir().unwrap().join("box"));
    }
}
