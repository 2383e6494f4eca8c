//! Programs that fail when they run, and what is said then: `runtime_errors/NAME.whorl` and beside it `runtime_errors/NAME.txt`,
//! which is empty if nothing is wrong.
//!
//! `UPDATE=1 cargo test --test runtime_errors` writes the texts anew; read them before you commit them. A first line
//! `// run --trap-nan` gives options. Each is run on one thread and on two, and on an emulated card.

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn failing_programs() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut failures = Vec::new();
    let scripts = support::scripts("tests/runtime_errors");
    for path in &scripts {
        let name = path.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned());
        let (one, two) = (said(path, &["--threads", "1"]), said(path, &["--threads", "2"]));
        let card = said(path, &["--device", &support::tool::card()]);
        if one != two {
            failures.push(format!("{name}: on two threads\n{two}on one\n{one}"));
        }
        if one != card {
            failures.push(format!("{name}: on a card\n{card}on the CPU\n{one}"));
        }
        let expected = path.with_extension("txt");
        if update {
            std::fs::write(&expected, &one).unwrap_or_else(|e| panic!("{}: {e}", expected.display()));
        } else if std::fs::read_to_string(&expected).ok().as_ref() != Some(&one) {
            failures.push(format!("{name} is answered with another text than {}:\n{one}", expected.display()));
        }
    }
    assert!(scripts.len() >= 25, "only {} programs", scripts.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What the user reads. The step of the checkpoint depends on the time that steps take and is left out.
fn said(path: &Path, how: &[&str]) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let options = text.lines().next().and_then(|l| l.strip_prefix("// run ")).unwrap_or_default();
    let name = path.file_stem().map_or(String::new(), |n| n.to_string_lossy().into_owned());
    let out = std::env::temp_dir().join(format!("whorl-runtime-{name}-{}-{}", std::process::id(), how.concat()));
    let run = Command::new(env!("CARGO_BIN_EXE_whorl"))
        .env("WHORL_CACHE", "off")
        .arg("run")
        .arg(path.file_name().expect("a file"))
        .args(options.split_whitespace())
        .args(how)
        .args(["--quiet", "--out"])
        .arg(&out)
        .current_dir(path.parent().expect("a folder"))
        .output()
        .expect("the binary runs");
    let text = String::from_utf8(run.stderr).expect("text");
    assert_eq!(run.status.code(), Some(if text.is_empty() { 0 } else { 1 }), "{name}: {text}");
    let lines = text.lines().map(|line| match line.split_once("checkpoint.safetensors holds the state before step ") {
        Some((_, step)) => {
            let step: usize = step.split(' ').next().and_then(|n| n.parse().ok()).expect("a step");
            check_checkpoint(&out.join("checkpoint.safetensors"), step);
            "  = the state before is saved\n".to_string()
        }
        None => format!("{line}\n"),
    });
    let text = lines.collect();
    // What is left behind in the temporary folder does no harm.
    let _ = std::fs::remove_dir_all(&out);
    text
}

/// It is of this step, and has the arrays that it speaks of.
fn check_checkpoint(path: &Path, step: usize) {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
    let about: Value =
        header["__metadata__"]["whorl"].as_str().and_then(|t| serde_json::from_str(t).ok()).expect("ours");
    assert_eq!(about["step"], step);
    let arrays = header.as_object().expect("an object").iter().filter(|(name, _)| *name != "__metadata__");
    let ends: Vec<u64> = arrays.filter_map(|(_, a)| a["data_offsets"][1].as_u64()).collect();
    assert_eq!(ends.iter().max().copied(), Some((bytes.len() - 8 - length) as u64), "the arrays fill the file");
}
