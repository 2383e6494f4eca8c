//! `curve.svg` and `curve.png`: what was logged over the steps, mean and spread (one standard deviation) over runs, a panel a log.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use whorl_data::{Array, Element};

use crate::metrics::{Metrics, Record, spread};
use crate::style::{BAND, CAPTION, COLOURS, FONT, TEXT, TITLE, ticks};

/// So many logs are shown: the first of the program. `metrics.jsonl` has all.
const MOST: usize = 6;
/// Up to so many panels stand below each other; more in two columns.
const COLUMN: usize = 3;
const PANEL: (u32, u32) = (620, 240);
const HEAD: u32 = 34;
const LEGEND_LINE: u32 = 20;
/// A panel shows at most so many points: averages of equal stretches of steps.
const POINTS: usize = 300;
/// Letters are about so wide, in their height.
const LETTER: f64 = 0.56;

/// The picture as SVG text; `None` where nothing was logged. `groups` are runs that have a line of their own, with a name: without any,
/// all runs are one.
pub fn svg(metrics: &Metrics, title: &str, steps: usize, groups: &[(String, Range<usize>)]) -> Option<String> {
    let picture = Picture::of(metrics, title, steps, groups)?;
    let mut text = String::new();
    picture.draw(SVGBackend::with_string(&mut text, picture.size())).ok()?;
    Some(text)
}

/// The same as a PNG file.
pub fn png(metrics: &Metrics, title: &str, steps: usize, groups: &[(String, Range<usize>)]) -> Option<Vec<u8>> {
    let picture = Picture::of(metrics, title, steps, groups)?;
    whorl_data::image::png(&picture.pixels()?, 1).ok()
}

struct Picture {
    title: String,
    panels: Vec<Panel>,
    /// Names of the groups; none where there is one only.
    legend: Vec<String>,
}

struct Panel {
    name: String,
    lines: Vec<Line>,
    /// The first step that has a value which is no finite number.
    broken: Option<u64>,
}

/// One group's: stretches of points without gaps, each of step, mean over runs, standard deviation over runs.
type Line = Vec<Vec<(f64, f64, f64)>>;

impl Picture {
    fn of(metrics: &Metrics, title: &str, steps: usize, groups: &[(String, Range<usize>)]) -> Option<Picture> {
        let all = [0..usize::MAX];
        let ranges: Vec<Range<usize>> = groups.iter().map(|g| g.1.clone()).collect();
        let ranges = if ranges.is_empty() { &all[..] } else { &ranges };
        let panel = |name: &String| {
            let records: Vec<&Record> = metrics.records.iter().filter(|r| r.name == *name).collect();
            let infinite = |r: &&&Record| r.values.iter().flatten().any(|v| !v.is_finite());
            let broken = records.iter().find(infinite).map(|r| r.step);
            let lines = ranges.iter().map(|runs| line(&records, steps, runs)).collect();
            Panel { name: name.clone(), lines, broken }
        };
        let panels: Vec<Panel> = metrics.logged().take(MOST).map(panel).collect();
        let legend = if groups.len() > 1 { groups.iter().map(|g| g.0.clone()).collect() } else { Vec::new() };
        (!panels.is_empty()).then(|| Picture { title: title.to_string(), panels, legend })
    }

    /// Columns and rows of panels.
    fn layout(&self) -> (usize, usize) {
        let columns = if self.panels.len() > COLUMN { 2 } else { 1 };
        (columns, self.panels.len().div_ceil(columns))
    }

    fn size(&self) -> (u32, u32) {
        let (columns, rows) = self.layout();
        let width = PANEL.0 * columns as u32;
        (width, HEAD + self.entries(width).1 + PANEL.1 * rows as u32)
    }

    /// Where each name of the legend stands, and how high all of it is.
    fn entries(&self, width: u32) -> (Vec<(i32, i32)>, u32) {
        let (mut at, mut places) = ((16, 0), Vec::new());
        for name in &self.legend {
            let needs = 40 + (shortened(name, 40).chars().count() as f64 * TEXT as f64 * LETTER) as i32;
            if at.0 + needs > width as i32 && at.0 > 16 {
                at = (16, at.1 + LEGEND_LINE as i32);
            }
            places.push(at);
            at.0 += needs;
        }
        let height = if self.legend.is_empty() { 0 } else { at.1 as u32 + LEGEND_LINE };
        (places, height)
    }

