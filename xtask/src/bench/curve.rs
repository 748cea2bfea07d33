use anyhow::{Context, Result};
use plotters::{coord::Shift, prelude::*};

use super::{
    figure::Curves,
    results::{Results, Run},
};

/// The picture's size, in pixels.
const PICTURE: (u32, u32) = (800, 600);
/// The height of the part with the curves themselves.
const CURVES_HEIGHT: u32 = 380;
/// Of the contenders, in the order that they ran.
const COLOURS: [RGBColor; 3] = [BLACK, BLUE, RED];

/// A contender's curve.
struct Curve {
    name: String,
    values: Vec<f64>,
    smooth: Vec<f64>,
}

/// Puts into each run how far its curve lies from that of [`Curves::from`], which itself gets none.
///
/// # Errors
/// Where that contender ran without printing a curve, or another curve has other steps.
pub(super) fn measure_distances(curves: &Curves, runs: &mut [Run]) -> Result<()> {
    let Some(from) = runs.iter().find(|run| run.contender == curves.from) else { return Ok(()) };
    let from = smoothed(&values(from, curves.key)?);
    for run in runs.iter_mut().filter(|run| run.contender != curves.from) {
        let distance = distance(&smoothed(&values(run, curves.key)?), &from)
            .with_context(|| format!("{} and {} took other steps", run.contender, curves.from))?;
        run.measured.insert(curves.distance.to_owned(), distance.into());
    }
    Ok(())
}

/// The curves of each contender's first run, and below them how far the others' lie from that of [`Curves::from`], as an
/// SVG. The thin lines are what was measured, the thick ones their means; the axis of the curves is logarithmic.
///
/// # Errors
/// Where a run has no curve.
pub(super) fn picture(curves: &Curves, results: &Results) -> Result<String> {
    let drawn = of_contenders(curves, &results.runs)?;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, PICTURE).into_drawing_area();
        area.fill(&WHITE)?;
        let (above, below) = area.split_vertically(CURVES_HEIGHT);
        draw_curves(&above, curves, &drawn)?;
        draw_differences(&below, curves, &drawn)?;
        area.present()?;
    }
    Ok(svg)
}

fn of_contenders(curves: &Curves, runs: &[Run]) -> Result<Vec<Curve>> {
    let mut drawn: Vec<Curve> = Vec::new();
    for run in runs {
        if drawn.iter().all(|curve| curve.name != run.contender) {
            let values = values(run, curves.key)?;
            drawn.push(Curve { name: run.contender.clone(), smooth: smoothed(&values), values });
        }
    }
    Ok(drawn)
}

fn values(run: &Run, key: &str) -> Result<Vec<f64>> {
    let list = run.measured.get(key).and_then(|list| list.as_array());
    let values = list.and_then(|list| list.iter().map(|value| value.as_f64()).collect::<Option<Vec<_>>>());
    values.with_context(|| format!("{} printed no list of numbers `{key}`", run.contender))
}

/// The mean of each value and those around it, a tenth of all.
fn smoothed(values: &[f64]) -> Vec<f64> {
    let reach = values.len() / 20;
    let mean = |at: usize| {
        let around = &values[at.saturating_sub(reach)..(at + reach + 1).min(values.len())];
        around.iter().sum::<f64>() / around.len() as f64
    };
    (0..values.len()).map(mean).collect()
}

/// The mean absolute difference; none of what is not equally long, or empty.
fn distance(one: &[f64], other: &[f64]) -> Option<f64> {
    if one.len() != other.len() || one.is_empty() {
        return None;
    }
    Some(one.iter().zip(other).map(|(one, other)| (one - other).abs()).sum::<f64>() / one.len() as f64)
}

