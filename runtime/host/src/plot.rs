//! A plot as SVG text: lines, points, bands and levels over one pair of axes, with a legend beside them.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::style::{BAND, COLOURS, FONT, TEXT, TITLE, ticks};

const WIDTH: i32 = 720;
const HEIGHT: i32 = 420;
/// The library places points at whole units: there are so many to a pixel, or lines would have steps.
const UNITS: i32 = 8;
/// A line of more points than this is drawn through the lowest and the highest of each stretch of them.
const POINTS: usize = 2000;
/// The part of a legend's line that shows its colour, with a little space behind it.
const SAMPLE: i32 = 26;
const LEGEND_LINE: i32 = 18;
/// Letters of a legend are about so wide, in pixels; longer names are cut.
const LETTER: f64 = 6.5;
const LONGEST_NAME: usize = 24;

pub struct Plot {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub curves: Vec<Curve>,
}

/// Something drawn, under its name in the legend; without a name it is not in the legend.
pub struct Curve {
    pub name: String,
    pub mark: Mark,
}

pub enum Mark {
    /// Several are of one colour.
    Lines(Vec<Vec<(f64, f64)>>),
    Points(Vec<(f64, f64)>),
    /// Each of (x, low, high).
    Bands(Vec<Vec<(f64, f64, f64)>>),
    Level(f64),
}

type Area<'s> = DrawingArea<SVGBackend<'s>, Shift>;
type Chart<'c, 's> = ChartContext<'c, SVGBackend<'s>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type DrawResult = Result<(), Box<dyn std::error::Error>>;

/// The picture; the error is of the drawing library.
pub fn svg(plot: &Plot) -> Result<String, String> {
    let mut text = String::new();
    draw(&mut text, plot).map_err(|e| e.to_string())?;
    let (width, height) = (units(WIDTH), units(HEIGHT));
    let (large, small) =
        (format!("width=\"{width}\" height=\"{height}\""), format!("width=\"{WIDTH}\" height=\"{HEIGHT}\""));
    Ok(text.replacen(&large, &small, 1))
}

fn units(pixels: i32) -> i32 {
    pixels * UNITS
}

fn stroke(colour: impl Color, pixels: f64) -> ShapeStyle {
    colour.stroke_width((pixels * UNITS as f64) as u32)
}