    fn pixels(&self) -> Option<Array> {
        let (width, height) = self.size();
        let shape = vec![height as usize, width as usize, 3];
        let mut bytes = vec![0; shape.iter().product()];
        self.draw(BitMapBackend::with_buffer(&mut bytes, (width, height))).ok()?;
        Some(Array { element: Element::U8, shape, bytes })
    }

    fn draw<B: DrawingBackend>(&self, backend: B) -> Result<(), Box<dyn std::error::Error>>
    where
        B::ErrorType: 'static,
    {
        crate::style::prepare();
        let root = backend.into_drawing_area();
        root.fill(&WHITE)?;
        let (width, _) = root.dim_in_pixel();
        let centred = (FONT, TITLE).into_font().color(&BLACK).pos(Pos::new(HPos::Center, VPos::Top));
        let most = (width as f64 / (TITLE as f64 * LETTER)) as usize;
        root.draw(&Text::new(shortened(&self.title, most), (width as i32 / 2, 10), &centred))?;
        let (places, height) = self.entries(width);
        for (k, ((x, y), name)) in places.iter().zip(&self.legend).enumerate() {
            let (y, colour) = (y + HEAD as i32, COLOURS[k % COLOURS.len()]);
            root.draw(&Rectangle::new([(*x, y + 5), (x + 16, y + 9)], colour.filled()))?;
            root.draw(&Text::new(shortened(name, 40), (x + 22, y), (FONT, TEXT).into_font().color(&BLACK)))?;
        }
        let (_, below) = root.split_vertically(HEAD + height);
        let (columns, rows) = self.layout();
        for (area, panel) in below.split_evenly((rows, columns)).iter().zip(&self.panels) {
            panel.draw(area)?;
        }
        root.present()?;
        Ok(())
    }
}

impl Panel {
    fn range(&self) -> (f64, f64) {
        let points = || self.lines.iter().flatten().flatten();
        let low = points().map(|p| p.1 - p.2).fold(f64::INFINITY, f64::min);
        let high = points().map(|p| p.1 + p.2).fold(f64::NEG_INFINITY, f64::max);
        if low > high {
            return (0.0, 1.0);
        }
        let margin = match high - low {
            0.0 if high == 0.0 => 1.0,
            0.0 => high.abs() * 0.05,
            over => (over * 0.05).max(high.abs() * 1e-6),
        };
        (low - margin, high + margin)
    }

    fn caption(&self) -> String {
        let broken = self.broken.map_or(String::new(), |step| format!(" (not finite in step {step})"));
        let most = (PANEL.0 as f64 / (CAPTION as f64 * LETTER)) as usize - 4;
        shortened(&self.name, most - broken.chars().count()) + &broken
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), Box<dyn std::error::Error>>
    where
        B::ErrorType: 'static,
    {
        let (low, high) = self.range();
        let last = self.lines.iter().flatten().flatten().map(|p| p.0).fold(0.0, f64::max).max(1.0);
        let mut chart = ChartBuilder::on(area)
            .caption(self.caption(), (FONT, CAPTION))
            .margin(6)
            .margin_right(16)
            .x_label_area_size(28)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..last, low..high)?;
        chart
            .configure_mesh()
            .x_desc("step")
            .light_line_style(WHITE)
            .x_label_formatter(&ticks(last))
            .y_label_formatter(&ticks(high - low))
            .draw()?;
        for (k, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[k % COLOURS.len()];
            for points in line {
                let upper = points.iter().map(|p| (p.0, p.1 + p.2));
                let lower = points.iter().rev().map(|p| (p.0, p.1 - p.2));
                let band: Vec<(f64, f64)> = upper.chain(lower).collect();
                chart.draw_series([Polygon::new(band, colour.mix(BAND))])?;
                if let [one] = points[..] {
                    chart.draw_series([Circle::new((one.0, one.1), 2, colour.filled())])?;
                }
                chart.draw_series(LineSeries::new(points.iter().map(|p| (p.0, p.1)), colour))?;
            }
        }
        Ok(())
    }
}

