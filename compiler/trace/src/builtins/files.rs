//! What a program leaves in files.

use super::{Builtin, Given};
use crate::save::Options;
use crate::tracer::Tracer;
use crate::value::{R, Value};

pub const TABLE: &[Builtin] = &[Builtin {
    name: "save",
    params: &["path", "value", "fps?", "scale?", "title?", "x_label?", "y_label?"],
    doc: "writes the value to a file in the run folder when the program has run, as the ending of its name says: .npz, .npy, .safetensors, .csv, .png, .gif, .svg",
    run: save,
}];

fn save<'a>(t: &mut Tracer<'a>, g: &Given<'a>) -> R<Value<'a>> {
    let options = Options { fps: g.opt(2), scale: g.opt(3), title: g.opt(4), x_label: g.opt(5), y_label: g.opt(6) };
    t.save(&g.arg(0), &g.arg(1), &options, g.span)?;
    Ok(Value::Unit)
}
