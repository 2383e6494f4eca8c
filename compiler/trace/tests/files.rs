//! What is saved and what is loaded, as the tracer sees it.

mod common;

use std::sync::Arc;

use whorl_core::ArrayData;
use whorl_source::SourceMap;
use whorl_trace::{Curve, Data, DataProblem, DataRequest, Loader, Mark, Save, SaveFormat, Script};

fn saves(text: &str) -> Vec<Save> {
    let traced = common::trace(text);
    common::check(&traced);
    traced.saves
}

/// The one plot of a script.
fn plot(value: &str) -> Vec<Curve> {
    let text = format!("fn main() {{\n  let xs = linspace(0.0, 1.0, 5)\n  save(\"a.svg\", {value})\n}}\n");
    match saves(&text).swap_remove(0).format {
        SaveFormat::Svg(plot) => plot.curves,
        other => panic!("{other:?}"),
    }
}

fn marks(value: &str) -> Vec<Mark> {
    plot(value).into_iter().map(|c| c.mark).collect()
}

#[test]
fn saves_are_results_behind_the_results() {
    let text = "fn note(x) { save(\"b.npz\", { x, t: (1, [true, false]) }) }\n\
                fn main() {\n  let x = ones(3)\n  save(\"a.npy\", 2.0 * x)\n  note(3.0 * x)\n  (x, 7)\n}\n";
    let traced = common::trace(text);
    common::check(&traced);
    let outcome = whorl_core::interp::run(&traced.program, &[]).expect("it runs");
    assert_eq!((traced.results.len(), outcome.results.len()), (2, 6));
    let of = |save: &Save| {
        let arrays = save.arrays.iter().enumerate();
        arrays.map(|(k, l)| (l.path.clone(), outcome.results[save.first + k].to_f64())).collect::<Vec<_>>()
    };
    let named = |n: &str, v: &[f64]| (n.to_string(), v.to_vec());
    assert_eq!(of(&traced.saves[0]), [named("value", &[2.0; 3])]);
    assert_eq!(of(&traced.saves[1]), [named("x", &[3.0; 3]), named("t.0", &[1.0]), named("t.1", &[1.0, 0.0])]);
    assert!(traced.warnings.is_empty());
}

#[test]
fn a_branch_that_is_known_is_none() {
    let text = "size n = 3\nfn main() {\n  if n > 2 { save(\"a.npy\", zeros(n)) }\n  1.0\n}\n";
    assert_eq!(saves(text).len(), 1);
}

#[test]
fn tests_save_nothing() {
    let script = common::load("test \"t\" { save(\"a.npy\", zeros(3)) }\n");
    let e = common::shown(&script, script.trace_test(0)).expect_err("no error");
    assert!(e.contains("error[E0802]: `save` belongs to `main`"), "{e}");
}

#[test]
fn plots_are_read_off_records() {
    assert_eq!(marks("xs"), [Mark::Line { x: None, y: 0 }]);
    assert_eq!(marks("{ x: xs, a: 2.0 * xs, b: 3 }"), [Mark::Line { x: Some(0), y: 1 }, Mark::Level { y: 2 }]);
    assert_eq!(
        marks("{ x: xs, data: { x: zeros(3), y: ones(3) }, spread: { low: xs, high: xs }, same: { y: xs } }"),
        [
            Mark::Points { x: Some(1), y: 2 },
            Mark::Band { x: Some(0), low: 3, high: 4 },
            Mark::Points { x: Some(0), y: 5 },
        ]
    );
    assert_eq!(marks("{ walks: ones(4, 9), path: { x: zeros(2, 7), line: zeros(2, 7) } }").len(), 2);
    // An array of records is a record of arrays.
    let rows = plot("for i in 0..9 { { x: i, height: f32(i), data: { y: 1.0 } } }");
    let names: Vec<(&str, Mark)> = rows.iter().map(|c| (c.name.as_str(), c.mark)).collect();
    assert_eq!(names, [("height", Mark::Line { x: Some(0), y: 1 }), ("data", Mark::Points { x: Some(0), y: 2 })]);
}

#[test]
fn formats_take_what_fits() {
    let format = |call: &str| saves(&format!("fn main() {{\n  {call}\n}}\n")).swap_remove(0).format;
    assert_eq!(format("save(\"a.PNG\", zeros(4, 5, 3), scale: 8)"), SaveFormat::Png { scale: 8 });
    assert_eq!(
        format("save(\"a.gif\", for i in 0..3 { for j in 0..4 { for k in 0..5 { i == j } } }, fps: 12.5)"),
        SaveFormat::Gif { scale: 1, per_second: 12.5 }
    );
    assert_eq!(format("save(\"a.csv\", for i in 0..3 { { i, state: { x: 1.0 } } })"), SaveFormat::Columns);
    assert_eq!(format("save(\"a/b.csv\", ones(3, 4))"), SaveFormat::Matrix);
}

/// Two arrays, the larger of a megabyte.
struct Two;

impl Loader for Two {
    fn load(&mut self, _: &[String], _: Option<&str>) -> Result<(String, String), String> {
        Err("no modules".to_string())
    }

    fn data(&mut self, request: &DataRequest, from: Option<&str>) -> Result<Data, DataProblem> {
        assert_eq!((request.file.as_str(), request.header, from), ("two.npz", true, Some("test.whorl")));
        let large: Vec<f32> = (0..1 << 18).map(|k| k as f32).collect();
        let array = |a: ArrayData| Data::Array(Arc::new(a));
        Ok(Data::Record(vec![
            ("large".to_string(), array(ArrayData::new(&[1 << 10, 1 << 8], &large))),
            ("few".to_string(), array(ArrayData::vector(&[1i32, 2, 3]))),
        ]))
    }
}

#[test]
fn a_data_file_is_in_the_program_once() {
    let text = "data two: { large: f32[n, m], few: i32[k] } = load(\"two.npz\")\n\
                fn row(i) = two.large[i]\n\
                fn main() {\n  let a = for i in 0..k { sum(row(two.few[i])) }\n  let b = scan b = 0.0 for i in 0..n { b + two.large[i, 0] }\n  (a, b, grad(fn(x: f32[m]) = dot(x, row(1)))(zeros(m)))\n}\n";
    let mut map = SourceMap::new();
    let script = Script::load(&mut Two, &mut map, "test.whorl", text, &[])
        .unwrap_or_else(|e| panic!("{}", common::render(&e, &map)));
    let traced = common::shown(&script, script.trace_main()).unwrap_or_else(|e| panic!("{e}"));
    common::check(&traced);
    let shown = whorl_core::print::print(&traced.program);
    assert_eq!(shown.matches("constant [… 262144 elements]").count(), 1, "{shown}");
    let outcome = whorl_core::interp::run(&traced.program, &[]).expect("it runs");
    let row = |i: usize| (0..256).map(|j| (i * 256 + j) as f64).collect::<Vec<_>>();
    assert_eq!(outcome.results[0].to_f64(), [1, 2, 3].map(|i| row(i).iter().sum::<f64>()));
    assert_eq!(outcome.results[2].to_f64(), row(1));
    let files = script.data_files();
    let arrays: Vec<&str> = files[0].arrays.iter().map(|l| l.path.as_str()).collect();
    assert_eq!((files.len(), files[0].name.as_str(), arrays), (1, "two", vec!["large", "few"]));
}