fn draw_curves(area: &DrawingArea<SVGBackend<'_>, Shift>, curves: &Curves, drawn: &[Curve]) -> Result<()> {
    let steps = drawn.first().map_or(1, |curve| curve.values.len());
    let (low, high) = extent(drawn.iter().flat_map(|curve| &curve.values));
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(60)
        .build_cartesian_2d(1..steps, (low * 0.8..high * 1.25).log_scale())?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("step").y_desc(curves.title).y_label_formatter(&label).light_line_style(WHITE).draw()?;
    for (curve, colour) in drawn.iter().zip(COLOURS) {
        chart.draw_series(LineSeries::new((1..).zip(curve.values.iter().copied()), colour.mix(0.25)))?;
        chart
            .draw_series(LineSeries::new((1..).zip(curve.smooth.iter().copied()), colour.stroke_width(2)))?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    let mut legend = chart.configure_series_labels();
    legend.position(SeriesLabelPosition::UpperRight).background_style(WHITE).border_style(BLACK.mix(0.3)).draw()?;
    Ok(())
}

fn draw_differences(area: &DrawingArea<SVGBackend<'_>, Shift>, curves: &Curves, drawn: &[Curve]) -> Result<()> {
    let Some(from) = drawn.iter().find(|curve| curve.name == curves.from) else { return Ok(()) };
    let difference = |curve: &Curve| curve.smooth.iter().zip(&from.smooth).map(|(one, from)| one - from).collect();
    let differences: Vec<Vec<f64>> = drawn.iter().map(difference).collect();
    let (low, high) = extent(differences.iter().flatten());
    let room = ((high - low) * 0.05).max(1e-3);
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(60)
        .build_cartesian_2d(1..from.smooth.len(), low - room..high + room)?;
    let title = format!("minus {}", curves.from);
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("step").y_desc(title).y_label_formatter(&label).y_labels(5).light_line_style(WHITE).draw()?;
    for (values, colour) in differences.iter().zip(COLOURS) {
        chart.draw_series(LineSeries::new((1..).zip(values.iter().copied()), colour.stroke_width(2)))?;
    }
    Ok(())
}

/// The least and the greatest.
fn extent<'a>(values: impl Iterator<Item = &'a f64>) -> (f64, f64) {
    values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)))
}

/// Of an axis.
fn label(value: &f64) -> String {
    format!("{value:.2}")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{super::results::tests::results, *};

    const CURVES: Curves = Curves { key: "losses", title: "loss", from: "a", distance: "distance" };

    fn with_curves(curves: &[(&str, &[f64])]) -> Results {
        let names: Vec<(&str, &str, f64)> = curves.iter().map(|(name, _)| (*name, "held_out_loss", 1.0)).collect();
        let mut results = results("precision", &names);
        for (run, (_, values)) in results.runs.iter_mut().zip(curves) {
            run.measured.insert("losses".to_owned(), Value::from(values.to_vec()));
        }
        results
    }

    #[test]
    fn the_distance_is_the_mean_between_the_smoothed_curves() {
        let (rising, falling): (Vec<f64>, Vec<f64>) = (0..40).map(|x| (f64::from(x), f64::from(40 - x))).unzip();
        assert_eq!((smoothed(&rising)[20], smoothed(&rising)[0], smoothed(&rising)[39]), (20.0, 1.0, 38.0));
        let jumping: Vec<f64> = rising.iter().zip([3.0, -3.0].iter().cycle()).map(|(x, jump)| x + jump).collect();
        let mut results = with_curves(&[("a", &rising), ("b", &falling), ("c", &jumping)]);
        measure_distances(&CURVES, &mut results.runs).unwrap();
        let distance = |name: &str| results.median(name, "distance");
        assert_eq!(distance("a"), None);
        // By smoothing, what jumps about a curve comes nearer to it than by its jumps of 3.
        assert!((19.0..21.0).contains(&distance("b").unwrap()) && distance("c").unwrap() < 1.5);
    }

    #[test]
    fn curves_of_other_steps_have_no_distance() {
        let mut results = with_curves(&[("a", &[1.0, 2.0]), ("b", &[1.0])]);
        let error = measure_distances(&CURVES, &mut results.runs).unwrap_err();
        assert_eq!(error.to_string(), "b and a took other steps");
        results.runs[0].measured.remove("losses");
        let error = measure_distances(&CURVES, &mut results.runs).unwrap_err();
        assert_eq!(error.to_string(), "a printed no list of numbers `losses`");
    }

    #[test]
    fn the_picture_names_every_curve() {
        let picture = picture(&CURVES, &with_curves(&[("a", &[3.0, 2.0]), ("b", &[3.5, 2.5])])).unwrap();
        // A curve as it was measured, its mean, its place in the legend, and the difference.
        let blue = |line: &&str| line.starts_with("<polyline") && line.contains("#0000FF");
        assert_eq!(picture.lines().filter(blue).count(), 4, "{picture}");
        assert!(
            ["a", "b", "loss", "minus a"].iter().all(|text| picture.lines().any(|line| line == *text)),
            "{picture}"
        );
    }
}
