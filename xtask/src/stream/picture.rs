//! Pictures of matrices and of what was forgotten, as SVG: the same bytes from the same results.

use anyhow::Result;
use plotters::{coord::Shift, prelude::*};

use super::{formulas, matrix::Matrix};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The pictures' size, in pixels.
const SIZE: (u32, u32) = (820, 360);
/// The width of a picture's left half, which has the heat map.
const MAP_WIDTH: u32 = 420;
/// The room for what stands beside and above the heat map.
const MAP_MARGIN: (i32, i32) = (90, 56);
/// A cell of the heat map is at most so large.
const CELL_MAX: (i32, i32) = (72, 44);
/// Of the arms, in their order.
const COLOURS: [RGBColor; 6] = [BLUE, RED, BLACK, GREEN, MAGENTA, CYAN];
const FONT: (&str, i32) = ("sans-serif", 13);

/// A line of a picture: a value after each task, from the first on.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) values: Vec<Option<f64>>,
}

/// An arm's matrix as a heat map, and beside it what was forgotten after each task. `tasks` are the columns' names.
///
/// # Errors
/// Where it cannot be drawn.
pub(super) fn of_arm(name: &str, matrix: &Matrix, tasks: &[String]) -> Result<String> {
    let forgetting = (1..=matrix.tasks()).map(|k| formulas::forgetting_at(matrix, k)).collect();
    let line = Line { name: name.to_owned(), values: forgetting };
    drawn(|area| {
        let (left, right) = area.split_horizontally(MAP_WIDTH);
        heat_map(&left, name, matrix, tasks)?;
        lines(&right, "forgetting", &[line])
    })
}

/// The mean score over the tasks learned so far, a line an arm.
///
/// # Errors
/// Where it cannot be drawn.
pub(crate) fn of_arms(arms: &[Line]) -> Result<String> {
    drawn(|area| lines(area, "mean score over the tasks learned so far", arms))
}

/// The line of an arm in [`of_arms`].
pub(crate) fn averages(name: &str, matrix: &Matrix) -> Line {
    let values = (1..=matrix.tasks()).map(|k| formulas::average_at(matrix, k)).collect();
    Line { name: name.to_owned(), values }
}

fn drawn(draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        draw(&area)?;
        area.present()?;
    }
    Ok(svg)
}

fn heat_map(area: &Area<'_>, name: &str, matrix: &Matrix, tasks: &[String]) -> Result<()> {
    let (columns, rows) = (matrix.tasks() as i32, matrix.tasks() as i32 + 1);
    let (width, height) = area.dim_in_pixel();
    let cell = (
        ((width as i32 - MAP_MARGIN.0 - 10) / columns.max(1)).min(CELL_MAX.0),
        ((height as i32 - MAP_MARGIN.1 - 10) / rows).min(CELL_MAX.1),
    );
    let text = |words: &str, at: (i32, i32)| area.draw(&Text::new(words.to_owned(), at, FONT));
    text(&format!("{name}: score on a task (column) after a task (row)"), (10, 10))?;
    for (column, task) in (0..).zip(tasks) {
        text(&shortened(task), (MAP_MARGIN.0 + column * cell.0 + 4, MAP_MARGIN.1 - 18))?;
    }
    for t in 0..=matrix.tasks() {
        let top = MAP_MARGIN.1 + t as i32 * cell.1;
        let after =
            t.checked_sub(1).and_then(|at| tasks.get(at)).map_or_else(|| "base".to_owned(), |task| shortened(task));
        text(&after, (10, top + cell.1 / 2 - 6))?;
        for i in 1..=matrix.tasks() {
            let left = MAP_MARGIN.0 + (i as i32 - 1) * cell.0;
            let score = matrix.get(t, i);
            let corners = [(left, top), (left + cell.0 - 2, top + cell.1 - 2)];
            area.draw(&Rectangle::new(corners, score.map_or(RGBColor(235, 235, 235), shade).filled()))?;
            let Some(score) = score else { continue };
            let ink = if score > 0.6 { WHITE } else { BLACK };
            let style = FONT.into_font().color(&ink);
            area.draw(&Text::new(format!("{score:.2}"), (left + 6, top + cell.1 / 2 - 7), style))?;
        }
    }
    Ok(())
}

/// From white at 0 to dark blue at 1.
fn shade(score: f64) -> RGBColor {
    let share = score.clamp(0.0, 1.0);
    let between = |dark: f64| (255.0 + (dark - 255.0) * share).round() as u8;
    RGBColor(between(8.0), between(48.0), between(130.0))
}

fn shortened(name: &str) -> String {
    name.chars().take(9).collect()
}

fn lines(area: &Area<'_>, title: &str, arms: &[Line]) -> Result<()> {
    let tasks = arms.iter().map(|line| line.values.len()).max().unwrap_or(0).max(2);
    let values = || arms.iter().flat_map(|line| line.values.iter().flatten());
    let high = values().copied().fold(0.1, f64::max) * 1.1;
    let low = values().copied().fold(0.0, f64::min) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(title, FONT)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(1.0..tasks as f64, low..high)?;
    let whole = |at: &f64| format!("{at:.0}");
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("after task").x_labels(tasks).x_label_formatter(&whole).light_line_style(WHITE).draw()?;
    for (line, colour) in arms.iter().zip(COLOURS.iter().cycle()) {
        let points: Vec<(f64, f64)> =
            (1..).zip(&line.values).filter_map(|(at, value)| Some((f64::from(at), (*value)?))).collect();
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    let mut legend = chart.configure_series_labels();
    legend.position(SeriesLabelPosition::LowerLeft).background_style(WHITE).border_style(BLACK.mix(0.3)).draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::matrix::tests::matrix, *};

    #[test]
    fn a_picture_has_every_cell_and_is_always_the_same() {
        let mut matrix = matrix(&[[0.0, 0.1], [0.8, 0.2], [0.3, 0.9]]);
        matrix.set(1, 2, None);
        let names = ["tickets", "dates"].map(str::to_owned);
        let picture = of_arm("naive", &matrix, &names).unwrap();
        let has = |text: &str| picture.lines().filter(|line| *line == text).count();
        assert_eq!(
            [has("0.80"), has("0.30"), has("0.90"), has("0.20"), has("base"), has("tickets")],
            [1, 1, 1, 0, 1, 2]
        );
        assert_eq!(of_arm("naive", &matrix, &names).unwrap(), picture);
    }

    #[test]
    fn every_arm_has_its_line() {
        let line = |name: &str| averages(name, &matrix(&[[0.0, 0.1], [0.8, 0.2], [0.3, 0.9]]));
        assert_eq!(line("a").values, [Some(0.8), Some(0.6)]);
        let picture = of_arms(&[line("default"), line("naive")]).unwrap();
        assert!(["default", "naive"].iter().all(|name| picture.lines().any(|line| line == *name)), "{picture}");
        of_arms(&[]).unwrap();
        of_arm("base", &Matrix::new(1), &["only".to_owned()]).unwrap();
    }
}
