//! Tables of numbers as comma-separated text (RFC 4180).

use std::io;

use csv::StringRecord;

use crate::array::{Array, Element};
use crate::problem::{Problem, Room};

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

/// How a table is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The first line names the columns.
    pub header: bool,
    pub delimiter: u8,
}

/// What a table holds: columns under their names, or, without a header, a matrix.
#[derive(Clone, PartialEq, Debug)]
pub enum Table {
    Columns(Vec<(String, Array)>),
    Matrix(Array),
}

/// Reads a table of numbers. A column is `i32` where all its numbers are whole and fit, `bool` where it says `true` and
/// `false`, else `f32`; a matrix is `f32`.
pub fn read(bytes: &[u8], layout: Layout, room: &mut Room) -> Result<Table, Problem> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new();
    let reader = reader.has_headers(false).flexible(true).delimiter(layout.delimiter);
    let mut reader = reader.from_reader(bytes);
    let mut line = StringRecord::new();
    let mut next = |line: &mut StringRecord| {
        reader.read_record(line).map_err(|e| match e.position() {
            Some(p) => Problem::malformed(format!("line {}: the text is not UTF-8", p.line())),
            None => Problem::malformed(e.to_string()),
        })
    };
    let names: Option<Vec<String>> = match layout.header && next(&mut line)? {
        false => None,
        true => Some(names(&line)?),
    };
    let mut columns: Vec<Column> = Vec::new();
    let mut rows = 0;
    while next(&mut line)? {
        if rows == 0 {
            columns.resize_with(names.as_ref().map_or(line.len(), Vec::len), Column::default);
        }
        if line.len() != columns.len() {
            let wanted = if names.is_some() { "the header" } else { "the first line" };
            let (n, m) = (line.len(), columns.len());
            let text = format!("line {} has {}, and {wanted} has {m}", at(&line, bytes), counted(n));
            return Err(Problem::malformed(text));
        }
        for (k, (cell, column)) in line.iter().zip(&mut columns).enumerate() {
            let name =
                || names.as_ref().map_or_else(|| format!("column {}", k + 1), |n| format!("the column `{}`", n[k]));
            column.push(cell.trim()).map_err(|what| {
                let e = Problem::malformed(format!("line {}: {} {what}", at(&line, bytes), name()));
                e.help(match (cell.contains([';', '\t']), names.is_none() && rows == 0) {
                    (true, _) => "columns are told apart by commas, in `.tsv` files by tabs",
                    (false, true) => "`header: false` is for tables without names: leave it out",
                    (false, false) => "a table holds numbers; a missing one is `nan`",
                })
            })?;
        }
        rows += 1;
    }
    if rows == 0 {
        let what = if layout.header { "there is no line behind the header" } else { "the file is empty" };
        return Err(Problem::malformed(what));
    }
    let width = columns.len();
    match names {
        Some(names) => {
            for _ in 0..width {
                room.take(&[rows], 4)?;
            }
            Ok(Table::Columns(names.into_iter().zip(columns.into_iter().map(Column::array)).collect()))
        }
        None => {
            room.take(&[rows, width], 4)?;
            let mut bytes = Vec::with_capacity(rows * width * 4);
            for row in 0..rows {
                columns.iter().for_each(|c| bytes.extend(c.numbers[row].to_ne_bytes()));
            }
            Ok(Table::Matrix(Array { element: Element::F32, shape: vec![rows, width], bytes }))
        }
    }
}

fn counted(columns: usize) -> String {
    if columns == 1 { "1 column".to_string() } else { format!("{columns} columns") }
}

/// The number of a line: empty ones in front of it were passed over.
fn at(line: &StringRecord, text: &[u8]) -> u64 {
    let Some(position) = line.position() else { return 0 };
    let rest = text.get(position.byte() as usize..).unwrap_or(&[]);
    let empty = rest.iter().take_while(|b| matches!(b, b'\r' | b'\n')).filter(|b| **b == b'\n').count();
    position.line() + empty as u64
}

fn names(line: &StringRecord) -> Result<Vec<String>, Problem> {
    if line.iter().all(|cell| cell.trim().parse::<f64>().is_ok()) {
        let e = Problem::malformed("the first line is numbers, not the names of the columns");
        return Err(e.help("`header: false` if there are no names"));
    }
    // Spreadsheets leave the column of row numbers without a name.
    let name = |(k, cell): (usize, &str)| match cell.trim() {
        "" => format!("column_{}", k + 1),
        name => name.to_string(),
    };
    Ok(line.iter().enumerate().map(name).collect())
}

/// A column so far.
#[derive(Default)]
struct Column {
    numbers: Vec<f32>,
    /// The same as whole numbers, while all are.
    whole: Vec<i32>,
    truths: usize,
}

