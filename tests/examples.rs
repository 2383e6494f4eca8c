//! What the examples promise: every one is run as a user runs it, with less to do where that takes long, and its claims are
//! checked in what it prints, logs and saves. Their `test` blocks run in `tests/programs.rs`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// An example that has run.
struct Run {
    folder: PathBuf,
    /// What it printed: `name = value`.
    results: BTreeMap<String, Vec<f64>>,
}

/// A test for each example, and the list of those that have one.
macro_rules! examples {
    ($($name:ident $settings:literal $check:expr;)*) => {
        const CHECKED: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() {
            let check: fn(&Run) = $check;
            check(&Run::of(stringify!($name), $settings));
        })*
    };
}

examples! {
    cartpole_ppo "--seeds 2 --set ppo.total_steps=100000" |run| {
        // 50 of its 195 updates, with the step size falling to 0 in them.
        run.at_least("return", run.last("return"), 150.0);
    };
    cartpole_random "--envs 256" |run| {
        // Random pushes keep the pole up for 22 steps.
        let lengths = run.logged("length");
        let late = &lengths[lengths.len() / 2..];
        near("mean length", mean(late), 22.0, 2.0);
    };
    digits_mlp "" |run| {
        run.at_least("right", run.number("right"), 0.97);
        run.picture("digits.png", b"\x89PNG");
    };
    es_cartpole "" |run| run.at_least("mean return", run.number("mean_return"), 475.0);
    gaussian_process "" |run| {
        run.picture("fit.svg", b"<svg");
        let [data, drawn] = [run.table("data.csv"), run.table("posterior.csv")];
        let [length, height, noise] = ["length", "height", "noise"].map(|name| run.number(name));
        let k = |a: f64, b: f64| height * height * (-0.5 * ((a - b) / length).powi(2)).exp();
        let (x, y) = (&data["x"], &data["y"]);
        let n = x.len();
        let gram: Vec<Vec<f64>> = (0..n)
            .map(|i| (0..n).map(|j| k(x[i], x[j]) + if i == j { noise * noise } else { 0.0 }).collect())
            .collect();
        let alpha = solve(gram.clone(), y);
        assert_eq!(drawn["x"].len(), 200);
        for ((&place, &mean), &deviation) in drawn["x"].iter().zip(&drawn["mean"]).zip(&drawn["deviation"]) {
            let across: Vec<f64> = x.iter().map(|&b| k(place, b)).collect();
            near("the mean", mean, dot(&across, &alpha), 2e-3);
            let variance = k(place, place) - dot(&across, &solve(gram.clone(), &across));
            near("the variance", deviation * deviation, variance, 2e-3);
        }
        // What it was fitted for: the likelihood grew, and the noise is what the data have.
        let likelihood = run.logged("log_likelihood");
        assert!(likelihood[likelihood.len() - 1] > likelihood[0] + 5.0, "{likelihood:?}");
        near("noise", noise, 0.1, 0.05);
        run.at_least("truth in the band", run.number("truth_in_band"), 0.8);
    };
    grid_world "" |run| {
        let book = [0.812, 0.868, 0.918, 1.0, 0.762, 0.0, 0.660, -1.0, 0.705, 0.655, 0.611, 0.388];
        all_near("planned", run.numbers("planned"), &book, 6e-4);
        all_near("learned", run.numbers("learned"), &book, 0.02);
        assert_eq!(run.numbers("same_way"), [1.0]);
    };
    kalman "" |run| {
        let [seen, filter, smoother] = ["sightings", "filter", "smoother"].map(|name| run.number(name));
        // The deviation of a sighting is 0.5 m in each of two directions.
        near("sightings", seen, 0.5 * 2f64.sqrt(), 0.1);
        assert!(filter < 0.6 * seen && smoother < 0.8 * filter, "{seen} {filter} {smoother}");
        run.picture("path.svg", b"<svg");
    };
    linear_regression "" |run| {
        near("slope", run.number("slope"), 3.0, 0.05);
        near("offset", run.number("offset"), -1.0, 0.05);
        // What is left is the noise.
        near("loss", run.last("loss"), 0.01, 0.003);
        run.picture("fit.svg", b"<svg");
    };
    lstm "--length 30 --steps 1000" |run| run.at_most("error", run.number("error"), 0.01);
    maml_sinusoid "--steps 5000" |run| {
        let losses = run.numbers("losses");
        assert_eq!(losses.len(), 11);
        run.at_least("loss before", run.number("before"), 2.0);
        run.at_most("loss after five steps", run.number("after_five_steps"), 0.1);
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
        run.picture("wave.svg", b"<svg");
    };
    mandelbrot "--frames 3" |run| {
        near("area", run.number("area"), mandelbrot_area(180, 240, 200), 2e-3);
        near("area", run.number("area"), 1.50659, 0.03);
        run.picture("mandelbrot.gif", b"GIF89a");
    };
    n_body "" |run| {
        near("energy", run.number("energy"), -1.287142, 1e-6);
        run.at_most("energy's error", run.number("energy_error"), 1e-6);
        run.at_most("way from the start", run.number("return_error"), 2e-6);
        run.picture("orbit.svg", b"<svg");
    };
    regret_matching "" |run| {
        let equilibria: [(&str, &[f64], &[f64], f64); 3] = [
            ("rock_paper_scissors", &[1.0 / 3.0; 3], &[1.0 / 3.0; 3], 0.0),
            ("rock_wins_double", &[0.25, 0.5, 0.25], &[0.25, 0.5, 0.25], 0.0),
            ("two_by_three", &[0.375, 0.625], &[0.5, 0.5, 0.0], 0.5),
        ];
        for (game, row, column, value) in equilibria {
            all_near(game, run.numbers(&format!("{game}.row")), row, 0.02);
            all_near(game, run.numbers(&format!("{game}.column")), column, 0.02);
            near(game, run.number(&format!("{game}.value")), value, 0.01);
            run.at_most(game, run.number(&format!("{game}.exploitability")), 0.02);
        }
    };
    transformer_reverse "" |run| {
        run.at_least("letters right", run.number("letters_right"), 0.999);
        let mut word = run.numbers("word").to_vec();
        word.reverse();
        assert_eq!(run.numbers("written"), word);
    };
}

