use super::*;
use crate::{MarginBy, SuiteOptions, Unjudged, Verdict, parse_golden};

const QUESTIONS: [&str; 3] = ["q0", "q1", "q2"];

fn suite() -> Suite {
    let rows = QUESTIONS.map(|question| format!("{{\"prompt\": \"{question}\", \"completion\": \"yes\"}}"));
    parse_golden(&rows.join("\n"), "test", SuiteOptions::new("s")).unwrap()
}

fn scores(suite: &Suite, scores: [Option<f64>; 3]) -> SuiteScores {
    let item = |score: Option<f64>| ItemScore {
        score,
        tokens: None,
        answer: Some(format!("{score:?}")),
        cut: false,
        unjudged: score.is_none().then(|| Unjudged::lasting("the plugin abstains")),
        unasked: false,
    };
    SuiteScores { suite: suite.name.clone(), fingerprint: suite.fingerprint(), items: scores.map(item).to_vec() }
}

#[test]
fn items_are_paired_and_the_worst_come_first() {
    let suite = suite();
    let candidate = scores(&suite, [Some(0.5), Some(0.0), Some(1.0)]);
    let champion = scores(&suite, [Some(0.75), Some(1.0), Some(0.5)]);
    let report = compare(&suite, &Answers::new(&candidate, &champion), &Policy::default()).unwrap();
    assert_eq!((report.n, report.candidate, report.champion), (3, 0.5, 0.75));
    assert_eq!(report.difference.mean, -0.25);
    assert!((-1.0..-0.25).contains(&report.difference.lower));
    assert_eq!(report.verdict, Verdict::Uncertain);
    assert_eq!((report.discordant, report.margin, report.margin_by), (3, 0.05, Some(MarginBy::Configured)));
    let worst: Vec<&str> = report.worst.iter().map(|item| item.question.as_str()).collect();
    assert_eq!(worst, ["q1", "q0"]);
    assert_eq!(report.worst[0].champion_answer.as_deref(), Some("Some(1.0)"));
}

#[test]
fn a_few_items_speak_against_a_candidate_only_where_the_harm_is_plain() {
    let rows: Vec<String> = (0..8).map(|at| format!("{{\"prompt\": \"q{at}\", \"completion\": \"yes\"}}")).collect();
    let few = parse_golden(&rows.join("\n"), "test", SuiteOptions::new("s")).unwrap();
    let side = |right: usize| {
        let item = |at| ItemScore {
            score: Some(if at < right { 1.0 } else { 0.0 }),
            tokens: None,
            answer: None,
            cut: false,
            unjudged: None,
            unasked: false,
        };
        let items = (0..8).map(item).collect();
        SuiteScores { suite: few.name.clone(), fingerprint: few.fingerprint(), items }
    };
    let verdict = |right| compare(&few, &Answers::new(&side(right), &side(8)), &Policy::default()).unwrap().verdict;
    assert_eq!(
        [8, 7, 4, 3, 0].map(verdict),
        [Verdict::Uncertain, Verdict::Uncertain, Verdict::Uncertain, Verdict::Regressed, Verdict::Regressed]
    );
}

#[test]
fn items_that_were_not_asked_are_no_items() {
    let suite = suite();
    let mut candidate = scores(&suite, [Some(0.5), Some(0.0), None]);
    candidate.items[2] = ItemScore::unasked();
    let champion = candidate.clone();
    let report = compare(&suite, &Answers::new(&candidate, &champion), &Policy::default()).unwrap();
    assert_eq!((report.n, report.unjudged), (2, 0));
}

#[test]
fn a_score_that_is_no_number_is_that_sides_fault() {
    let suite = suite();
    let candidate = scores(&suite, [Some(0.5), Some(f64::NAN), Some(1.0)]);
    let champion = scores(&suite, [Some(0.5), Some(0.0), Some(1.0)]);
    let report = compare(&suite, &Answers::new(&candidate, &champion), &Policy::default()).unwrap();
    assert_eq!((report.n, report.faults), (2, Faults { candidate: 1, champion: 0 }));
    assert_eq!(report.unjudged_items[0].reason, "its score is not a number");
    assert_ne!(report.verdict, Verdict::Void, "one bad item never decides");
}

