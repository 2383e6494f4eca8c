//! What came of a sweep: final values by point, as a table, as JSON, and as a picture.

use serde_json::{Map, Value, json};
use whorl_data::{Array, Element, image};
use whorl_host::folder::Folder;
use whorl_host::metrics::{spread, values_json};
use whorl_host::sweep_plot::{self, SweepPanel, SweepPlot};

use crate::sweep::{Axis, Sweep};

pub const PICTURES: [&str; 2] = ["sweep.svg", "sweep.png"];
/// Panels of the picture; the table and `summary.json` have all values.
const MOST_PANELS: usize = 8;
/// Lines of a panel.
const MOST_LINES: usize = 24;
/// Values that go over so much stand along an axis of logarithms.
const WIDE: f64 = 30.0;
/// A table is not wider than this.
const TABLE_WIDTH: usize = 100;

/// Final values of the runs of each point.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    pub sweep: Sweep,
    pub points: Vec<Point>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Point {
    /// The place of the value of each axis.
    pub at: Vec<usize>,
    /// By name, and by run.
    pub values: Vec<(String, Vec<Option<f64>>)>,
}

impl Outcome {
    /// Points in the order of their values, with `values` (by name, then by run over all points) shared out among them.
    pub fn new(sweep: &Sweep, points: &[Vec<usize>], values: &[(String, Vec<Option<f64>>)]) -> Outcome {
        let point = |(k, at): (usize, &Vec<usize>)| {
            let own = |all: &[Option<f64>]| {
                let runs = all.len() / points.len();
                all[k * runs..(k + 1) * runs].to_vec()
            };
            Point { at: at.clone(), values: values.iter().map(|(name, all)| (name.clone(), own(all))).collect() }
        };
        Outcome { sweep: sweep.clone(), points: points.iter().enumerate().map(point).collect() }
    }

