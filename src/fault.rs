//! What the user is told of a run that stopped: the failed check with its place in the script.

use serde_json::json;
use whorl_core::check::Fault;
use whorl_core::fault::{Run, diagnostic};
use whorl_cpu::RunError;
use whorl_source::{Diagnostic, SourceMap};

/// The error, the point of a sweep that it happened at, and where the state from before it is, if it was saved.
pub fn told(error: &RunError, run: Option<Run>, point: Option<&str>, saved: Option<String>, map: &SourceMap) -> Told {
    match error {
        RunError::Misuse(what) => {
            let at = point.map_or(String::new(), |p| format!(", at {p}"));
            Told { text: format!("error: {what}{at}\n"), json: json!({ "message": what, "point": point }) }
        }
        RunError::Fault(fault) => {
            let run = run.filter(|_| !fault.maps.is_empty());
            let mut e = diagnostic(fault, run, map);
            if let Some(point) = point {
                e = e.note(format!("at {point}"));
            }
            if let Some(saved) = saved {
                e = e.note(saved);
            }
            Told { text: e.render(map), json: fields(&e, fault, run, point, map) }
        }
    }
}

pub struct Told {
    pub text: String,
    /// The same for programs.
    pub json: serde_json::Value,
}

fn fields(e: &Diagnostic, fault: &Fault, run: Option<Run>, point: Option<&str>, map: &SourceMap) -> serde_json::Value {
    let place = fault.spans.first().and_then(|s| Some((map.file(s.file)?, s)));
    let mut json = json!({
        "code": e.code,
        "message": e.message,
        "file": place.map(|(file, _)| &file.name),
        "line": place.map(|(file, span)| file.position(span.start).0),
        "values": fault.values.iter().map(|v| Some(v.to_f64()).filter(|x| x.is_finite())).collect::<Vec<_>>(),
        "place": fault.place,
        "steps": fault.steps.iter().map(|s| s.at).collect::<Vec<_>>(),
        "run": run.map(|r| r.number),
    });
    if let (Some(point), Some(fields)) = (point, json.as_object_mut()) {
        fields.insert("point".into(), point.into());
    }
    json
}
