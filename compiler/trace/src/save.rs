//! What a program leaves in files: `save("fit.svg", { x, mean })`.
//!
//! A save is more results of the program, and what to make of them. It is checked here, where the shapes are known; the host
//! writes the file when the program has run.

use whorl_core::Atom;
use whorl_source::{Diagnostic, Span};

use crate::entry::Leaf;
use crate::tracer::{Tracer, fail};
use crate::value::{Arg, R, Value};

mod picture;
mod plot;
mod table;

pub use plot::{Curve, Mark, Plot};

/// Files that every run leaves in its folder.
const OWN_FILES: [&str; 5] = ["checkpoint.safetensors", "config.toml", "curve.svg", "metrics.jsonl", "source.whorl"];

/// A file that the program leaves.
#[derive(Clone, PartialEq, Debug)]
pub struct Save {
    /// As written: a path inside the run folder, or an absolute one.
    pub file: String,
    pub format: SaveFormat,
    /// The place of its first array among the results of the program; the others follow.
    pub first: usize,
    pub arrays: Vec<Leaf>,
    pub span: Span,
}

/// What the file is to be.
#[derive(Clone, PartialEq, Debug)]
pub enum SaveFormat {
    /// All arrays under their paths.
    Npz,
    Safetensors,
    /// The one array.
    Npy,
    /// Arrays of one length under their paths.
    Columns,
    /// The rows of a matrix.
    Matrix,
    Png {
        scale: usize,
    },
    Gif {
        scale: usize,
        per_second: f64,
    },
    Svg(Plot),
}

/// The formats by the ending of the file's name.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Npz,
    Npy,
    Safetensors,
    Csv,
    Png,
    Gif,
    Svg,
}

const ENDINGS: [(&str, Ending); 7] = [
    ("npz", Ending::Npz),
    ("npy", Ending::Npy),
    ("safetensors", Ending::Safetensors),
    ("csv", Ending::Csv),
    ("png", Ending::Png),
    ("gif", Ending::Gif),
    ("svg", Ending::Svg),
];

/// The saves of a program in the making.
#[derive(Default)]
pub struct Saves {
    pub list: Vec<(Save, Vec<Atom>)>,
    /// Why there can be none, if there can be none, and what to do instead.
    pub forbidden: Option<(&'static str, &'static str)>,
}

/// The options of a call, where they were given.
pub struct Options<'g, 'a> {
    pub fps: Option<&'g Arg<'a>>,
    pub scale: Option<&'g Arg<'a>>,
    pub title: Option<&'g Arg<'a>>,
    pub x_label: Option<&'g Arg<'a>>,
    pub y_label: Option<&'g Arg<'a>>,
}

impl<'a> Tracer<'a> {
    pub fn save(&mut self, path: &Arg<'a>, value: &Arg<'a>, options: &Options<'_, 'a>, span: Span) -> R<()> {
        self.save_belongs_here(span)?;
        let file = self.string(&path.value, path.span)?;
        let ending = self.free_file(&file, path.span)?;
        options_of(ending, options)?;
        if let Some((part, what)) = unstorable(&value.value, "") {
            let e = Diagnostic::error("E0804", format!("{what} cannot be saved"));
            let place = if part.is_empty() { "this is one".to_string() } else { format!("`{part}` is one") };
            return fail(e.at(value.span, place).help("leave it out: save a record of the arrays you want"));
        }
        let v = self.settle(&value.value, value.span)?;
        let mut arrays = Vec::new();
        v.leaf_paths("", &mut arrays);
        if arrays.is_empty() {
            return fail(Diagnostic::error("E0804", "there is nothing to save").at(value.span, ""));
        }
        let format = match ending {
            Ending::Npz => SaveFormat::Npz,
            Ending::Safetensors => SaveFormat::Safetensors,
            Ending::Npy => self.npy(&v, value.span)?,
            Ending::Csv => self.table(&v, value.span)?,
            Ending::Png => self.png(&v, value.span, options)?,
            Ending::Gif => self.gif(&v, value.span, options)?,
            Ending::Svg => {
                let (plot, parts) = self.plot(&v, value.span, options)?;
                arrays = parts;
                SaveFormat::Svg(plot)
            }
        };
        let leaf = |(path, a): &(String, Atom)| {
            let path = if path.is_empty() { "value".to_string() } else { path.clone() };
            Leaf { path, ty: self.b.ty(*a) }
        };
        let save = Save { file: file.to_string(), format, first: 0, arrays: arrays.iter().map(leaf).collect(), span };
        self.effects += 1;
        self.saves.list.push((save, arrays.into_iter().map(|(_, a)| a).collect()));
        Ok(())
    }

    /// A file is written once in a program, after all else.
    fn save_belongs_here(&self, span: Span) -> R<()> {
        if let Some((why, help)) = self.saves.forbidden {
            return fail(Diagnostic::error("E0802", "`save` belongs to `main`").at(span, why).help(help));
        }
        if self.b.depth() <= 1 {
            return Ok(());
        }
        let (inside, help) = match self.loops {
            0 => (
                "this is inside of a branch, or of a function that is differentiated",
                "let it give the value, and save that in `main`",
            ),
            _ => (
                "this is inside of a loop",
                "let the loop give the value (`for` and `yield` make arrays of them), and save that after it",
            ),
        };
        let e = Diagnostic::error("E0801", "a file is saved once, when the program has run").at(span, inside);
        fail(e.help(help))
    }

