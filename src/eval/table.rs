//! What is told of the episodes: a table, or a line of JSON an agent.

use serde_json::{Map, Value, json};
use whorl_core::ir::DType;
use whorl_host::metrics::spread;

use crate::eval::play::Episodes;

/// Told in the other columns, or with the pictures.
const RETURN: &str = "episode_return";
const FPS: &str = "fps";

/// A line an agent, and one of all.
pub fn table(chosen: &[usize], played: &[Episodes], runs: Option<usize>) -> String {
    let others: Vec<&(String, DType, Vec<f64>)> =
        played.first().into_iter().flat_map(|p| &p.0).filter(|(n, ..)| n != RETURN && n != FPS).collect();
    let mut rows = vec![["run", "return", "from", "to"].map(String::from).to_vec()];
    rows[0].extend(others.iter().map(|(n, ..)| n.clone()));
    let row = |name: String, of: &[&Episodes]| {
        let all =
            |name: &str| -> Vec<f64> { of.iter().flat_map(|p| p.numbers(name).unwrap_or_default()).copied().collect() };
        let returns = all(RETURN);
        let mut row = vec![name, mean_and_spread(&returns)];
        row.push(number(returns.iter().copied().fold(f64::INFINITY, f64::min)));
        row.push(number(returns.iter().copied().fold(f64::NEG_INFINITY, f64::max)));
        for (name, dtype, _) in &others {
            let values = all(name);
            row.push(match dtype {
                DType::Bool => format!("{} of {}", values.iter().filter(|v| **v != 0.0).count(), values.len()),
                DType::F32 | DType::F64 | DType::F16 | DType::BF16 | DType::I32 | DType::U32 | DType::U8 => {
                    mean_and_spread(&values)
                }
            });
        }
        row
    };
    for (k, episodes) in chosen.iter().zip(played) {
        rows.push(row(k.to_string(), &[episodes]));
    }
    if played.len() > 1 {
        rows.push(row("all".to_string(), &played.iter().collect::<Vec<_>>()));
    }
    if runs.is_none() {
        rows.iter_mut().for_each(|r| drop(r.remove(0)));
    }
    aligned(&rows)
}

/// Columns to the right, two spaces apart.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |c: usize| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            text += &format!("  {}{cell}", " ".repeat(width - cell.chars().count()));
        }
        text += "\n";
    }
    text
}

fn mean_and_spread(values: &[f64]) -> String {
    let known: Vec<Option<f64>> = values.iter().map(|v| Some(*v)).collect();
    match spread(&known) {
        Some((mean, deviation)) if values.len() > 1 => format!("{} ± {}", number(mean), number(deviation)),
        Some((mean, _)) => number(mean),
        None => "-".to_string(),
    }
}

/// Whole numbers as they are, others with as many digits as tell them apart.
fn number(x: f64) -> String {
    match x {
        x if x.fract() == 0.0 && x.abs() < 1e9 => format!("{x}"),
        x if x.abs() >= 10.0 => format!("{x:.1}"),
        x => format!("{x:.3}"),
    }
}

/// A line an agent, with every episode, and one of all.
pub fn json(chosen: &[usize], played: &[Episodes], numbers: &[u32]) {
    for (k, episodes) in chosen.iter().zip(played) {
        let mut fields = Map::new();
        fields.insert("event".into(), "agent".into());
        fields.insert("run".into(), json!(k));
        fields.insert("episodes".into(), json!(numbers));
        for (name, dtype, values) in &episodes.0 {
            let value = |v: &f64| match dtype {
                DType::Bool => Value::Bool(*v != 0.0),
                DType::I32 | DType::U32 | DType::U8 => json!(*v as i64),
                DType::F32 | DType::F64 | DType::F16 | DType::BF16 => json!(v),
            };
            fields.insert(name.clone(), values.iter().map(value).collect());
        }
        say!("{}", Value::Object(fields));
    }
    let returns: Vec<Option<f64>> = played.iter().flat_map(|p| p.returns()).map(|v| Some(*v)).collect();
    let (mean, deviation) = spread(&returns).unwrap_or((f64::NAN, f64::NAN));
    say!("{}", json!({ "event": "done", "episodes": returns.len(), "mean_return": mean, "deviation": deviation }));
}