#[test]
fn the_anchor_may_have_been_asked_other_items() {
    let suite = suite();
    let side = scores(&suite, [Some(0.5); 3]);
    let rows = "{\"prompt\": \"other\", \"completion\": \"yes\"}";
    let drawn = parse_golden(rows, "test", SuiteOptions::new("s")).unwrap();
    let on_drawn = |score| {
        let items = vec![ItemScore { score: Some(score), ..ItemScore::unasked() }];
        let items = items.into_iter().map(|item| ItemScore { unasked: false, ..item }).collect();
        SuiteScores { suite: drawn.name.clone(), fingerprint: drawn.fingerprint(), items }
    };
    let (candidate, anchor) = (on_drawn(0.0), on_drawn(1.0));
    let beside = AnchorAnswers { suite: &drawn, candidate: &candidate, anchor: &anchor };
    let compared =
        |beside| compare(&suite, &Answers { anchor: Some(beside), ..Answers::new(&side, &side) }, &Policy::default());
    let found = compared(beside).unwrap().anchor.unwrap();
    assert_eq!((found.n, found.score, found.candidate, found.difference.mean), (1, 1.0, 0.0, -1.0));
    assert_eq!(found.verdict, Verdict::Uncertain);
    let wrong = compared(AnchorAnswers { anchor: &side, ..beside }).unwrap_err();
    assert_eq!(wrong.to_string(), "suite s: the anchor's scores were taken on other items; evaluate it again");
    let other = Suite { metric: Metric::Contains, ..drawn.clone() };
    let scores = SuiteScores { fingerprint: other.fingerprint(), ..candidate.clone() };
    let error = compared(AnchorAnswers { suite: &other, candidate: &scores, anchor: &scores }).unwrap_err();
    assert_eq!(error, CompareError::Metric { suite: "s".to_owned() });
}

#[test]
fn items_that_ask_the_same_are_one_cluster() {
    let rows = [
        r#"{"prompt": "Is it?", "completion": "yes"}"#,
        r#"{"prompt": "is  IT?", "completion": "no"}"#,
        r#"{"prompt": "What?", "completion": "a", "metadata": {"gate_cluster": 7}}"#,
        r#"{"prompt": "Why?", "completion": "b", "metadata": {"gate_cluster": 7}}"#,
        r#"{"prompt": "Who?", "completion": "c", "metadata": {"gate_cluster": "7"}}"#,
    ];
    let suite = parse_golden(&rows.join("\n"), "test", SuiteOptions::new("s")).unwrap();
    assert_eq!(suite.clusters(), [0, 0, 1, 1, 2]);
}

#[test]
fn equal_answers_pass_with_a_margin_of_zero() {
    let suite = Suite { margin: 0.0, ..suite() };
    let side = scores(&suite, [Some(0.5), Some(0.0), Some(1.0)]);
    assert_eq!(compare(&suite, &Answers::new(&side, &side), &Policy::default()).unwrap().verdict, Verdict::NotWorse);
}

#[test]
fn unjudged_items_are_left_out_on_both_sides_and_named() {
    let suite = suite();
    let candidate = scores(&suite, [Some(0.5), None, Some(1.0)]);
    let champion = scores(&suite, [Some(0.5), Some(1.0), Some(1.0)]);
    let report = compare(&suite, &Answers::new(&candidate, &champion), &Policy::default()).unwrap();
    assert_eq!((report.n, report.unjudged, report.verdict), (2, 1, Verdict::Uncertain));
    let named =
        UnjudgedItem { id: "line 2".to_owned(), side: Some(Side::Candidate), reason: "the plugin abstains".to_owned() };
    assert_eq!(report.unjudged_items, [named]);
}

