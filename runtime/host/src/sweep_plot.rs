//! `sweep.svg` and `sweep.png`: final values against what was swept, one panel a value, one line for each of the other things swept.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::style::{BAND, CAPTION, COLOURS, FONT, TEXT, TITLE, ticks};

const WIDTH: i32 = 720;
const PANEL: i32 = 260;
/// Numbers at the axis below a panel.
const MOST_TICKS: usize = 12;
const LEGEND_LINE: i32 = 18;
/// A PNG has so many pixels for each of the SVG's units.
const FINE: i32 = 2;

/// What is drawn.
pub struct SweepPlot {
    pub title: String,
    /// What goes along the axis.
    pub x_label: String,
    /// As the axis names the values, and where they are if they are numbers; else they stand side by side.
    pub xs: Vec<(String, Option<f64>)>,
    /// Whether the axis goes by logarithms.
    pub logarithmic: bool,
    /// The names of the lines of every panel; one of no name where nothing else is swept.
    pub lines: Vec<String>,
    pub panels: Vec<SweepPanel>,
}

pub struct SweepPanel {
    pub name: String,
    /// Mean and deviation by line, then by place along the axis.
    pub values: Vec<Vec<Option<(f64, f64)>>>,
}

type DrawResult = Result<(), Box<dyn std::error::Error>>;

/// The picture as SVG text; the error is of the drawing library.
pub fn svg(plot: &SweepPlot) -> Result<String, String> {
    let mut text = String::new();
    let size = (WIDTH as u32, height(plot) as u32);
    draw(SVGBackend::with_string(&mut text, size).into_drawing_area(), plot, 1).map_err(|e| e.to_string())?;
    Ok(text)
}

/// The picture as rows of RGB, with its width and height.
pub fn pixels(plot: &SweepPlot) -> Result<(Vec<u8>, u32, u32), String> {
    let (width, height) = ((WIDTH * FINE) as u32, (height(plot) * FINE) as u32);
    let mut rgb = vec![0; (width * height * 3) as usize];
    draw(BitMapBackend::with_buffer(&mut rgb, (width, height)).into_drawing_area(), plot, FINE)
        .map_err(|e| e.to_string())?;
    Ok((rgb, width, height))
}

fn height(plot: &SweepPlot) -> i32 {
    PANEL * plot.panels.len().max(1) as i32 + 34
}

/// Where values are along the axis.
fn positions(plot: &SweepPlot) -> Vec<f64> {
    let numbers: Option<Vec<f64>> = plot.xs.iter().map(|(_, x)| *x).collect();
    match numbers {
        Some(xs) if plot.logarithmic && xs.iter().all(|x| *x > 0.0) => xs.iter().map(|x| x.log10()).collect(),
        Some(xs) => xs,
        None => (0..plot.xs.len()).map(|k| k as f64).collect(),
    }
}

fn draw<B: DrawingBackend>(root: DrawingArea<B, Shift>, plot: &SweepPlot, fine: i32) -> DrawResult
where
    B::ErrorType: 'static,
{
    crate::style::prepare();
    root.fill(&WHITE)?;
    let root = root.margin(4 * fine, 0, 0, 0).titled(&plot.title, (FONT, TITLE * fine))?;
    let named = plot.lines.iter().any(|l| !l.is_empty());
    let longest = plot.lines.iter().map(|l| l.chars().count()).max().unwrap_or(0).min(28);
    let beside = if named { longest as i32 * 7 + 36 } else { 0 };
    let (charts, legend) = root.split_horizontally((WIDTH - beside) * fine);
    if named {
        let letters = (FONT, TEXT * fine).into_font().color(&BLACK.mix(0.8)).pos(Pos::new(HPos::Left, VPos::Center));
        for (row, name) in plot.lines.iter().enumerate() {
            let (y, colour) = ((40 + row as i32 * LEGEND_LINE) * fine, COLOURS[row % COLOURS.len()]);
            legend.draw(&PathElement::new([(0, y), (18 * fine, y)], colour.stroke_width(2 * fine as u32)))?;
            legend.draw(&Text::new(name.clone(), (24 * fine, y), letters.clone()))?;
        }
    }
    let xs = positions(plot);
    for (area, panel) in charts.split_evenly((plot.panels.len().max(1), 1)).iter().zip(&plot.panels) {
        one(area, plot, panel, &xs, fine)?;
    }
    root.present()?;
    Ok(())
}