    /// The ending of a file that nothing else writes.
    fn free_file(&self, file: &str, span: Span) -> R<Ending> {
        let there = "files end in .npz, .npy, .safetensors or .csv (arrays), .png or .gif (pictures), .svg (a plot)";
        let ending = file.rsplit(['/', '\\']).next().and_then(|name| name.rsplit_once('.'));
        let Some((_, ending)) = ending.filter(|(stem, _)| !stem.is_empty()) else {
            let e = Diagnostic::error("E0803", "the ending of the file says how to save, and there is none");
            return fail(e.at(span, "").note(there).help(format!("\"{file}.npz\"")));
        };
        let lower = ending.to_ascii_lowercase();
        let Some((_, found)) = ENDINGS.iter().find(|(e, _)| *e == lower) else {
            let e = Diagnostic::error("E0803", format!("nothing is saved as `.{ending}`")).at(span, "").note(there);
            return fail(match lower.as_str() {
                "jpg" | "jpeg" | "bmp" | "tiff" | "ppm" | "webp" => e.help("`.png`"),
                "mp4" | "avi" | "mov" | "webm" => e.help("`.gif`"),
                "pdf" | "eps" => e.help("`.svg`"),
                "txt" | "tsv" | "dat" => e.help("`.csv`"),
                "pkl" | "pickle" | "pt" | "pth" | "h5" | "hdf5" | "mat" | "ckpt" => e.help("`.npz` or `.safetensors`"),
                _ => e,
            });
        };
        let plain = |f: &str| f.strip_prefix("./").unwrap_or(f).to_string();
        if let Some((other, _)) = self.saves.list.iter().find(|(s, _)| plain(&s.file) == plain(file)) {
            let e = Diagnostic::error("E0805", format!("`{file}` is saved twice")).at(span, "again here");
            return fail(e.at(other.span, "first here").help("choose another name, or save one record of both"));
        }
        if OWN_FILES.contains(&plain(file).as_str()) {
            let e = Diagnostic::error("E0805", format!("the run itself writes `{file}`"));
            return fail(e.at(span, "").help("choose another name"));
        }
        Ok(*found)
    }

    fn npy(&self, v: &Value<'a>, span: Span) -> R<SaveFormat> {
        if matches!(v, Value::Leaf(_)) {
            return Ok(SaveFormat::Npy);
        }
        let e = Diagnostic::error("E0804", "a `.npy` file holds one array");
        fail(e.at(span, format!("this is {}", v.describe(&self.b))).help("`.npz` holds records and tuples of arrays"))
    }

    /// A number known while tracing, within bounds.
    fn option_number(&self, arg: &Arg<'a>, name: &str, low: f64, high: f64) -> R<f64> {
        let x = match arg.value {
            Value::Int(i) => i as f64,
            Value::Float(x) => x,
            _ => f64::NAN,
        };
        if (low..=high).contains(&x) {
            return Ok(x);
        }
        let e = Diagnostic::error("E0806", format!("`{name}` is a number from {low} to {high}, known before the run"));
        fail(e.at(arg.span, format!("this is {}", arg.value.describe(&self.b))))
    }
}

/// Options belong to formats.
fn options_of(ending: Ending, options: &Options) -> R<()> {
    let picture = [Ending::Png, Ending::Gif].as_slice();
    let belonging = [
        ("fps", options.fps, [Ending::Gif].as_slice(), "`.gif` files"),
        ("scale", options.scale, picture, "`.png` and `.gif` files"),
        ("title", options.title, &[Ending::Svg], "`.svg` plots"),
        ("x_label", options.x_label, &[Ending::Svg], "`.svg` plots"),
        ("y_label", options.y_label, &[Ending::Svg], "`.svg` plots"),
    ];
    for (name, given, endings, of) in belonging {
        if let Some(arg) = given.filter(|_| !endings.contains(&ending)) {
            let e = Diagnostic::error("E0806", format!("`{name}` is an option of {of}"));
            return fail(e.at(arg.span, "").help("leave it out"));
        }
    }
    Ok(())
}

/// A part that is no number or array of numbers: its path, and what it is.
fn unstorable(v: &Value, path: &str) -> Option<(String, &'static str)> {
    let below = |part: &str| if path.is_empty() { part.to_string() } else { format!("{path}.{part}") };
    let found = |what| Some((path.to_string(), what));
    match v {
        Value::Key(_) => found("a key"),
        Value::Function(_) => found("a function"),
        Value::Module(_) => found("a module"),
        Value::Str(_) => found("a string"),
        Value::Unit => found("`()`"),
        Value::Tuple(items) => items.iter().enumerate().find_map(|(i, v)| unstorable(v, &below(&i.to_string()))),
        Value::Record(r) => r.fields.iter().find_map(|(n, v)| unstorable(v, &below(n))),
        Value::Array { elem, .. } => unstorable(elem, path),
        Value::Leaf(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::List(_) | Value::Range(..) => None,
    }
}
