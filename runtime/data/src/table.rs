//! Tables of numbers as comma-separated text (RFC 4180).

use std::io;

use crate::array::Array;

/// Columns of one length under their names.
pub fn write_columns(columns: &[(String, Array)]) -> io::Result<Vec<u8>> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(columns.iter().map(|(name, _)| name))?;
    let rows = columns.iter().map(|(_, a)| a.size()).min().unwrap_or(0);
    for row in 0..rows {
        out.write_record(columns.iter().map(|(_, a)| a.text(row)))?;
    }
    out.into_inner().map_err(|e| e.into_error())
}

/// The rows of a matrix, without a header.
pub fn write_matrix(a: &Array) -> io::Result<Vec<u8>> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let width = a.shape.get(1).copied().unwrap_or(1);
    for row in 0..a.shape.first().copied().unwrap_or(1) {
        out.write_record((0..width).map(|column| a.text(row * width + column)))?;
    }
    out.into_inner().map_err(|e| e.into_error())
}
