use anyhow::Result;
use plotters::prelude::*;

use super::{
    cycles::{CYCLES, Run},
    share::share,
    world::{Domain, SCORE, refuses},
};

/// A picture's size, in pixels.
const PICTURE: (u32, u32) = (720, 360);
const COLOURS: [RGBColor; 4] = [RGBColor(120, 120, 120), RGBColor(230, 140, 0), BLUE, BLACK];
/// Candidates for each point, and runs for each kind of run.
const CANDIDATES: u64 = 300;
const RUNS: u64 = 3;

/// A line: its name, colour and points.
struct Line {
    name: String,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

/// The pictures of the page by their names.
pub(super) fn all() -> Result<[(&'static str, String); 2]> {
    Ok([("gate-power.svg", power()?), ("gate-cycles.svg", fifty()?)])
}

fn power() -> Result<String> {
    let line = |(at, items): (usize, usize)| {
        let refused = |step: u32| {
            let loss = f64::from(step) * 0.01;
            let domain = Domain { items, churn: 0.1, loss };
            let seed = |run: u64| u64::from(step) << 40 | (at as u64) << 32 | run;
            (100.0 * loss, 100.0 * share(CANDIDATES, |run| refuses(&[domain], false, seed(run))))
        };
        Line { name: format!("{items} items"), colour: COLOURS[at], points: (0..=20).map(refused).collect() }
    };
    let lines: Vec<Line> = [60, 200, 600, 1100].into_iter().enumerate().map(line).collect();
    picture("true loss, in points", "refused, in %", (0.0..20.0, 0.0..100.0), &lines)
}

fn fifty() -> Result<String> {
    let mut lines = Vec::new();
    for (at, (name, has_anchor)) in [("without an anchor", false), ("with an anchor", true)].into_iter().enumerate() {
        for run in 0..RUNS {
            let scores = Run { loss: 0.005, churn: 0.1, has_anchor }.play(run).scores;
            let points = std::iter::once(SCORE).chain(scores).enumerate();
            let points = points.map(|(cycle, score)| (cycle as f64, 100.0 * score)).collect();
            let name = if run == 0 { name.to_owned() } else { String::new() };
            lines.push(Line { name, colour: COLOURS[2 * at], points });
        }
    }
    let ranges = (0.0..CYCLES as f64, 30.0..65.0);
    picture("cycles, each of which would lose half a point", "true score, in %", ranges, &lines)
}

fn picture(
    x: &str,
    y: &str,
    (wide, high): (std::ops::Range<f64>, std::ops::Range<f64>),
    lines: &[Line],
) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, PICTURE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut builder = ChartBuilder::on(&area);
        let mut chart =
            builder.margin(10).x_label_area_size(40).y_label_area_size(50).build_cartesian_2d(wide, high)?;
        chart.configure_mesh().x_desc(x).y_desc(y).light_line_style(WHITE).x_labels(6).y_labels(6).draw()?;
        for Line { name, colour, points } in lines {
            let colour = *colour;
            let drawn = chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
            if !name.is_empty() {
                let key = move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2));
                drawn.label(name).legend(key);
            }
        }
        let mut legend = chart.configure_series_labels();
        legend.position(SeriesLabelPosition::LowerRight).background_style(WHITE).border_style(BLACK.mix(0.3)).draw()?;
        area.present()?;
    }
    Ok(svg)
}