#[test]
fn every_example_is_checked_and_told_of() {
    let table = std::fs::read_to_string(root().join("examples/README.md")).expect("examples/README.md");
    let mut found = Vec::new();
    for path in scripts() {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a script");
        let head: Vec<&str> = text.lines().take_while(|line| line.starts_with("///")).collect();
        assert!(!head.is_empty(), "{name} does not begin by saying what it shows");
        let call = format!("whorl run examples/{name}.whorl");
        assert!(head.iter().any(|line| line.contains(&call)), "{name} does not say `{call}`");
        assert!(table.contains(&format!("[{name}]({name}.whorl)")), "examples/README.md has no row for {name}");
        found.push(name);
    }
    assert_eq!(found, CHECKED, "tests/examples.rs says what each example promises");
}

#[test]
fn every_example_checks_without_a_warning_and_is_formatted() {
    for path in scripts() {
        let path = path.display().to_string();
        let said = whorl(&["check", &path]);
        let err = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success() && err.is_empty(), "whorl check {path}\n{err}");
        let said = whorl(&["fmt", "--check", &path]);
        assert!(said.status.success(), "whorl fmt {path} would change it");
    }
}

impl Run {
    /// Runs `examples/NAME.whorl` in a folder of its own.
    #[track_caller]
    fn of(name: &str, settings: &str) -> Run {
        let folder = std::env::temp_dir().join(format!("whorl-example-{name}-{}", std::process::id()));
        let script = root().join(format!("examples/{name}.whorl")).display().to_string();
        let out = folder.display().to_string();
        let mut line = vec!["run", &script, "--out", &out];
        line.extend(settings.split_whitespace());
        let said = whorl(&line);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (printed, err) = (text(&said.stdout), text(&said.stderr));
        assert!(said.status.success() && !err.contains("warning"), "whorl {}\n{printed}{err}", line.join(" "));
        let results = printed.lines().filter_map(result).collect();
        Run { folder, results }
    }

    #[track_caller]
    fn numbers(&self, name: &str) -> &[f64] {
        self.results.get(name).unwrap_or_else(|| panic!("no result `{name}` in {:?}", self.results))
    }

    #[track_caller]
    fn number(&self, name: &str) -> f64 {
        match self.numbers(name) {
            [x] => *x,
            several => panic!("`{name}` is {several:?}"),
        }
    }