#[test]
fn beyond_a_share_of_unjudged_items_the_suite_is_void() {
    let full = Suite { left_out: vec![], ..suite() };
    let candidate = scores(&full, [Some(0.5), None, Some(1.0)]);
    let champion = scores(&full, [Some(0.5), Some(1.0), None]);
    let at = |ratio, suite: &Suite| {
        let policy = Policy { unjudged_ratio_max: ratio, ..Policy::default() };
        compare(suite, &Answers::new(&candidate, &champion), &policy).unwrap()
    };
    assert_eq!(at(0.67, &full).verdict, Verdict::Uncertain);
    assert_eq!(at(0.66, &full).verdict, Verdict::Void);
    // What was never asked counts as well.
    let left = LeftOut { id: "g:9".to_owned(), reason: "not valid JSON".to_owned() };
    let report = at(0.7, &Suite { left_out: vec![left], ..full.clone() });
    assert_eq!((report.n, report.unjudged, report.verdict), (1, 3, Verdict::Void));
    assert_eq!(report.unjudged_items[0].id, "g:9");
    // Nothing left is void whatever the share.
    let nothing = scores(&full, [None; 3]);
    let policy = Policy { unjudged_ratio_max: 1.0, ..Policy::default() };
    let report = compare(&full, &Answers::new(&nothing, &nothing), &policy).unwrap();
    assert_eq!((report.n, report.verdict), (0, Verdict::Void));
    let all_left_out = Suite::void(SuiteOptions::new("s"), vec![LeftOut { id: "g".into(), reason: "gone".into() }]);
    let none = SuiteScores { suite: "s".to_owned(), fingerprint: all_left_out.fingerprint(), items: vec![] };
    assert_eq!(compare(&all_left_out, &Answers::new(&none, &none), &policy).unwrap().verdict, Verdict::Void);
}

/// exp((1·0.5 + 9·3) / 10) = exp(2.75) = 15.643; the mean over items, exp(1.75), would be 5.755.
#[test]
fn perplexity_is_of_tokens_and_not_of_items() {
    let rows = "{\"text\": \"short\"}\n{\"text\": \"a longer one\"}";
    let options = SuiteOptions { metric: Some(Metric::Perplexity), ..SuiteOptions::new("s") };
    let suite = parse_golden(rows, "test", options).unwrap();
    let side = |nats: [f64; 2]| {
        let item = |(score, tokens): (f64, usize)| ItemScore {
            score: Some(-score),
            tokens: Some(tokens),
            answer: None,
            cut: false,
            unjudged: None,
            unasked: false,
        };
        let items = nats.into_iter().zip([1, 9]).map(item).collect();
        SuiteScores { suite: suite.name.clone(), fingerprint: suite.fingerprint(), items }
    };
    let report = compare(&suite, &Answers::new(&side([0.5, 3.0]), &side([0.25, 2.75])), &Policy::default()).unwrap();
    assert!((report.candidate - 2.75_f64.exp()).abs() < 1e-9, "{}", report.candidate);
    assert!((report.difference.mean + 0.25).abs() < 1e-12, "{:?}", report.difference);
    assert!((report.candidate.ln() - report.champion.ln() + report.difference.mean).abs() < 1e-12);
    assert_eq!((report.tokens, report.cut), (Some(10), None));
    assert_eq!(report.worst[0].reference, "a longer one");
}

#[test]
fn cut_answers_are_counted_for_both_sides() {
    let suite = suite();
    let mut candidate = scores(&suite, [Some(0.5), Some(0.0), Some(1.0)]);
    let champion = candidate.clone();
    candidate.items[0].cut = true;
    candidate.items[2].cut = true;
    let report = compare(&suite, &Answers::new(&candidate, &champion), &Policy::default()).unwrap();
    assert_eq!(report.cut, Some(CutAnswers { max_new_tokens: 128, candidate: 2, champion: 0 }));
}

#[test]
fn scores_of_other_items_are_refused() {
    let suite = suite();
    let side = scores(&suite, [Some(0.5); 3]);
    let longer = Suite { max_new_tokens: 9, ..suite.clone() };
    let error = compare(&longer, &Answers::new(&side, &side), &Policy::default()).unwrap_err();
    assert_eq!(error.to_string(), "suite s: the candidate's scores were taken on other items; evaluate it again");
}

#[test]
fn long_texts_are_cut_between_characters() {
    assert_eq!(cut(&"ü".repeat(WORST_ITEM_CHARS_MAX)).chars().count(), WORST_ITEM_CHARS_MAX);
    assert_eq!(cut(&"ü".repeat(WORST_ITEM_CHARS_MAX + 1)).chars().count(), WORST_ITEM_CHARS_MAX + 1);
}
