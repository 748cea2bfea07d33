//! The demo's second act: small tasks one after the other, learned by the shipped configuration and by naive tuning.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use perennial_tests::repository;

use crate::{
    bench::table::table,
    output,
    shell::{from_root, target_folder},
    stream::{
        self,
        results::{ArmKept, Results},
        stage,
    },
};

/// The arms that are shown.
const ARMS: [&str; 2] = ["default", "naive"];
/// Those of the project's tasks that a hundred rows teach.
const TASKS: [&str; 4] = ["dates", "units", "relations", "tickets"];
/// It trains as the first act does.
const CONFIG: &str = "config/examples/demo/perennial.toml";
/// The least that shows what is forgotten.
const ROWS: usize = 120;
const ITEMS: usize = 20;

/// Plays it, or what is left of it, and shows what each arm kept.
pub(super) fn second(tiny: bool) -> Result<()> {
    let folder = folder(tiny)?;
    let mut options = stream::Options {
        tiny,
        arms: ARMS.map(str::to_owned).to_vec(),
        orders: Some(1),
        seeds: Some(1),
        out: Some(folder.clone()),
        ..stream::Options::default()
    };
    if !tiny {
        options.config = Some(repository().join(CONFIG));
        options.tasks = TASKS.map(str::to_owned).to_vec();
        (options.rows, options.items) = (Some(ROWS), Some(ITEMS));
    }
    let results = stream::play(&options)?.context("nothing was played")?;
    output::result("\nWhat was known of each task right after it was learned, and what is known at the end\n");
    for arm in &results.arms {
        output::result(format!("{}:\n\n{}", arm.name, kept(arm, &results)));
    }
    output::result(format!("The picture:      {}", from_root(folder.join(stage::AVERAGES_FILE).display())));
    output::result(format!("The whole report: {}", from_root(folder.join(stage::REPORT_FILE).display())));
    Ok(())
}

/// A folder for it. One whose steps are all done is emptied: the act is to be seen again.
fn folder(tiny: bool) -> Result<PathBuf> {
    let folder = target_folder()?.join("demo").join(if tiny { "stream-tiny" } else { "stream" });
    let is_done = Results::read(&folder.join(stage::RESULTS_FILE)).is_ok_and(|results| results.is_whole());
    if is_done {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    Ok(folder)
}

fn kept(arm: &ArmKept, results: &Results) -> String {
    let tasks = results.orders.first().into_iter().flatten();
    let last = arm.matrix.tasks();
    let score = |score: Option<f64>| score.map_or_else(String::new, |score| format!("{score:.2}"));
    let row = |(i, task): (usize, &String)| {
        vec![task.clone(), score(arm.matrix.get(0, i)), score(arm.matrix.get(i, i)), score(arm.matrix.get(last, i))]
    };
    table(
        &["task", "before", "learned", "at the end"].map(str::to_owned),
        &(1..).zip(tasks).map(row).collect::<Vec<_>>(),
    )
}