    /// Names of the values, as the first point that has them has them in order.
    fn names(&self) -> Vec<&String> {
        let mut names: Vec<&String> = Vec::new();
        for (name, _) in self.points.iter().flat_map(|p| &p.values) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// For `summary.json`.
    pub fn json(&self) -> Value {
        let axis = |a: &Axis| json!({ "name": a.name, "values": a.values });
        let point = |p: &Point| {
            let at = self.sweep.axes.iter().zip(&p.at).map(|(a, &k)| (a.name.clone(), a.values[k].clone().into()));
            let value = |(name, values): &(String, Vec<Option<f64>>)| {
                let (mean, deviation) = spread(values).unwrap_or((f64::NAN, f64::NAN));
                let numbers = values_json(&[Some(mean), Some(deviation)]);
                (name.clone(), json!({ "mean": numbers[0], "deviation": numbers[1], "values": values_json(values) }))
            };
            json!({
                "at": at.collect::<Map<_, _>>(),
                "final": p.values.iter().map(value).collect::<Map<_, _>>(),
            })
        };
        json!({
            "axes": self.sweep.axes.iter().map(axis).collect::<Vec<_>>(),
            "points": self.points.iter().map(point).collect::<Vec<_>>(),
        })
    }

    /// The points that [`Outcome::json`] wrote, of a sweep through some of this one's values.
    pub fn read_points(sweep: &Sweep, json: &Value) -> Option<Vec<Point>> {
        let point = |p: &Value| {
            let place = |a: &Axis| a.values.iter().position(|v| p["at"][&a.name].as_str() == Some(v));
            let at = sweep.axes.iter().map(place).collect::<Option<_>>()?;
            let number = |v: &Value| match v {
                Value::Number(x) => x.as_f64(),
                Value::String(x) => x.parse().ok(),
                _ => None,
            };
            let value = |(name, v): (&String, &Value)| {
                Some((name.clone(), v["values"].as_array()?.iter().map(number).collect()))
            };
            Some(Point { at, values: p["final"].as_object()?.iter().map(value).collect::<Option<_>>()? })
        };
        json["points"].as_array()?.iter().map(point).collect()
    }

    /// A row a point, with mean and deviation of as many values as there is room for.
    pub fn table(&self) -> String {
        let axes: Vec<usize> = (0..self.sweep.axes.len()).filter(|&k| self.sweep.axes[k].values.len() > 1).collect();
        let axes = if axes.is_empty() { (0..self.sweep.axes.len()).collect() } else { axes };
        let mut columns: Vec<Vec<String>> = Vec::new();
        for &k in &axes {
            let axis = &self.sweep.axes[k];
            let values = self.points.iter().map(|p| axis.values[p.at[k]].clone());
            columns.push(std::iter::once(axis.name.clone()).chain(values).collect());
        }
        let names = self.names();
        let mut left_out = 0;
        for name in &names {
            let of = |p: &Point| {
                let (_, values) = p.values.iter().find(|(n, _)| n == *name)?;
                Some((spread(values)?, values.len()))
            };
            let size = self.points.iter().filter_map(of).map(|((m, d), _)| m.abs().max(d.abs())).fold(0.0, f64::max);
            let cell = |p: &Point| of(p).map_or("-".to_string(), |((m, d), n)| said(m, d, n, size));
            let column: Vec<String> = std::iter::once(name.to_string()).chain(self.points.iter().map(cell)).collect();
            let width: usize = columns.iter().chain([&column]).map(|c| width(c) + 3).sum();
            if width > TABLE_WIDTH && columns.len() > axes.len() {
                left_out += 1;
            } else {
                columns.push(column);
            }
        }
        let mut text = String::new();
        for row in 0..=self.points.len() {
            let cells: Vec<String> = columns.iter().map(|c| format!("{:>1$}", c[row], width(c))).collect();
            text += &format!("  {}\n", cells.join("   "));
        }
        if left_out > 0 {
            text += &format!("  and {left_out} more in summary.json\n");
        }
        text
    }

    /// Draws the final values into the folder. Nothing, if there are none. An error is a line.
    pub fn draw(&self, folder: &Folder, title: &str) -> Result<(), String> {
        let Some(plot) = self.plot(title) else { return Ok(()) };
        let write = |name: &str, bytes: &[u8]| {
            folder.write(name, bytes).map_err(|e| format!("error: {}: {e}", folder.file(name).display()))
        };
        write(PICTURES[0], sweep_plot::svg(&plot).map_err(|e| format!("error: {}: {e}", PICTURES[0]))?.as_bytes())?;
        let (rgb, width, height) = sweep_plot::pixels(&plot).map_err(|e| format!("error: {}: {e}", PICTURES[1]))?;
        let array = Array { element: Element::U8, shape: vec![height as usize, width as usize, 3], bytes: rgb };
        write(PICTURES[1], &image::png(&array, 1).map_err(|e| format!("error: {}: {e}", PICTURES[1]))?)
    }

    fn plot(&self, title: &str) -> Option<SweepPlot> {
        let axes = &self.sweep.axes;
        // Along the first that has more than one value; best numbers, which have places of their own.
        let several = |k: &usize| axes[*k].values.len() > 1;
        let numeric = |k: &usize| several(k) && axes[*k].values.iter().all(|v| number(v).is_some());
        let along = (0..axes.len()).find(numeric).or_else(|| (0..axes.len()).find(several)).or(Some(0))?;
        let axis = axes.get(along)?;
        let numbers: Vec<Option<f64>> = axis.values.iter().map(|v| number(v)).collect();
        let known: Vec<f64> = numbers.iter().flatten().copied().collect();
        let positive = !known.is_empty() && known.iter().all(|x| *x > 0.0);
        let (low, high) = known.iter().fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(*x), h.max(*x)));
        let others = |p: &Point| -> Vec<usize> {
            p.at.iter().enumerate().filter(|(k, _)| *k != along).map(|(_, &v)| v).collect()
        };
        let mut lines: Vec<Vec<usize>> = Vec::new();
        for p in &self.points {
            if !lines.contains(&others(p)) && lines.len() < MOST_LINES {
                lines.push(others(p));
            }
        }
        let rest =
            Sweep { axes: axes.iter().enumerate().filter(|(k, _)| *k != along).map(|(_, a)| a.clone()).collect() };
        let line_name = |at: &Vec<usize>| if lines.len() > 1 { rest.label(at) } else { String::new() };
        let panel = |name: &&String| {
            let value = |line: &Vec<usize>, k: usize| {
                let point = self.points.iter().find(|p| p.at[along] == k && others(p) == *line)?;
                spread(&point.values.iter().find(|(n, _)| n == *name)?.1)
            };
            let values = |line: &Vec<usize>| (0..axis.values.len()).map(|k| value(line, k)).collect();
            SweepPanel { name: name.to_string(), values: lines.iter().map(values).collect() }
        };
        let panels: Vec<SweepPanel> = self.names().iter().take(MOST_PANELS).map(panel).collect();
        (!panels.is_empty()).then(|| SweepPlot {
            title: title.to_string(),
            x_label: axis.name.clone(),
            xs: axis.values.iter().cloned().zip(numbers).collect(),
            logarithmic: positive && (axis.logarithmic || high / low > WIDE),
            lines: lines.iter().map(line_name).collect(),
            panels,
        })
    }
}