/// What these runs logged, averaged over stretches of steps; a stretch of which that is no finite number is a gap.
fn line(records: &[&Record], steps: usize, runs: &Range<usize>) -> Line {
    let width = (steps as f64 / POINTS as f64).max(1.0);
    let mut bins: Vec<Vec<(f64, u64)>> = Vec::new();
    for r in records {
        let values = &r.values[runs.start.min(r.values.len())..runs.end.min(r.values.len())];
        let bin = (r.step as f64 / width) as usize;
        bins.resize_with(bins.len().max(bin + 1), || vec![(0.0, 0); values.len()]);
        for (cell, v) in bins[bin].iter_mut().zip(values) {
            if let Some(v) = v {
                *cell = (cell.0 + v, cell.1 + 1);
            }
        }
    }
    let mut line: Line = vec![Vec::new()];
    for (k, cells) in bins.iter().enumerate() {
        let means: Vec<Option<f64>> = cells.iter().map(|&(s, n)| (n > 0).then(|| s / n as f64)).collect();
        // Nothing logged is no gap: many log now and then.
        let Some((mean, deviation)) = spread(&means) else { continue };
        match line.last_mut() {
            Some(points) if mean.is_finite() && deviation.is_finite() => {
                points.push((k as f64 * width, mean, deviation))
            }
            Some(_) | None => line.push(Vec::new()),
        }
    }
    line.retain(|points| !points.is_empty());
    line
}

