use perennial_types::TemplateInputs;

use super::*;

fn item(id: &str, reference: &str) -> Item {
    let prompt = Content::Text("q".to_owned());
    let completion = Content::Text(reference.to_owned());
    let body = Body::PromptCompletion { prompt: prompt.clone(), completion, inputs: TemplateInputs::default() };
    Item { id: id.to_owned(), question: prompt.into(), reference: reference.to_owned(), body, metadata: Map::new() }
}

fn error(options: SuiteOptions, items: Vec<Item>) -> String {
    Suite::new(options, items).unwrap_err().to_string()
}

#[test]
fn what_cannot_serve_is_refused_with_its_place() {
    assert_eq!(error(SuiteOptions::new("s"), vec![]), "suite s: it has no items");
    let margin = SuiteOptions { margin: f64::NAN, ..SuiteOptions::new("s") };
    assert_eq!(error(margin, vec![item("1", "x")]), "suite s: the margin must be a number not below 0, not NaN");
}

#[test]
fn items_that_the_metric_cannot_judge_are_left_out_and_named() {
    let json = SuiteOptions { metric: Some(Metric::JsonFieldF1), items_max: 2, ..SuiteOptions::new("s") };
    let bare = Item { question: Content::Text(" ".to_owned()).into(), ..item("3", "{}") };
    let items = vec![item("1", "{}"), item("2", "x"), bare, item("4", "{}"), item("5", "not looked at")];
    let suite = Suite::new(json, items).unwrap();
    assert_eq!(suite.items.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["1", "4"]);
    let reasons: Vec<(&str, &str)> =
        suite.left_out.iter().map(|left| (left.id.as_str(), left.reason.as_str())).collect();
    assert_eq!(
        reasons,
        [
            ("2", "its reference is not a JSON object, which json_field_f1 needs"),
            ("3", "its question is empty; only perplexity can score it, not json_field_f1"),
        ]
    );
}

#[test]
fn an_item_is_the_same_wherever_it_stands_but_for_plugins() {
    let suite = Suite::new(SuiteOptions::new("s"), vec![item("line 1", "x")]).unwrap();
    let moved = item("line 7", "x");
    assert_eq!(suite.item_fingerprint(&moved), suite.item_fingerprint(&suite.items[0]));
    assert_ne!(suite.item_fingerprint(&item("line 1", "y")), suite.item_fingerprint(&suite.items[0]));
    let longer = Suite { max_new_tokens: 9, ..suite.clone() };
    assert_ne!(longer.item_fingerprint(&moved), suite.item_fingerprint(&moved));
    let reward = RewardScale { plugin: "p".into(), fingerprint: Fingerprint::of(b"p"), min: 0.0, max: 1.0 };
    let judged = Suite { metric: Metric::Reward, reward: Some(reward.clone()), ..suite };
    assert_ne!(judged.item_fingerprint(&moved), judged.item_fingerprint(&judged.items[0]));
    let changed = RewardScale { fingerprint: Fingerprint::of(b"q"), ..reward };
    let rejudged = Suite { reward: Some(changed), ..judged.clone() };
    assert_ne!(rejudged.item_fingerprint(&moved), judged.item_fingerprint(&moved));
}

#[test]
fn scores_that_were_kept_are_found_again() {
    let suite = Suite::new(SuiteOptions::new("s"), vec![item("1", "x")]).unwrap();
    let metadata = Map::from_iter([("a".to_owned(), 1.into())]);
    let item = Item { metadata, ..item("line 1", "x") };
    let bare = Item { id: String::new(), metadata: Map::new(), ..item.clone() };
    let Item { question, reference, body, .. } = &item;
    assert_eq!(canonical(&Placeless { id: "", question, reference, body }), canonical(&bare));
    assert_eq!(
        suite.item_fingerprint(&item).to_string(),
        "319b5478d0e4d605ba9e4aadd6c1b31d224d18693be73cb20acbab30812d1339"
    );
}

#[test]
fn a_plugin_and_its_metric_go_together() {
    let scale = RewardScale { plugin: "p".into(), fingerprint: Fingerprint::of(b"p"), min: 0.0, max: 1.0 };
    let alone = SuiteOptions { metric: Some(Metric::Reward), ..SuiteOptions::new("s") };
    assert!(error(alone.clone(), vec![item("1", "x")]).contains("go together"));
    let beside = SuiteOptions { reward: Some(scale.clone()), ..SuiteOptions::new("s") };
    assert!(error(beside, vec![item("1", "x")]).contains("go together"));
    let both = SuiteOptions { reward: Some(scale), ..alone };
    assert!(Suite::new(both, vec![item("1", "")]).is_ok());
}

#[test]
fn fingerprint_is_of_what_is_asked() {
    let suite = Suite::new(SuiteOptions::new("s"), vec![item("1", "x"), item("2", "y")]).unwrap();
    let role = Suite { protected: false, target: true, margin: 0.5, ..suite.clone() };
    assert_eq!(role.fingerprint(), suite.fingerprint());
    let length = Suite { max_new_tokens: 1, ..suite.clone() };
    let metric = Suite { metric: Metric::Contains, ..suite.clone() };
    let items = Suite { items: vec![item("1", "x"), item("2", "z")], ..suite.clone() };
    for other in [length, metric, items] {
        assert_ne!(other.fingerprint(), suite.fingerprint());
    }
}

#[test]
fn a_string_asked_as_a_turn_is_another_question_and_a_turn_is_the_same() {
    let suite = Suite::new(SuiteOptions::new("s"), vec![item("1", "x")]).unwrap();
    let chat = Suite { prompt_as_chat: true, ..suite.clone() };
    assert_ne!(chat.fingerprint(), suite.fingerprint());
    assert_ne!(chat.item_fingerprint(&suite.items[0]), suite.item_fingerprint(&suite.items[0]));
    assert!(!serde_json::to_string(&suite).unwrap().contains("prompt_as_chat"));
    let turn = Content::Messages(vec![perennial_types::Message::new(perennial_types::Role::User, "q")]);
    for question in [turn, Content::Text(" ".to_owned())] {
        let items = vec![Item { question: question.into(), ..item("1", "x") }];
        let (plain, chat) = (Suite { items: items.clone(), ..suite.clone() }, Suite { items, ..chat.clone() });
        assert_eq!(chat.fingerprint(), plain.fingerprint());
        assert_eq!(chat.item_fingerprint(&chat.items[0]), plain.item_fingerprint(&plain.items[0]));
    }
}
