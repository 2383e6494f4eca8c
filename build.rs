//! The library and the pages of errors are part of the program: it is built anew when one comes or goes. So it is when a source changes, as a hash over
//! all of them is what tells this compiler from another: see `src/cache.rs`.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=stdlib");
    println!("cargo::rerun-if-changed=docs/errors");
    let mut files = Vec::new();
    for part in ["Cargo.lock", "compiler", "runtime/kernels", "src"] {
        println!("cargo::rerun-if-changed={part}");
        gather(Path::new(part), &mut files);
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        std::fs::read(&file).unwrap_or_default().hash(&mut hasher);
    }
    println!("cargo::rustc-env=WHORL_SOURCES={:016x}", hasher.finish());
}

/// All files at a path or below it.
fn gather(path: &Path, files: &mut Vec<PathBuf>) {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().for_each(|e| gather(&e.path(), files)),
        Err(_) => files.push(path.to_path_buf()),
    }
}
