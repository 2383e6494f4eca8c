//! `curve.svg`: what was logged over the steps, mean and spread (one standard deviation) over runs, one panel a log.

use plotters::prelude::*;

use crate::metrics::{Metrics, spread};
use crate::style::{BAND, CAPTION, COLOURS, FONT, TITLE, ticks};

const PANEL: (u32, u32) = (720, 260);
/// A panel shows at most so many points: averages of equal stretches of steps.
const POINTS: usize = 300;

/// The picture as SVG text; `None` where nothing was logged.
pub fn svg(metrics: &Metrics, title: &str, steps: usize) -> Option<String> {
    let panels: Vec<Panel> = metrics.logged().filter_map(|n| Panel::of(metrics, n, steps)).collect();
    if panels.is_empty() {
        return None;
    }
    let mut text = String::new();
    draw(&mut text, &panels, title).ok()?;
    Some(text)
}

struct Panel {
    name: String,
    /// Step, mean over runs, standard deviation over runs.
    points: Vec<(f64, f64, f64)>,
}

impl Panel {
    fn of(metrics: &Metrics, name: &str, steps: usize) -> Option<Panel> {
        let width = (steps as f64 / POINTS as f64).max(1.0);
        let mut bins: Vec<Vec<(f64, u64)>> = Vec::new();
        for r in metrics.records.iter().filter(|r| r.name == name) {
            let bin = (r.step as f64 / width) as usize;
            bins.resize_with(bins.len().max(bin + 1), || vec![(0.0, 0); r.values.len()]);
            for (cell, v) in bins[bin].iter_mut().zip(&r.values) {
                if let Some(v) = v {
                    *cell = (cell.0 + v, cell.1 + 1);
                }
            }
        }
        let point = |(k, cells): (usize, &Vec<(f64, u64)>)| {
            let means: Vec<Option<f64>> = cells.iter().map(|&(s, n)| (n > 0).then(|| s / n as f64)).collect();
            let (mean, deviation) = spread(&means)?;
            (mean.is_finite() && deviation.is_finite()).then_some((k as f64 * width, mean, deviation))
        };
        let points: Vec<_> = bins.iter().enumerate().filter_map(point).collect();
        (!points.is_empty()).then(|| Panel { name: name.to_string(), points })
    }

    fn range(&self) -> (f64, f64) {
        let low = self.points.iter().map(|p| p.1 - p.2).fold(f64::INFINITY, f64::min);
        let high = self.points.iter().map(|p| p.1 + p.2).fold(f64::NEG_INFINITY, f64::max);
        let margin = ((high - low) * 0.05).max(high.abs() * 1e-3).max(1e-9);
        (low - margin, high + margin)
    }
}

type DrawResult = Result<(), Box<dyn std::error::Error>>;

fn draw(text: &mut String, panels: &[Panel], title: &str) -> DrawResult {
    crate::style::prepare();
    let height = PANEL.1 * panels.len() as u32 + 30;
    let root = SVGBackend::with_string(text, (PANEL.0, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(title, (FONT, TITLE))?;
    for (area, panel) in root.split_evenly((panels.len(), 1)).iter().zip(panels) {
        let (low, high) = panel.range();
        let last = panel.points.last().map_or(1.0, |p| p.0).max(1.0);
        let mut chart = ChartBuilder::on(area)
            .caption(&panel.name, (FONT, CAPTION))
            .margin(6)
            .x_label_area_size(28)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..last, low..high)?;
        chart
            .configure_mesh()
            .x_desc("step")
            .light_line_style(WHITE)
            .x_label_formatter(&ticks(last))
            .y_label_formatter(&ticks(high - low))
            .draw()?;
        let upper = panel.points.iter().map(|p| (p.0, p.1 + p.2));
        let lower = panel.points.iter().rev().map(|p| (p.0, p.1 - p.2));
        let band: Vec<(f64, f64)> = upper.chain(lower).collect();
        chart.draw_series([Polygon::new(band, COLOURS[0].mix(BAND))])?;
        chart.draw_series(LineSeries::new(panel.points.iter().map(|p| (p.0, p.1)), COLOURS[0]))?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::LogValue;

    #[test]
    fn a_panel_for_each_log() {
        let mut m = Metrics::new(vec!["return".into(), "loss".into()], 2);
        let values = |run: u64| {
            let of = move |step: u64| {
                (0..2).map(move |log| LogValue { log, step, value: (step * (run + 1)) as f64, count: 1 })
            };
            (0..50).flat_map(of).collect::<Vec<_>>()
        };
        m.add(&[values(0), values(1)]);
        let svg = svg(&m, "test", 50).expect("a picture");
        assert!(svg.contains("return") && svg.contains("loss") && svg.contains("polyline"));
    }

    #[test]
    fn nothing_logged_is_no_picture() {
        assert!(svg(&Metrics::new(vec!["return".into()], 1), "test", 10).is_none());
    }
}