fn one<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    plot: &SweepPlot,
    panel: &SweepPanel,
    xs: &[f64],
    fine: i32,
) -> DrawResult
where
    B::ErrorType: 'static,
{
    let (left, right) = around(xs.iter().copied(), 0.04);
    let known = || panel.values.iter().flatten().flatten().filter(|(m, d)| m.is_finite() && d.is_finite());
    let (low, high) = around(known().flat_map(|(m, d)| [m - d, m + d]), 0.06);
    let every = xs.len().div_ceil(MOST_TICKS).max(1);
    let marks: Vec<f64> = xs.iter().copied().step_by(every).collect();
    let name = |x: &f64| {
        let near = |a: &usize, b: &usize| (xs[*a] - x).abs().total_cmp(&(xs[*b] - x).abs());
        (0..xs.len()).min_by(near).map_or(String::new(), |k| plot.xs[k].0.clone())
    };
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.name, (FONT, CAPTION * fine))
        .margin(6 * fine)
        .margin_right(16 * fine)
        .x_label_area_size(38 * fine)
        .y_label_area_size(62 * fine)
        .build_cartesian_2d(Places { inner: (left..right).into(), marks }, low..high)?;
    let y_ticks = ticks(high - low);
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.1).stroke_width(fine as u32))
        .axis_style(BLACK.mix(0.6).stroke_width(fine as u32));
    mesh.set_all_tick_mark_size(4 * fine);
    mesh.x_labels(MOST_TICKS).x_label_formatter(&name).y_labels(6).y_label_formatter(&y_ticks);
    mesh.label_style((FONT, TEXT * fine)).x_desc(&plot.x_label).axis_desc_style((FONT, (TEXT + 1) * fine));
    mesh.draw()?;
    let mut order: Vec<usize> = (0..xs.len()).collect();
    order.sort_by(|a, b| xs[*a].total_cmp(&xs[*b]));
    for (k, line) in panel.values.iter().enumerate() {
        let colour = COLOURS[k % COLOURS.len()];
        let at = |i: &usize| {
            let (mean, deviation) = line.get(*i).copied().flatten()?;
            (mean.is_finite() && deviation.is_finite()).then_some((xs[*i], mean, deviation))
        };
        let seen: Vec<(f64, f64, f64)> = order.iter().filter_map(at).collect();
        if seen.iter().any(|p| p.2 > 0.0) {
            let upper = seen.iter().map(|p| (p.0, p.1 + p.2));
            let lower = seen.iter().rev().map(|p| (p.0, p.1 - p.2));
            chart.draw_series([Polygon::new(upper.chain(lower).collect::<Vec<_>>(), colour.mix(BAND))])?;
        }
        let points: Vec<(f64, f64)> = seen.iter().map(|p| (p.0, p.1)).collect();
        chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2 * fine as u32)))?;
        chart.draw_series(points.into_iter().map(|p| Circle::new(p, 3 * fine, colour.filled())))?;
    }
    Ok(())
}

/// An axis with marks at given places.
struct Places {
    inner: RangedCoordf64,
    marks: Vec<f64>,
}

impl Ranged for Places {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, x: &f64, limit: (i32, i32)) -> i32 {
        self.inner.map(x, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.inner.range()
    }
}

/// From the smallest to the largest number, and a little more.
fn around(numbers: impl Iterator<Item = f64>, part: f64) -> (f64, f64) {
    let hold = |(low, high): (f64, f64), x: f64| if x.is_finite() { (low.min(x), high.max(x)) } else { (low, high) };
    let (low, high) = numbers.fold((f64::INFINITY, f64::NEG_INFINITY), hold);
    if low > high {
        return (0.0, 1.0);
    }
    let least = low.abs().max(high.abs()) * 1e-6;
    let more = if high - low > least {
        (high - low) * part
    } else if high == 0.0 {
        1.0
    } else {
        high.abs() * 0.5
    };
    ((low - more).max(f64::MIN / 4.0), (high + more).min(f64::MAX / 4.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(xs: &[(&str, Option<f64>)], values: Vec<Vec<Option<(f64, f64)>>>, logarithmic: bool) -> SweepPlot {
        SweepPlot {
            title: "t".into(),
            x_label: "ppo.lr".into(),
            xs: xs.iter().map(|(n, x)| (n.to_string(), *x)).collect(),
            logarithmic,
            lines: (0..values.len())
                .map(|k| if values.len() > 1 { format!("clip={k}") } else { String::new() })
                .collect(),
            panels: vec![SweepPanel { name: "return".into(), values }],
        }
    }

    #[test]
    fn values_stand_at_their_places() {
        let xs = [("1e-4", Some(1e-4)), ("1e-3", Some(1e-3)), ("1e-2", Some(1e-2))];
        let values = vec![vec![Some((1.0, 0.1)), None, Some((3.0, 0.2))], vec![Some((2.0, 0.0)); 3]];
        let picture = plot(&xs, values, true);
        assert_eq!(positions(&picture), [-4.0, -3.0, -2.0]);
        let svg = svg(&picture).expect("a picture");
        for part in ["1e-4", "1e-3", "1e-2", "ppo.lr", "return", "clip=0", "clip=1", "polygon", "polyline", "circle"] {
            assert!(svg.contains(part), "no {part}");
        }
        let (rgb, width, height) = pixels(&picture).expect("a picture");
        assert_eq!(rgb.len(), (width * height * 3) as usize);
        assert!(rgb.chunks(3).any(|p| p != [255, 255, 255]));
    }

    #[test]
    fn what_is_no_number_stands_side_by_side() {
        let picture = plot(&[("true", None), ("false", None)], vec![vec![Some((1.0, 0.0)), Some((2.0, 0.0))]], false);
        assert_eq!(positions(&picture), [0.0, 1.0]);
        let svg = svg(&picture).expect("a picture");
        assert!(svg.contains("true") && svg.contains("false"));
    }

    #[test]
    fn odd_numbers_are_survived() {
        for x in [f64::NAN, f64::INFINITY, f64::MAX, f64::MIN, 1e-320, 0.0] {
            for y in [f64::NAN, f64::INFINITY, f64::MAX, f64::MIN, 1e-320, 0.0] {
                let values = vec![vec![Some((y, x)), Some((x, y)), None]];
                svg(&plot(&[("a", Some(x)), ("b", Some(y)), ("c", Some(1.0))], values.clone(), true))
                    .expect("a picture");
                svg(&plot(&[("a", Some(x))], values, false)).expect("a picture");
            }
        }
        svg(&plot(&[], vec![Vec::new()], false)).expect("a picture");
    }
}
