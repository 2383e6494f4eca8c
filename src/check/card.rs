//! `whorl check --device cuda`: how a card would execute the program.

use serde_json::json;
use whorl_core::Program;
use whorl_cuda::{Card, Module, Schedule};
use whorl_device::{Emulator, Properties};
use whorl_schedule::loop_ir::Phase;
use whorl_source::SourceMap;

use super::layout;
use crate::cuda;
use crate::device::Choice;
use crate::pipeline::{flatten_for_cards, schedule};
use crate::words::bytes;

/// What becomes of a program on a card.
pub struct OnCard {
    name: String,
    schedule: Schedule,
    module: Module,
    /// Each kernel's steps; none of a straight phase.
    steps: Vec<Option<usize>>,
    runs: usize,
    memory: u64,
}

impl OnCard {
    /// Of the card that was chosen, and the program up to its runs; where it is not there, of one that is often there. Nothing of the CPU.
    pub fn of(choice: Choice, core: &Program, fast_math: bool, map: &SourceMap) -> Result<Option<OnCard>, String> {
        let (card, name) = match choice {
            Choice::Cpu => return Ok(None),
            Choice::Cuda(number) => match whorl_device::cuda::devices().unwrap_or_default().get(number) {
                Some(card) => (card.clone(), card.name.clone()),
                None => (h100(), format!("an H100 ({choice} is not there)")),
            },
            Choice::Emulated => (Emulator::hopper(), Emulator::hopper().name),
        };
        let program = &schedule(&flatten_for_cards(core.clone()), map)?;
        let runs = program.runs.unwrap_or(1);
        let schedule = Schedule::choose(program, runs, &Card::from(&card));
        let module = cuda::module(program, &schedule, &card, fast_math, map)?;
        let steps = program.phases.iter().map(|phase| match phase {
            Phase::Straight(_) => None,
            Phase::Train { n, .. } => Some(*n),
        });
        Ok(Some(OnCard { name, schedule, steps: steps.collect(), runs, memory: card.memory, module }))
    }

    fn bytes(&self) -> usize {
        self.runs * (self.module.slab_bytes + self.module.status_bytes) + self.module.constants.len()
    }

    pub fn rows(&self) -> Vec<String> {
        let mut rows = layout::wrapped(&format!("{}: {}", self.name, self.schedule), layout::WIDTH - 2, 2);
        let (all, there) = (bytes(self.bytes()), bytes(self.memory as usize));
        rows.push(format!(
            "{} a run, {all} of {there} for {}",
            bytes(self.module.slab_bytes),
            layout::counted(self.runs, "run")
        ));
        rows.push(format!("{:<10}{:>14}{:>14}{:>10}  steps", "kernel", "instructions", "shared", "barriers"));
        for (kernel, steps) in self.module.kernels.iter().zip(&self.steps) {
            let steps = steps.map_or("once".to_string(), |n| n.to_string());
            rows.push(format!(
                "{:<10}{:>14}{:>14}{:>10}  {steps}",
                kernel.name,
                kernel.instructions,
                bytes(kernel.shared_bytes),
                kernel.barriers
            ));
        }
        rows
    }

    pub fn json(&self) -> serde_json::Value {
        let kernels: Vec<_> = self
            .module
            .kernels
            .iter()
            .zip(&self.steps)
            .map(|(k, steps)| {
                json!({
                    "name": k.name, "instructions": k.instructions, "shared_bytes": k.shared_bytes,
                    "barriers": k.barriers, "train_steps": steps,
                })
            })
            .collect();
        let s = &self.schedule;
        json!({
            "card": self.name, "schedule": if s.blocks == 1 { "block per run" } else { "wide" }, "why": s.why,
            "threads": s.threads, "blocks": s.blocks, "bytes": self.bytes(), "kernels": kernels,
        })
    }
}

/// NVIDIA H100 SXM, by its data sheet and the CUDA C++ Programming Guide, table of compute capabilities.
fn h100() -> Properties {
    Properties { name: "H100".into(), memory: 80 << 30, ..Emulator::hopper() }
}
