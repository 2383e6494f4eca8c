//! How exact the elementary functions are: of `f32`, every one of the 2³² floats, against the same function of `f64`; of `f64`, against
//! values from mpmath. docs/accuracy.md has the largest errors that were found:
//!
//!     UPDATE=1 cargo test --release -p whorl-kernels --test accuracy -- --ignored --nocapture
//!
//! finds them again (some minutes on all cores; `FUNCTION=exp,log` for some) and writes the page. Without `--ignored`, every 4093rd float is
//! tried, and no error may be above the page's nor above the function's bar; `UPDATE=1` adds functions that the page has not.

mod ends;
mod function;
mod page;
mod pairs;
mod values;
mod whole;

use function::Function;
use page::Row;
use whole::{Points, Worst};

/// What is found at these floats.
fn measured(f: Function, points: Points, values: &[values::Section]) -> Row {
    let (narrow, wide) = match f {
        Function::One(one) => (whole::worst(one, points), values::worst(f, values)),
        Function::Root | Function::InverseRoot => (whole::worst_of_roots(f, points), values::worst(f, values)),
        Function::Two(two) => (pairs::worst(two, points), values::worst(f, values)),
    };
    let tried = match points {
        Points::All if matches!(f, Function::Two(_)) => "170 million",
        Points::All => "all",
        Points::Some => "1 in 4093",
    };
    Row { name: f.name().to_string(), tried: tried.to_string(), narrow, wide }
}

fn check(row: &Row, f: Function) -> Result<(), String> {
    let told = |width: &str, w: &Worst, bar: f64| match w.ulps <= bar {
        true => Ok(()),
        false => Err(format!("{} of {width}: {:.3} units at {}, more than {bar}", f.name(), w.ulps, w.at)),
    };
    told("f32", &row.narrow, f.bar())?;
    told("f64", &row.wide, function::BAR_OF_F64)
}

#[test]
fn errors_are_within_the_bars_and_as_the_page_says() {
    let values = values::recorded();
    let page = page::rows();
    let mut failures = Vec::new();
    for f in Function::all() {
        let row = measured(f, Points::Some, &values);
        println!("{}", row.to_text());
        failures.extend(check(&row, f).err());
        match page.iter().find(|r| r.name == row.name) {
            None if std::env::var_os("UPDATE").is_some() => page::update(&row),
            None => failures.push(format!("{} is not on the page", row.name)),
            Some(told) => {
                for (width, found, told) in [("f32", &row.narrow, &told.narrow), ("f64", &row.wide, &told.wide)] {
                    // The page's figures are rounded up.
                    if found.ulps > told.ulps {
                        failures.push(format!(
                            "{} of {width}: {} units at {}, where the page says {}",
                            row.name, found.ulps, found.at, told.ulps
                        ));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Every float.
#[test]
#[ignore = "minutes"]
fn every_float() {
    let only = std::env::var("FUNCTION").ok();
    let wanted = |f: &Function| only.as_ref().is_none_or(|names| names.split(',').any(|n| n == f.name()));
    let values = values::recorded();
    let mut failures = Vec::new();
    for f in Function::all().filter(wanted) {
        let start = std::time::Instant::now();
        let row = measured(f, Points::All, &values);
        println!("{} {:.0?}", row.to_text(), start.elapsed());
        failures.extend(check(&row, f).err());
        if std::env::var_os("UPDATE").is_some() {
            page::update(&row);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
