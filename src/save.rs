//! The files that a script saves, written when it has run.

use std::path::{Path, PathBuf};

use whorl_core::ir::ArrayData;
use whorl_data::{Array, image, npy, npz, table, tensors};
use whorl_host::plot;
use whorl_trace::{Curve, Leaf, Mark, Save, SaveFormat};

use crate::engine::element;

/// What became of a file.
pub struct Written {
    pub path: PathBuf,
    pub result: Result<(), String>,
}

/// Writes every file, also where another could not be written. Relative paths are inside `folder`.
pub fn write_all(saves: &[Save], results: &[ArrayData], folder: &Path) -> Vec<Written> {
    let write = |save: &Save| {
        let path = folder.join(&save.file);
        let arrays = arrays(save, results);
        let result = bytes(save, &arrays).and_then(|bytes| put(&path, Path::new(&save.file), &bytes));
        Written { path, result }
    };
    saves.iter().map(write).collect()
}

/// The arrays of a save, among all results of the program.
fn arrays(save: &Save, results: &[ArrayData]) -> Vec<Array> {
    let array = |(k, leaf): (usize, &Leaf)| Array {
        element: element(leaf.ty.dtype),
        shape: leaf.ty.shape.to_vec(),
        bytes: results[save.first + k].bytes.clone(),
    };
    save.arrays.iter().enumerate().map(array).collect()
}

fn bytes(save: &Save, arrays: &[Array]) -> Result<Vec<u8>, String> {
    let named = || -> Vec<(String, Array)> {
        save.arrays.iter().map(|leaf| leaf.path.clone()).zip(arrays.iter().cloned()).collect()
    };
    // Formats of one array have one, as the tracer has seen to.
    let one = || arrays.first().ok_or_else(|| std::io::Error::other("there is no array"));
    let bytes = match &save.format {
        SaveFormat::Npz => npz::write(&named()),
        SaveFormat::Safetensors => tensors::write(&named()),
        SaveFormat::Npy => one().map(npy::write),
        SaveFormat::Columns => table::write_columns(&named()),
        SaveFormat::Matrix => one().and_then(table::write_matrix),
        SaveFormat::Png { scale } => one().and_then(|a| image::png(a, *scale)),
        SaveFormat::Gif { scale, per_second } => one().and_then(|a| image::gif(a, *scale, *per_second)),
        SaveFormat::Svg(p) => plot::svg(&drawing(p, arrays)).map(String::into_bytes).map_err(std::io::Error::other),
    };
    bytes.map_err(|e| e.to_string())
}

/// Writes the file, in a folder that is made if it is inside the run's.
fn put(path: &Path, named: &Path, bytes: &[u8]) -> Result<(), String> {
    if named.is_relative()
        && let Some(parent) = path.parent()
    {
        std::fs::create_dir_all(parent).map_err(|e| format!("{}: {e}", parent.display()))?;
    }
    whorl_host::checkpoint::replace(path, bytes).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => "there is no such folder".to_string(),
        _ => e.to_string(),
    })
}

/// The plot with the numbers of the arrays.
fn drawing(p: &whorl_trace::Plot, arrays: &[Array]) -> plot::Plot {
    let curve = |c: &Curve| plot::Curve { name: c.name.clone(), mark: mark(c.mark, arrays) };
    plot::Plot {
        title: p.title.clone(),
        x_label: p.x_label.clone(),
        y_label: p.y_label.clone(),
        curves: p.curves.iter().map(curve).collect(),
    }
}

fn mark(mark: Mark, arrays: &[Array]) -> plot::Mark {
    let lines = |x: Option<usize>, y: usize| -> Vec<Vec<(f64, f64)>> {
        let across = x.map(|x| rows(&arrays[x]));
        let points = |(k, row): (usize, &Vec<f64>)| {
            let at = |i: usize| across.as_ref().map_or(i as f64, |rows| rows[k % rows.len()][i]);
            row.iter().enumerate().map(|(i, y)| (at(i), *y)).collect()
        };
        rows(&arrays[y]).iter().enumerate().map(points).collect()
    };
    match mark {
        Mark::Line { x, y } => plot::Mark::Lines(lines(x, y)),
        Mark::Points { x, y } => plot::Mark::Points(lines(x, y).concat()),
        Mark::Band { x, low, high } => {
            let mut bands = Vec::new();
            for (low, high) in lines(x, low).into_iter().zip(lines(x, high)) {
                bands.push(low.into_iter().zip(high).map(|((x, low), (_, high))| (x, low, high)).collect());
            }
            plot::Mark::Bands(bands)
        }
        Mark::Level { y } => plot::Mark::Level(arrays[y].number(0)),
    }
}

/// The rows of a matrix, or the one of a vector.
fn rows(a: &Array) -> Vec<Vec<f64>> {
    let width = a.shape.last().copied().unwrap_or(1).max(1);
    a.numbers().chunks(width).map(<[f64]>::to_vec).collect()
}

/// One line on a save, for `whorl check`.
pub fn described(save: &Save) -> String {
    format!("saves {}: {}", save.file, arrays_described(&save.arrays))
}

/// The first few arrays with their types.
pub fn arrays_described(arrays: &[Leaf]) -> String {
    const SHOWN: usize = 6;
    let of = |leaf: &Leaf| {
        let ty = format!("{}{:?}", leaf.ty.dtype.name(), leaf.ty.shape.as_slice());
        let name = if leaf.path.is_empty() { String::new() } else { format!("{}: ", leaf.path) };
        format!("{name}{}", ty.trim_end_matches("[]"))
    };
    let mut parts: Vec<String> = arrays.iter().take(SHOWN).map(of).collect();
    if arrays.len() > SHOWN {
        parts.push(format!("… {} more", arrays.len() - SHOWN));
    }
    parts.join(", ")
}