impl Column {
    fn push(&mut self, cell: &str) -> Result<(), String> {
        let truth = match cell {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        };
        if let Some(truth) = truth
            && self.truths == self.numbers.len()
        {
            self.truths += 1;
            self.numbers.push(truth.into());
            return Ok(());
        }
        let number = match cell.parse::<f32>() {
            Ok(number) if self.truths == 0 => number,
            _ if cell.is_empty() => return Err("is empty".to_string()),
            _ => {
                let short: String = cell.chars().take(24).collect();
                return Err(format!("holds {short:?}"));
            }
        };
        if self.whole.len() == self.numbers.len()
            && let Ok(whole) = cell.parse::<i32>()
        {
            self.whole.push(whole);
        }
        self.numbers.push(number);
        Ok(())
    }

    fn array(self) -> Array {
        let shape = vec![self.numbers.len()];
        let numbers = self.numbers.iter();
        if self.truths > 0 {
            return Array { element: Element::Bool, shape, bytes: numbers.map(|x| u8::from(*x != 0.0)).collect() };
        }
        if self.whole.len() == self.numbers.len() {
            let bytes = self.whole.iter().flat_map(|x| x.to_ne_bytes()).collect();
            return Array { element: Element::I32, shape, bytes };
        }
        Array { element: Element::F32, shape, bytes: numbers.flat_map(|x| x.to_ne_bytes()).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: Layout = Layout { header: true, delimiter: b',' };
    const PLAIN: Layout = Layout { header: false, ..NAMED };

    fn columns(text: &str) -> Vec<(String, Element, Vec<f64>)> {
        match read(text.as_bytes(), NAMED, &mut Room(1 << 20)).expect("read") {
            Table::Columns(c) => c.into_iter().map(|(n, a)| (n, a.element, a.numbers())).collect(),
            Table::Matrix(_) => panic!("a matrix"),
        }
    }

    fn problem(text: &str, layout: Layout) -> String {
        read(text.as_bytes(), layout, &mut Room(1 << 20)).expect_err("a problem").message
    }

    #[test]
    fn columns_have_types() {
        let text = "\u{feff}a, b ,\"c d\",,e\n1,2.0,true,7,-3000000000\n\n-2,nan,False,8,1e3\n";
        let read = columns(text);
        let types: Vec<(&str, Element)> = read.iter().map(|(n, e, _)| (n.as_str(), *e)).collect();
        let expected = [
            ("a", Element::I32),
            ("b", Element::F32),
            ("c d", Element::Bool),
            ("column_4", Element::I32),
            ("e", Element::F32),
        ];
        assert_eq!(types, expected);
        assert_eq!((&read[0].2, &read[4].2), (&vec![1.0, -2.0], &vec![-3e9, 1e3]));
        assert!(read[1].2[1].is_nan());
    }

    #[test]
    fn matrices_have_no_header() {
        let tabs = Layout { delimiter: b'\t', ..PLAIN };
        let read = read(b"1\t2\t3\r\n4\t5\t6\r\n", tabs, &mut Room(1 << 20)).expect("read");
        let Table::Matrix(m) = read else { panic!("columns") };
        assert_eq!((m.shape.clone(), m.numbers()), (vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    }

    #[test]
    fn what_is_written_is_read() {
        let f = |v: &[f32]| v.iter().flat_map(|x| x.to_ne_bytes()).collect();
        let a = Array { element: Element::F32, shape: vec![3], bytes: f(&[0.1, -1.0, 1e-30]) };
        let b = Array { element: Element::Bool, shape: vec![3], bytes: vec![1, 0, 1] };
        let both = vec![("a, b".to_string(), a), ("b".to_string(), b)];
        let text = write_columns(&both).expect("written");
        assert_eq!(read(&text, NAMED, &mut Room(1 << 20)), Ok(Table::Columns(both)));
        let m = Array { element: Element::F32, shape: vec![2, 2], bytes: f(&[1.0, 2.5, f32::INFINITY, -0.0]) };
        let text = write_matrix(&m).expect("written");
        assert_eq!(read(&text, PLAIN, &mut Room(1 << 20)), Ok(Table::Matrix(m)));
    }

    #[test]
    fn problems_have_lines() {
        assert_eq!(problem("a,b\n1,2\n3\n", NAMED), "line 3 has 1 column, and the header has 2");
        assert_eq!(problem("1,2\n\n3,4,5\n", PLAIN), "line 3 has 3 columns, and the first line has 2");
        assert_eq!(problem("a,b\n1,red\n", NAMED), "line 2: the column `b` holds \"red\"");
        assert_eq!(problem("a,b\n1,\n", NAMED), "line 2: the column `b` is empty");
        assert_eq!(problem("1,2\n3,4\n", NAMED), "the first line is numbers, not the names of the columns");
        assert_eq!(problem("a,b\n", NAMED), "there is no line behind the header");
        assert_eq!(problem("", PLAIN), "the file is empty");
        assert_eq!(problem("a\n1\ntrue\n", NAMED), "line 3: the column `a` holds \"true\"");
    }
}