fn number(text: &str) -> Option<f64> {
    text.replace('_', "").parse().ok()
}

fn width(column: &[String]) -> usize {
    column.iter().map(|c| c.chars().count()).max().unwrap_or(0)
}

/// `483.2 ± 8.1`, with as many digits as the largest of its column needs.
fn said(mean: f64, deviation: f64, runs: usize, size: f64) -> String {
    let digits =
        if size > 0.0 && size.is_finite() { (3 - size.log10().floor() as i32).clamp(0, 8) as usize } else { 1 };
    let plain =
        |x: f64| if size >= 1e7 || (size > 0.0 && size < 1e-4) { format!("{x:.3e}") } else { format!("{x:.digits$}") };
    if runs > 1 { format!("{} ± {}", plain(mean), plain(deviation)) } else { plain(mean) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        let sweep = Sweep::parse(&["lr=1e-4,1e-2".into(), "anneal=true,false".into()]).expect("a sweep");
        let points: Vec<Vec<usize>> = vec![vec![0, 0], vec![0, 1], vec![1, 0], vec![1, 1]];
        let run = |k: usize| Some(k as f64);
        let values = vec![("return".to_string(), (0..8).map(run).collect()), ("loss".to_string(), vec![None; 8])];
        Outcome::new(&sweep, &points, &values)
    }

    #[test]
    fn runs_are_shared_out_among_points() {
        let o = outcome();
        assert_eq!(o.points[2].values[0], ("return".to_string(), vec![Some(4.0), Some(5.0)]));
        let table = o.table();
        let rows: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["lr", "anneal", "return", "loss"], "{table}");
        assert_eq!(rows[3], ["1e-2", "true", "4.500", "±", "0.500", "-"], "{table}");
        assert_eq!(rows.len(), 5);
    }

    #[test]
    fn json_is_read_back() {
        let o = outcome();
        let json = o.json();
        assert_eq!(json["points"][3]["at"], json!({ "lr": "1e-2", "anneal": "false" }));
        assert_eq!(json["points"][3]["final"]["return"]["mean"], 6.5);
        assert_eq!(Outcome::read_points(&o.sweep, &json), Some(o.points));
    }

    #[test]
    fn a_line_for_each_value_of_the_second() {
        let plot = outcome().plot("t").expect("a plot");
        assert_eq!((plot.x_label.as_str(), plot.logarithmic), ("lr", true));
        assert_eq!(plot.lines, ["anneal=true", "anneal=false"]);
        assert_eq!(plot.panels[0].values[1], [Some((2.5, 0.5)), Some((6.5, 0.5))]);
    }
}