fn draw(text: &mut String, plot: &Plot) -> DrawResult {
    crate::style::prepare();
    let root = SVGBackend::with_string(text, (units(WIDTH) as u32, units(HEIGHT) as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.margin(units(6), 0, 0, 0);
    let root = if plot.title.is_empty() { root } else { root.titled(&plot.title, (FONT, units(TITLE)))? };
    let colours = colours(&plot.curves);
    let named: Vec<usize> = (0..plot.curves.len()).filter(|&k| !plot.curves[k].name.is_empty()).collect();
    // One name says what the axis is; more need a legend.
    let only = if let [one] = named[..] { plot.curves.get(one).filter(|_| plot.curves.len() == 1) } else { None };
    let y_label = if plot.y_label.is_empty() { only.map_or("", |c| &c.name) } else { &plot.y_label };
    let chart = if only.is_some() || named.is_empty() {
        root.clone()
    } else {
        let longest = named.iter().map(|&k| shortened(&plot.curves[k].name).chars().count()).max().unwrap_or(0);
        let width = (longest as f64 * LETTER) as i32 + SAMPLE + 16;
        let (chart, beside) = root.split_horizontally(units(WIDTH - width));
        legend(&beside, plot, &named, &colours)?;
        chart
    };
    curves(&chart, plot, y_label, &colours)?;
    root.present()?;
    Ok(())
}

/// The place of each curve's colour: a band has that of the line before it.
fn colours(curves: &[Curve]) -> Vec<usize> {
    let mut out: Vec<usize> = Vec::with_capacity(curves.len());
    let mut next = 0;
    for (k, curve) in curves.iter().enumerate() {
        let before = k.checked_sub(1).filter(|&b| matches!(curves[b].mark, Mark::Lines(_)));
        match (&curve.mark, before) {
            (Mark::Bands(_), Some(before)) => out.push(out[before]),
            (Mark::Bands(_) | Mark::Lines(_) | Mark::Points(_) | Mark::Level(_), _) => {
                out.push(next % COLOURS.len());
                next += 1;
            }
        }
    }
    out
}

fn curves(area: &Area, plot: &Plot, y_label: &str, colours: &[usize]) -> DrawResult {
    let x_space = if plot.x_label.is_empty() { 24 } else { 38 };
    let y_space = if y_label.is_empty() { 52 } else { 66 };
    let (mut across, mut up) = ranges(&plot.curves);
    if plot.curves.iter().any(|c| is_path(&c.mark)) {
        let (width, height) = area.dim_in_pixel();
        let (width, height) = (width as i32 - units(y_space + 28), height as i32 - units(x_space + 20));
        (across, up) = to_scale(across, up, width as f64 / height as f64);
    }
    let mut chart = ChartBuilder::on(area)
        .margin(units(10))
        .margin_right(units(18))
        .x_label_area_size(units(x_space))
        .y_label_area_size(units(y_space))
        .build_cartesian_2d(across.0..across.1, up.0..up.1)?;
    let (x_ticks, y_ticks) = (ticks(across.1 - across.0), ticks(up.1 - up.0));
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(stroke(BLACK.mix(0.1), 1.0))
        .axis_style(stroke(BLACK.mix(0.6), 1.0));
    mesh.set_all_tick_mark_size(units(4));
    mesh.x_label_formatter(&x_ticks).y_label_formatter(&y_ticks).label_style((FONT, units(TEXT)));
    mesh.x_labels(8).y_labels(8).x_desc(&plot.x_label).y_desc(y_label).axis_desc_style((FONT, units(TEXT + 2)));
    mesh.draw()?;
    // What covers much is drawn first.
    let order = |mark: &Mark| match mark {
        Mark::Bands(_) => 0,
        Mark::Level(_) => 1,
        Mark::Lines(_) => 2,
        Mark::Points(_) => 3,
    };
    let mut sorted: Vec<(&Curve, usize)> = plot.curves.iter().zip(colours.iter().copied()).collect();
    sorted.sort_by_key(|(curve, _)| order(&curve.mark));
    for (curve, colour) in sorted {
        one(&mut chart, &curve.mark, COLOURS[colour], across)?;
    }
    Ok(())
}

fn one(chart: &mut Chart, mark: &Mark, colour: RGBColor, across: (f64, f64)) -> DrawResult {
    match mark {
        Mark::Lines(lines) => {
            // Many lines are thinner.
            let style = stroke(colour, if lines.len() > 3 { 1.0 } else { 1.7 });
            for piece in lines.iter().flat_map(|line| unbroken(line)) {
                chart.draw_series(LineSeries::new(thinned(&piece), style))?;
            }
        }
        Mark::Points(points) => {
            let radius = if points.len() > 300 { 2 } else { 3 };
            let seen = points.iter().filter(|p| p.0.is_finite() && p.1.is_finite());
            chart.draw_series(seen.map(|p| Circle::new(*p, units(radius), colour.mix(0.8).filled())))?;
        }
        Mark::Bands(bands) => {
            for band in bands {
                let seen = || band.iter().filter(|p| p.0.is_finite() && p.1.is_finite() && p.2.is_finite());
                let (low, high) = (seen().map(|p| (p.0, p.1)), seen().map(|p| (p.0, p.2)));
                let (low, high): (Vec<_>, Vec<_>) = (low.collect(), high.collect());
                let around = thinned(&low).into_iter().chain(thinned(&high).into_iter().rev());
                chart.draw_series([Polygon::new(around.collect::<Vec<_>>(), colour.mix(BAND))])?;
            }
        }
        Mark::Level(y) => {
            let ends = [(across.0, *y), (across.1, *y)];
            chart.draw_series(DashedLineSeries::new(ends, units(6) as u32, units(4) as u32, stroke(colour, 1.3)))?;
        }
    }
    Ok(())
}

fn legend(area: &Area, plot: &Plot, named: &[usize], colours: &[usize]) -> DrawResult {
    let letters = (FONT, units(TEXT)).into_font().color(&BLACK.mix(0.8)).pos(Pos::new(HPos::Left, VPos::Center));
    for (row, &k) in named.iter().enumerate() {
        let (y, colour) = (18 + row as i32 * LEGEND_LINE, COLOURS[colours[k]]);
        let at = |x: i32, y: i32| (units(x), units(y));
        let end = SAMPLE - 8;
        match plot.curves[k].mark {
            Mark::Lines(_) => area.draw(&PathElement::new([at(0, y), at(end, y)], stroke(colour, 1.7)))?,
            Mark::Level(_) => {
                for from in [0, 7, 14] {
                    area.draw(&PathElement::new([at(from, y), at(from + 4, y)], stroke(colour, 1.3)))?;
                }
            }
            Mark::Points(_) => area.draw(&Circle::new(at(end / 2, y), units(3), colour.mix(0.8).filled()))?,
            Mark::Bands(_) => {
                area.draw(&Rectangle::new([at(0, y - 5), at(end, y + 5)], colour.mix(BAND).filled()))?;
            }
        }
        area.draw(&Text::new(shortened(&plot.curves[k].name), at(SAMPLE, y), letters.clone()))?;
    }
    Ok(())
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LONGEST_NAME {
        return name.to_string();
    }
    name.chars().take(LONGEST_NAME - 1).chain(['…']).collect()
}

/// The stretches of a line without a number missing.
fn unbroken(line: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    let whole = |p: &(f64, f64)| p.0.is_finite() && p.1.is_finite();
    line.split(|p| !whole(p)).filter(|piece| !piece.is_empty()).map(<[_]>::to_vec).collect()
}

/// Few points whose line looks as that of all: of each stretch the first, the lowest, the highest and the last.
fn thinned(line: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if line.len() <= POINTS {
        return line.to_vec();
    }
    let mut out = Vec::with_capacity(POINTS);
    for piece in line.chunks(line.len().div_ceil(POINTS / 4)) {
        let by_height = |a: &usize, b: &usize| piece[*a].1.total_cmp(&piece[*b].1);
        let mut kept = [Some(0), (0..piece.len()).min_by(by_height), (0..piece.len()).max_by(by_height)];
        kept.sort();
        out.extend(kept.into_iter().flatten().chain([piece.len() - 1]).map(|k| piece[k]));
    }
    out.dedup();
    out
}

/// Whether a line goes back, as no function of its axis does: it is a path in the plane.
fn is_path(mark: &Mark) -> bool {
    match mark {
        Mark::Lines(lines) => lines.iter().any(|line| line.windows(2).any(|w| w[1].0 < w[0].0)),
        Mark::Points(_) | Mark::Bands(_) | Mark::Level(_) => false,
    }
}

/// Axes of one scale, in an area so many times as wide as it is high, around the same middle.
fn to_scale(across: (f64, f64), up: (f64, f64), shape: f64) -> ((f64, f64), (f64, f64)) {
    let (width, height) = ((across.1 - across.0) * 1.06, up.1 - up.0);
    let (width, height) = (width.max(height * shape), height.max(width / shape));
    let around = |(low, high): (f64, f64), size: f64| {
        let middle = low / 2.0 + high / 2.0;
        (middle - size / 2.0, middle + size / 2.0)
    };
    (around(across, width), around(up, height))
}

/// From where to where the axes go.
fn ranges(curves: &[Curve]) -> ((f64, f64), (f64, f64)) {
    let (mut across, mut up) = (Range::default(), Range::default());
    let mut margin = 0.0;
    for curve in curves {
        match &curve.mark {
            Mark::Lines(lines) => lines.iter().flatten().for_each(|p| {
                across.hold(p.0);
                up.hold(p.1);
            }),
            Mark::Points(points) => {
                margin = 0.03;
                points.iter().for_each(|p| {
                    across.hold(p.0);
                    up.hold(p.1);
                });
            }
            Mark::Bands(bands) => bands.iter().flatten().for_each(|p| {
                across.hold(p.0);
                up.hold(p.1);
                up.hold(p.2);
            }),
            Mark::Level(y) => up.hold(*y),
        }
    }
    (across.with_margin(margin), up.with_margin(0.05))
}

/// The smallest and the largest of some numbers.
struct Range(f64, f64);

impl Default for Range {
    fn default() -> Range {
        Range(f64::INFINITY, f64::NEG_INFINITY)
    }
}

impl Range {
    fn hold(&mut self, x: f64) {
        if x.is_finite() {
            *self = Range(self.0.min(x), self.1.max(x));
        }
    }

    /// A part of the width more on either side; of one number, something around it.
    fn with_margin(self, part: f64) -> (f64, f64) {
        let Range(low, high) = self;
        if low > high {
            return (0.0, 1.0);
        }
        let width = high - low;
        // Axes of no width, or of more than numbers can tell apart, would have no marks.
        let least = (low.abs().max(high.abs()) * 1e-9).max(1e-300);
        let more = if width > least {
            (width * part).min(f64::MAX / 8.0)
        } else if high == 0.0 {
            1.0
        } else {
            high.abs() * 0.5
        };
        ((low - more).max(f64::MIN / 4.0), (high + more).min(f64::MAX / 4.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(mark: Mark) -> Curve {
        Curve { name: "c".into(), mark }
    }

    fn plot(curves: Vec<Curve>) -> String {
        svg(&Plot { title: "t".into(), x_label: "across".into(), y_label: String::new(), curves }).expect("a picture")
    }

    #[test]
    fn everything_is_drawn() {
        let line: Vec<(f64, f64)> = (0..50).map(|i| (i as f64, (i as f64 / 5.0).sin())).collect();
        let band = line.iter().map(|(x, y)| (*x, y - 0.1, y + 0.1)).collect();
        let svg = plot(vec![
            of(Mark::Lines(vec![line.clone()])),
            of(Mark::Bands(vec![band])),
            of(Mark::Points(line)),
            of(Mark::Level(0.5)),
        ]);
        assert!(
            svg.contains("polyline") && svg.contains("polygon") && svg.contains("circle") && svg.contains("across")
        );
    }

    #[test]
    fn odd_numbers_are_survived() {
        let odd = [f64::NAN, f64::INFINITY, f64::MAX, f64::MIN, 1e-320, 0.0];
        for a in odd {
            for b in odd {
                plot(vec![of(Mark::Lines(vec![vec![(a, b), (b, a), (0.0, 1.0)]]))]);
                plot(vec![of(Mark::Points(vec![(a, b)])), of(Mark::Level(a))]);
                plot(vec![of(Mark::Bands(vec![vec![(0.0, a, b), (1.0, b, a)]]))]);
            }
        }
        plot(vec![of(Mark::Points(vec![(5.0, 5.0)]))]);
    }

    #[test]
    fn paths_are_to_scale() {
        let circle = |n: i32| (0..n).map(|i| (f64::from(i).cos(), f64::from(i).sin())).collect::<Vec<_>>();
        assert!(is_path(&Mark::Lines(vec![circle(9)])) && !is_path(&Mark::Points(circle(9))));
        let ((a, b), (c, d)) = to_scale((0.0, 2.0), (-1.0, 0.0), 4.0);
        assert!(((b - a) - 4.0 * (d - c)).abs() < 1e-12 && a < 0.0 && b > 2.0 && c <= -1.0 && d >= 0.0);
        let ((a, b), (c, d)) = to_scale((0.0, 2.0), (-1.0, 0.0), 1.0);
        assert!(((b - a) - (d - c)).abs() < 1e-12 && a < 0.0 && b > 2.0 && (c + d) == -1.0);
    }

    #[test]
    fn long_lines_are_thinned() {
        let line: Vec<(f64, f64)> = (0..1_000_000).map(|i| (i as f64, if i == 777_777 { 9.0 } else { 0.0 })).collect();
        let few = thinned(&line);
        assert!(few.len() <= POINTS + 4 && few.contains(&(777_777.0, 9.0)), "{}", few.len());
        assert_eq!((few[0], few[few.len() - 1]), (line[0], line[line.len() - 1]));
    }
}
