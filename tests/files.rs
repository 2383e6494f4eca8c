//! Files that scripts save and load, from outside: the built binary in a folder of its own.

use std::io::Cursor;
use std::path::PathBuf;
use std::process::{Command, Output};

use whorl_data::{Array, Data, Element, Format};

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn with(name: &str, script: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("whorl-files-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for the test");
        std::fs::write(path.join("script.whorl"), script).expect("a script for the test");
        Folder(path)
    }

    fn whorl(&self, line: &str) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_whorl"));
        command.env("WHORL_CACHE", "off");
        let Output { status, stdout, stderr } =
            command.args(line.split_whitespace()).current_dir(&self.0).output().expect("the binary runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (status.code(), text(stdout), text(stderr))
    }

    #[track_caller]
    fn good(&self, line: &str) -> (String, String) {
        let (code, out, err) = self.whorl(line);
        assert_eq!(code, Some(0), "whorl {line}\n{out}\n{err}");
        (out, err)
    }

    #[track_caller]
    fn bad(&self, line: &str, parts: &[&str]) -> String {
        let (code, out, err) = self.whorl(line);
        assert_eq!(code, Some(1), "whorl {line}\n{out}\n{err}");
        for part in parts {
            assert!(err.contains(part), "whorl {line} does not say `{part}`:\n{err}");
        }
        assert!(!err.contains("panicked"), "{err}");
        err
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// What a file holds that `save` left.
    fn data(&self, name: &str) -> Data {
        let format = Format::of(name).expect("a format");
        whorl_data::read(Cursor::new(self.read(name)), format, true, 1 << 30).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind in the temporary folder does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const SAVING: &str = "
fn main(key: Key) {
  let runs = for k in split(key, 3) {
    let (w, ws) = train scan w = normal(k) for t in 0..20 {
      log(\"w\", w)
      yield w
      w * 0.5
    }
    { w, ws }
  }
  save(\"nets.npz\", runs)
  save(\"curves/ws.svg\", { ws: runs.ws }, title: \"halving\", x_label: \"step\")
  runs.w
}
";

#[test]
fn rows_of_runs_are_saved() {
    let folder = Folder::with("runs", SAVING);
    let (out, err) = folder.good("run script.whorl --out out --threads 2");
    assert!(out.starts_with("result = ["), "{out}");
    assert!(err.contains("saved out/nets.npz") && err.contains("saved out/curves/ws.svg"), "{err}");
    let Data::Record(fields) = folder.data("out/nets.npz") else { panic!("no record") };
    let [(w, Data::Array(last)), (ws, Data::Array(all))] = &fields[..] else { panic!("{fields:?}") };
    assert_eq!((w.as_str(), ws.as_str(), &last.shape[..], &all.shape[..]), ("w", "ws", &[3][..], &[3, 20][..]));
    for run in 0..3 {
        assert_eq!(last.number(run), all.number(run * 20 + 19) * 0.5);
    }
    let svg = String::from_utf8(folder.read("out/curves/ws.svg")).expect("text");
    assert!(svg.matches("<polyline").count() >= 3 && svg.contains("halving") && svg.contains("step"), "{svg}");
    // Three runs stay three runs.
    let (check, _) = folder.good("check script.whorl");
    assert!(check.contains("3 runs") && check.contains("saves nets.npz: w: f32[3], ws: f32[3, 20]"), "{check}");
    // The same bits on one thread.
    folder.good("run script.whorl --out one --threads 1 --quiet");
    assert!(folder.read("out/nets.npz") == folder.read("one/nets.npz"));
    // Readers of events are told, before the end.
    let (events, _) = folder.good("run script.whorl --out json --json");
    let lines: Vec<&str> = events.lines().collect();
    assert!(lines[lines.len() - 1].contains("\"done\"") && lines[lines.len() - 2].contains("\"event\":\"saved\""));
}

#[test]
fn what_is_saved_is_loaded() {
    let save = "
fn main(key: Key) {
  let (k1, k2, k3) = split(key, 3)
  let net = { layers: ({ w: normal(k1, 4, 3) }, { w: f64(normal(k2, 2)) }), on: [true, false], steps: 7 }
  save(\"../net.npz\", net)
  save(\"../net.safetensors\", net)
  save(\"../x.npy\", u8(randint(k3, 5, 6, low: 0, high: 256)))
  save(\"../table.csv\", for i in 0..4 { { i, at: { x: 0.1 * f32(i) } } })
}
";
    let folder = Folder::with("saved", save);
    folder.good("run script.whorl --out out");
    assert_eq!(folder.data("net.npz"), folder.data("net.safetensors"));
    let Data::Array(Array { element: Element::U8, shape, .. }) = folder.data("x.npy") else { panic!("no u8") };
    assert_eq!(shape, [5, 6]);
    let load = "
type Net = { layers: ({ w: f32[4, 3] }, { w: f64[2] }), on: bool[2], steps: i32 }
data a: Net = load(\"net.npz\")
data b: Net = load(\"net.safetensors\")
data x: u8[n, 6] = load(\"x.npy\")
data table: { i: i32[4], at: { x: f32[4] } } = load(\"table.csv\")
test \"they are the same\" {
  assert all(a.layers.0.w == b.layers.0.w) and all(a.layers.1.w == b.layers.1.w)
  assert a.on[0] and not b.on[1] and a.steps + b.steps == 14 and n == 5
  assert all(table.at.x == 0.1 * f32(table.i))
}
";
    std::fs::write(folder.0.join("load.whorl"), load).expect("a script");
    let (out, _) = folder.good("test load.whorl");
    assert!(out.contains("1 passed"), "{out}");
}

#[test]
fn files_that_cannot_be_written_are_told_after_the_others() {
    let script = "
fn main() {
  save(\"no/such/../../first.npy\", ones(2))
  save(\"/no/such/folder/second.npy\", ones(2))
  save(\"third.npy\", ones(2))
}
";
    let folder = Folder::with("unwritable", script);
    let err = folder
        .bad("run script.whorl --out out", &["/no/such/folder/second.npy was not saved: there is no such folder"]);
    assert!(err.contains("saved out/third.npy"), "{err}");
    assert!(folder.0.join("out/third.npy").exists());
}

#[test]
fn a_run_that_fails_saves_nothing() {
    let script = "fn main(key: Key) {\n  let x = uniform(key)\n  assert x > 2.0\n  save(\"x.npy\", x)\n}\n";
    let folder = Folder::with("failed", script);
    folder.bad("run script.whorl --out out", &["x > 2.0"]);
    assert!(!folder.0.join("out/x.npy").exists());
}

#[test]
fn a_file_too_large_is_refused() {
    let folder = Folder::with("large", "data x = load(\"universe.npy\")\n\nfn main() = sum(x)\n");
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000, 1000), }";
    let bytes = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat();
    std::fs::write(folder.0.join("universe.npy"), bytes).expect("a file");
    folder.bad("check script.whorl", &["error[E0810]: `universe.npy` is too large", "3725290.3 GiB", "script.whorl:1"]);
}
