//! Checkpoints: the whole training state of every run in one `safetensors` file, replaced atomically.
//!
//! Arrays are named `run{r}/{index}/{name}`; the metadata's entry `whorl` is JSON with the version, the format, the phase and the
//! next step, and the hash of the source.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use safetensors::tensor::TensorView;
use whorl_data::tensors::dtype;

use crate::engine::StateArray;

/// Version of the layout above.
pub const FORMAT: u32 = 1;

/// What a checkpoint says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    pub phase: usize,
    /// Steps of the `train scan` that are done.
    pub step: usize,
    pub source_hash: String,
}

/// Writes the states (`states[run]`) to `path`: to a file beside it first, which replaces it once it is on the disk.
pub fn write(path: &Path, header: &Header, states: &[Vec<StateArray>]) -> io::Result<()> {
    let mut tensors = Vec::new();
    for (run, arrays) in states.iter().enumerate() {
        for (k, a) in arrays.iter().enumerate() {
            let view = TensorView::new(dtype(a.element), a.shape.clone(), &a.bytes).map_err(io::Error::other)?;
            tensors.push((format!("run{run}/{k}/{}", a.name), view));
        }
    }
    let about = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "format": FORMAT,
        "phase": header.phase,
        "step": header.step,
        "source_hash": header.source_hash,
    });
    // One entry, so that equal states are equal files: a map's entries would come in any order.
    let metadata = HashMap::from([("whorl".to_string(), about.to_string())]);
    let bytes = safetensors::serialize(tensors, Some(metadata)).map_err(io::Error::other)?;
    replace(path, &bytes)
}

/// Puts `bytes` in the place of the file, or leaves it as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("partial");
    let written = File::create(&beside).and_then(|mut f| {
        f.write_all(bytes)?;
        f.sync_all()
    });
    match written.and_then(|()| std::fs::rename(&beside, path)) {
        Ok(()) => Ok(()),
        Err(e) => {
            // Whatever there is of the new file is of no use; the error that matters is the first one.
            let _ = std::fs::remove_file(&beside);
            Err(e)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Element;

    #[test]
    fn what_is_written_is_read() {
        let dir = std::env::temp_dir().join(format!("whorl-checkpoint-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder");
        let path = dir.join("checkpoint.safetensors");
        let bytes: Vec<u8> = [1.0f32, 2.0].iter().flat_map(|x| x.to_ne_bytes()).collect();
        let array = StateArray { name: "w".into(), element: Element::F32, shape: vec![2], bytes: bytes.clone() };
        let header = Header { phase: 1, step: 3, source_hash: "abc".into() };
        write(&path, &header, &[vec![array]]).expect("written");
        let read = std::fs::read(&path).expect("read");
        let tensors = safetensors::SafeTensors::deserialize(&read).expect("safetensors");
        assert_eq!(tensors.tensor("run0/0/w").expect("the array").data(), bytes);
        assert!(replace(&dir.join("no/such/folder"), b"x").is_err());
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