    /// All that was logged under a name, the mean over runs.
    #[track_caller]
    fn logged(&self, name: &str) -> Vec<f64> {
        let text = self.file("metrics.jsonl");
        let records = String::from_utf8(text).expect("text");
        let value = |line: &str| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            let values = record["values"].as_array().unwrap_or_else(|| panic!("{line}: no values"));
            let values: Vec<f64> = values.iter().filter_map(serde_json::Value::as_f64).collect();
            (record["name"] == name && !values.is_empty()).then(|| mean(&values))
        };
        let values: Vec<f64> = records.lines().filter_map(value).collect();
        assert!(!values.is_empty(), "nothing was logged as `{name}`");
        values
    }

    #[track_caller]
    fn last(&self, name: &str) -> f64 {
        *self.logged(name).last().expect("a value")
    }

    #[track_caller]
    fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// The columns of a CSV file.
    #[track_caller]
    fn table(&self, name: &str) -> BTreeMap<String, Vec<f64>> {
        let text = String::from_utf8(self.file(name)).expect("text");
        let mut lines = text.lines();
        let names: Vec<&str> = lines.next().expect("names").split(',').collect();
        let rows: Vec<Vec<f64>> =
            lines.map(|line| line.split(',').map(|x| x.parse().expect("a number")).collect()).collect();
        names.iter().enumerate().map(|(k, n)| (n.to_string(), rows.iter().map(|row| row[k]).collect())).collect()
    }

    /// A picture of this kind was saved, and it is not empty.
    #[track_caller]
    fn picture(&self, name: &str, begin: &[u8]) {
        let bytes = self.file(name);
        assert!(bytes.starts_with(begin) && bytes.len() > 2000, "{name} is {} bytes", bytes.len());
    }

    #[track_caller]
    fn at_least(&self, what: &str, value: f64, least: f64) {
        assert!(value >= least, "{what} is {value}, not {least} or more");
    }

    #[track_caller]
    fn at_most(&self, what: &str, value: f64, most: f64) {
        assert!(value <= most, "{what} is {value}, not {most} or less");
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // What is left behind in the temporary folder does no harm.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn scripts() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("examples")).expect("examples");
    let mut found: Vec<PathBuf> = entries.map(|e| e.expect("a file").path()).collect();
    found.retain(|p| p.extension().is_some_and(|e| e == "whorl"));
    found.sort();
    found
}

fn whorl(line: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_whorl")).env("WHORL_CACHE", "off").args(line).output().expect("the binary runs")
}

/// `name = 1.5`, `name = [1, 2]` or `name = true`.
fn result(line: &str) -> Option<(String, Vec<f64>)> {
    let (name, value) = line.split_once(" = ")?;
    let number = |text: &str| match text.trim_matches(['[', ']', ' ']) {
        "true" => 1.0,
        "false" => 0.0,
        number => number.parse().unwrap_or_else(|e| panic!("{line}: {e}")),
    };
    Some((name.to_string(), value.split(',').map(number).collect()))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The part of the plane that stays small for so many steps, on a grid of [-2.5, 1.5] × [-1.5, 1.5].
fn mandelbrot_area(height: usize, width: usize, steps: usize) -> f64 {
    let side = 3.0 / height as f64;
    let along = |k: usize, n: usize| side * (k as f64 - 0.5 * (n - 1) as f64);
    let stays = |k: usize| {
        let (a, b) = (along(k % width, width) - 0.5, along(k / width, height));
        let (mut x, mut y) = (0.0, 0.0);
        (0..steps).all(|_| {
            (x, y) = (x * x - y * y + a, 2.0 * x * y + b);
            x * x + y * y < 256.0
        })
    };
    side * side * (0..height * width).filter(|&k| stays(k)).count() as f64
}

/// x with a x = b, by elimination with partial pivoting.
fn solve(mut a: Vec<Vec<f64>>, b: &[f64]) -> Vec<f64> {
    let n = b.len();
    for (row, &b) in a.iter_mut().zip(b) {
        row.push(b);
    }
    for j in 0..n {
        let pivot = (j..n).max_by(|&p, &q| a[p][j].abs().total_cmp(&a[q][j].abs())).expect("a row");
        a.swap(j, pivot);
        let row = a[j].clone();
        for (i, other) in a.iter_mut().enumerate().filter(|(i, _)| *i != j) {
            let by = other[j] / row[j];
            other.iter_mut().zip(&row).for_each(|(x, y)| *x -= by * y);
            assert!(by.is_finite(), "row {i} of a singular matrix");
        }
    }
    a.iter().enumerate().map(|(j, row)| row[n] / row[j]).collect()
}

#[track_caller]
fn near(what: &str, value: f64, expected: f64, far: f64) {
    assert!((value - expected).abs() <= far, "{what} is {value}, not {expected} ± {far}");
}

#[track_caller]
fn all_near(what: &str, values: &[f64], expected: &[f64], far: f64) {
    assert_eq!(values.len(), expected.len(), "{what} is {values:?}");
    values.iter().zip(expected).for_each(|(v, e)| near(what, *v, *e, far));
}
