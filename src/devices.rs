//! `whorl devices`: where programs can run.

use std::process::ExitCode;

use serde_json::json;
use whorl_device::{Kind, Properties};

use crate::words::bytes;

pub fn devices(as_json: bool) -> Result<ExitCode, String> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let memory = crate::memory::Room::now(None).free;
    let cards = whorl_device::cuda::devices();
    if as_json {
        let card = |(number, p): (usize, &Properties)| {
            json!({
                "device": format!("cuda:{number}"),
                "name": p.name,
                "memory": p.memory,
                "multiprocessors": p.multiprocessors,
                "capability": format!("{}.{}", p.capability.0, p.capability.1),
            })
        };
        let mut all = vec![json!({ "device": "cpu", "threads": threads, "memory_free": memory })];
        all.extend(cards.iter().flatten().enumerate().map(card));
        let why = cards.as_ref().err().map(|e| e.what.clone());
        say!("{}", json!({ "devices": all, "no_cuda": why }));
        return Ok(ExitCode::SUCCESS);
    }
    say!("cpu      {threads} threads, {} free", bytes(memory));
    match cards {
        Ok(cards) if cards.is_empty() => say!("no NVIDIA card: the driver sees none"),
        Ok(cards) => {
            for (number, p) in cards.iter().enumerate() {
                let (major, minor) = p.capability;
                say!(
                    "cuda:{number}   {}, {}, {} multiprocessors, compute capability {major}.{minor}",
                    p.name,
                    bytes(p.memory as usize),
                    p.multiprocessors
                );
            }
        }
        Err(e) if e.kind == Kind::NoDevice => say!("no NVIDIA card: {}", e.what),
        Err(e) => say!("no NVIDIA card can be used: {e}"),
    }
    Ok(ExitCode::SUCCESS)
}
