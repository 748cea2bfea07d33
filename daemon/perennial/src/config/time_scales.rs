use super::{Slow, Start, Train};

/// What makes no sense: the key, and what is wrong.
pub(super) fn problems(train: &Train) -> Vec<(String, String)> {
    let Slow { every_cycles, alpha } = train.slow;
    let mut found = Vec::new();
    if !(alpha > 0.0 && alpha <= 1.0) {
        found.push(("train.slow.alpha".to_owned(), format!("is {alpha}: must be above 0 and 1 at most")));
    }
    let against = [
        (train.use_dora, "goes with plain LoRA alone: set train.use_dora to false"),
        (train.start == Start::Fresh, "needs candidates that go on from the champion: set train.start to another"),
    ];
    let stands_against = against.into_iter().find(|(stands, _)| every_cycles > 0 && *stands);
    found.extend(stands_against.map(|(_, problem)| ("train.slow.every_cycles".to_owned(), problem.to_owned())));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_named() {
        let found = |text: &str| problems(&toml::from_str(text).unwrap());
        assert_eq!(found("slow = { every_cycles = 3, alpha = 1.0 }\nstart = \"rebase\""), []);
        assert_eq!(found("use_dora = true\nstart = \"fresh\""), []);
        for (text, key) in [
            ("slow.alpha = 0.0", "train.slow.alpha"),
            ("slow.alpha = nan", "train.slow.alpha"),
            ("slow.every_cycles = 3\nuse_dora = true", "train.slow.every_cycles"),
            ("slow.every_cycles = 3\nstart = \"fresh\"", "train.slow.every_cycles"),
        ] {
            assert_eq!(found(text)[0].0, key, "{text}");
        }
    }
}
