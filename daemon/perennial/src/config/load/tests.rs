use super::*;
use crate::config::{credentials, foreign};

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
    let environment = vec![("PERENNIAL_TRAIN__R".to_owned(), "4".to_owned()), ("PERENNIAL_CONFIG".into(), "x".into())];
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
    let file = folder.path().join(credentials::TOKENS_CREDENTIAL);
    std::fs::write(&file, "").unwrap();
    let environment = vec![(credentials::CREDENTIALS_VARIABLE.to_owned(), folder.path().display().to_string())];
    let set = vec!["http.listen=0.0.0.0:7411".to_owned()];
    let loaded = load(&Sources { environment, set, ..Default::default() }).unwrap();
    assert_eq!(loaded.config.http.tokens_file, Some(file));
}

#[test]
fn paths_are_relative_to_what_names_them() {
    let text = "[state]\ndir = \"here\"\n[[gate.suite]]\nname = \"s\"\nfile = \"s.jsonl\"\nmetric = \"exact_match\"";
    let config = with_file(text, &["ingest.inbox=box"]).unwrap().config;
    assert!(config.state.dir.is_absolute() && config.state.dir.ends_with("here"));
    assert_eq!(config.state.dir.parent(), config.gate.suite[0].file.parent());
    assert_eq!(config.ingest.inbox.unwrap(), std::env::current_dir().unwrap().join("box"));
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
