use super::Train;

/// Points between the champion and what was trained that are tried, at most.
const INTERPOLATE_MAX: usize = 16;

/// Everything of validation, and of what is chosen by it, that makes no sense: the key, and what is wrong.
pub(super) fn problems(train: &Train) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if !(0.0..=0.5).contains(&train.validation_fraction) {
        let problem = format!("is {}: must be from 0 to 0.5", train.validation_fraction);
        found.push(("train.validation_fraction".to_owned(), problem));
    }
    for (at, alpha) in train.interpolate.iter().enumerate() {
        if !(*alpha > 0.0 && *alpha <= 1.0) {
            found.push((format!("train.interpolate[{at}]"), format!("is {alpha}: must be above 0 and 1 at most")));
        }
    }
    if train.interpolate.len() > INTERPOLATE_MAX {
        found.push((
            "train.interpolate".to_owned(),
            format!("has more than {INTERPOLATE_MAX} shares: each is a validation"),
        ));
    }
    let led = train.early_stopping_patience.is_some() || train.load_best_model_at_end;
    if led && train.validation_fraction == 0.0 {
        let key = if train.load_best_model_at_end { "load_best_model_at_end" } else { "early_stopping_patience" };
        let problem = "goes by the validation loss: set train.validation_fraction above 0";
        found.push((format!("train.{key}"), problem.to_owned()));
    }
    found
}
