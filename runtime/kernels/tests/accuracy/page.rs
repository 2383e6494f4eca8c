//! docs/accuracy.md: the table of largest errors.

use std::path::{Path, PathBuf};

use crate::whole::Worst;

pub struct Row {
    pub name: String,
    /// How many floats.
    pub tried: String,
    pub narrow: Worst,
    pub wide: Worst,
}

impl Row {
    /// `| exp | all | 0.86 | -7.2e0 | 0.81 | 3e2 |`, the errors rounded up.
    pub fn to_text(&self) -> String {
        let up = |x: f64| (x * 100.0).ceil() / 100.0;
        let [narrow, wide] = [&self.narrow, &self.wide].map(|w| format!("{:.2} | {}", up(w.ulps), w.at));
        format!("| {} | {} | {narrow} | {wide} |", self.name, self.tried)
    }

    fn from_text(line: &str) -> Option<Row> {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, tried, narrow, narrow_at, wide, wide_at, _] = cells[..] else { return None };
        let worst = |ulps: &str, at: &str| Some(Worst { ulps: ulps.parse().ok()?, at: at.to_string() });
        Some(Row {
            name: name.to_string(),
            tried: tried.to_string(),
            narrow: worst(narrow, narrow_at)?,
            wide: worst(wide, wide_at)?,
        })
    }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/accuracy.md")
}

pub fn rows() -> Vec<Row> {
    std::fs::read_to_string(path()).expect("docs/accuracy.md").lines().filter_map(Row::from_text).collect()
}

/// Writes a row anew, or as the last one.
pub fn update(row: &Row) {
    let page = std::fs::read_to_string(path()).expect("docs/accuracy.md");
    let mut lines: Vec<String> = page.lines().map(String::from).collect();
    let last = lines.iter().rposition(|l| l.starts_with('|')).expect("a table");
    match lines.iter().position(|l| Row::from_text(l).is_some_and(|r| r.name == row.name)) {
        Some(at) => lines[at] = row.to_text(),
        None => lines.insert(last + 1, row.to_text()),
    }
    std::fs::write(path(), lines.join("\n") + "\n").expect("to write");
}