/// The beginning and the end of a name that is longer.
fn shortened(name: &str, most: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= most {
        return name.to_string();
    }
    let half = most.saturating_sub(1) / 2;
    letters[..half].iter().chain(&['…']).chain(&letters[letters.len() - half..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::LogValue;

    fn metrics(names: &[&str], runs: usize, value: impl Fn(u32, u64, usize) -> f64) -> Metrics {
        let mut m = Metrics::new(names.iter().map(|n| n.to_string()).collect(), runs);
        let of_run = |run: usize| {
            let of = |step: u64| (0..names.len() as u32).map(move |log| (log, step));
            let logged = (0..50).flat_map(of);
            logged.map(|(log, step)| LogValue { log, step, value: value(log, step, run), count: 1 }).collect()
        };
        let logs: Vec<Vec<LogValue>> = (0..runs).map(of_run).collect();
        m.add(&logs);
        m
    }

    fn rising(_: u32, step: u64, run: usize) -> f64 {
        (step * (run as u64 + 1)) as f64
    }

    /// How many pixels of the picture have a group's colour.
    fn coloured(metrics: &Metrics, groups: &[(String, Range<usize>)], colour: usize) -> usize {
        let pixels = Picture::of(metrics, "test", 50, groups).expect("a picture").pixels().expect("drawn");
        let RGBColor(r, g, b) = COLOURS[colour];
        pixels.bytes.chunks_exact(3).filter(|p| **p == [r, g, b]).count()
    }

    #[test]
    fn a_panel_for_each_log() {
        let m = metrics(&["return", "loss"], 2, rising);
        let svg = svg(&m, "test", 50, &[]).expect("a picture");
        assert!(svg.contains("return") && svg.contains("loss") && svg.contains("polyline") && svg.contains("polygon"));
        let png = png(&m, "test", 50, &[]).expect("a picture");
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let size = |n: usize| u32::from_be_bytes(png[n..n + 4].try_into().expect("four"));
        assert_eq!((size(16), size(20)), (PANEL.0, HEAD + 2 * PANEL.1));
    }

    #[test]
    fn groups_have_lines_and_names() {
        let m = metrics(&["return"], 4, rising);
        let groups = [("lr = 1e-3".to_string(), 0..2), ("lr = 3e-4".to_string(), 2..4)];
        let svg = svg(&m, "test", 50, &groups).expect("a picture");
        assert!(svg.contains("lr = 1e-3") && svg.contains("lr = 3e-4"));
        assert!(coloured(&m, &groups, 1) > 0 && coloured(&m, &groups, 2) == 0);
        assert_eq!(coloured(&m, &[], 1), 0);
    }

    #[test]
    fn what_is_not_finite_is_said_and_left_out() {
        let value = |_, step: u64, run| if (20..30).contains(&step) { f64::NAN } else { rising(0, step, run) };
        let m = metrics(&["return"], 2, value);
        let text = svg(&m, "test", 50, &[]).expect("a picture");
        assert!(text.contains("return (not finite in step 20)") && !text.contains("NaN"));
        assert_eq!(line(&m.records.iter().collect::<Vec<_>>(), 50, &(0..2)).len(), 2);
        let whole = metrics(&["return"], 2, rising);
        assert!(coloured(&m, &[], 0) < coloured(&whole, &[], 0));
        let all = metrics(&["return"], 2, |_, _, _| f64::INFINITY);
        assert!(svg(&all, "test", 50, &[]).expect("a picture").contains("not finite in step 0"));
        assert_eq!(coloured(&all, &[], 0), 0);
    }

    #[test]
    fn many_logs_and_long_names() {
        let names: Vec<String> = (0..12).map(|k| format!("{}{k}", "a_long_name_".repeat(20))).collect();
        let m = metrics(&names.iter().map(|n| n.as_str()).collect::<Vec<_>>(), 3, rising);
        let text = svg(&m, &"title ".repeat(100), 50, &[]).expect("a picture");
        assert_eq!(text.matches("a_long_name_").count() > 6, text.contains('…'));
        assert!(!text.contains(&names[0]) && text.matches(">\nstep\n<").count() == MOST);
    }

    #[test]
    fn nothing_logged_is_no_picture() {
        let empty = Metrics::new(vec!["return".into()], 1);
        assert!(svg(&empty, "test", 10, &[]).is_none() && png(&empty, "test", 10, &[]).is_none());
    }

    /// `WHORL_PICTURES=FOLDER cargo test -p whorl-host pictures_to_look_at`
    #[test]
    fn pictures_to_look_at() {
        let Ok(folder) = std::env::var("WHORL_PICTURES") else { return };
        let noise = |log: u32, step: u64, run: usize| {
            let x = ((step * 7919 + run as u64 * 104729 + log as u64 * 15485863) % 1000) as f64 / 1000.0;
            10.0 * (step as f64 / 15.0 + log as f64).sin() + x * (1.0 + log as f64)
        };
        let broken =
            |log, step, run| if (20..30).contains(&step) && run == 1 { f64::NAN } else { noise(log, step, run) };
        let names: Vec<String> = (0..12).map(|k| format!("{}log_{k}", "a_rather_long_name.".repeat(k))).collect();
        let names: Vec<&str> = names.iter().map(|n| n.as_str()).collect();
        let groups: Vec<(String, Range<usize>)> =
            (0..8).map(|k| (format!("ppo.lr = {}e-4", k + 1), k..k + 1)).collect();
        let draw = |name: &str, m: &Metrics, groups: &[(String, Range<usize>)]| {
            let file = |ending: &str| format!("{folder}/{name}.{ending}");
            std::fs::write(file("png"), png(m, name, 50, groups).expect("a picture")).expect("written");
            std::fs::write(file("svg"), svg(m, name, 50, groups).expect("a picture")).expect("written");
        };
        draw("one_run", &metrics(&["return", "loss"], 1, noise), &[]);
        draw("eight_runs", &metrics(&["return", "length", "loss", "entropy"], 8, noise), &[]);
        draw("nan", &metrics(&["return", "loss"], 2, broken), &[]);
        draw("constant", &metrics(&["constant", "zero"], 3, |log, _, _| 5.0 - 5.0 * log as f64), &[]);
        draw("many_logs", &metrics(&names, 3, noise), &[]);
        draw("groups", &metrics(&["return", "loss"], 8, |l, s, r| noise(l, s, r) * (r + 1) as f64), &groups);
    }
}
