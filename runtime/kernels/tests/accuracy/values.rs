//! Functions of `f64` against values from mpmath: values.bin, which values.py writes, or the file that `VALUES` names.

use crate::function::{Function, scale};
use crate::whole::Worst;

/// The points of one function.
pub struct Section {
    name: String,
    points: Vec<Point>,
}

struct Point {
    operands: Vec<f64>,
    /// The nearest float, and how many units in its last place are missing.
    y: f64,
    rest: f64,
}

pub fn recorded() -> Vec<Section> {
    let bytes = match std::env::var_os("VALUES") {
        Some(path) => std::fs::read(path).expect("the file of values"),
        None => include_bytes!("values.bin").to_vec(),
    };
    let mut at = 0;
    let mut take = |n: usize| {
        at += n;
        bytes.get(at - n..at)
    };
    let mut sections = Vec::new();
    while let Some(name) = take(16) {
        let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_string();
        let mut field = |n: usize| take(n).expect("a whole record");
        let mut count = || u32::from_le_bytes(field(4).try_into().expect("four bytes")) as usize;
        let (arity, count) = (count(), count());
        let mut point = || {
            let mut float = || f64::from_le_bytes(field(8).try_into().expect("eight bytes"));
            let operands = (0..arity).map(|_| float()).collect();
            let y = float();
            let rest = i16::from_le_bytes(field(2).try_into().expect("two bytes")) as f64 / 16384.0;
            Point { operands, y, rest }
        };
        sections.push(Section { name, points: (0..count).map(|_| point()).collect() });
    }
    sections
}

pub fn worst(f: Function, sections: &[Section]) -> Worst {
    let section = sections.iter().find(|s| s.name == f.name()).unwrap_or_else(|| panic!("no values of {}", f.name()));
    let mut worst = Worst { ulps: 0.0, at: "nowhere".into() };
    for p in &section.points {
        let got = f.of_f64(&p.operands);
        let larger = match f {
            Function::One(one) => scale(one, p.operands[0]),
            Function::Two(_) | Function::Root | Function::InverseRoot => 0.0,
        };
        let missing = p.rest * unit(p.y);
        let ulps = ((got - p.y) - missing).abs() / unit(larger.max(p.y.abs()));
        // NaN where there is a value is as wrong as can be.
        let ulps = if ulps.is_nan() { f64::INFINITY } else { ulps };
        if ulps > worst.ulps {
            let at: Vec<String> = p.operands.iter().map(|x| format!("{x:e}")).collect();
            worst = Worst { ulps, at: at.join(" and ") };
        }
    }
    worst
}

/// The distance of neighbours among the `f64` around a value.
fn unit(y: f64) -> f64 {
    let exponent = (y.abs().to_bits() >> 52).max(1);
    // 2^-52 of a power of two below 2^-970 is subnormal: its bit counts up from the least.
    match exponent > 52 {
        true => f64::from_bits((exponent - 52) << 52),
        false => f64::from_bits(1 << (exponent - 1)),
    }
}
