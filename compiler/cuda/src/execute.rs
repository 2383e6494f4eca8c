//! Compiled programs on a device: the runs' memory, launches of their phases, what they log, and what stops them.

use std::sync::Arc;

use whorl_core::check::{Fault, Step};
use whorl_core::ir::{ArrayData, DType, Lit, Type};
use whorl_device::{Device, Error, HostMemory, Kind, Launch, ModuleId};
use whorl_schedule::LogElement;
use whorl_schedule::loop_ir::*;

use crate::{CAPACITY, ELEMENT, Entry, HEADER, Module, RING_BYTES};

/// Why runs stopped.
#[derive(Debug)]
pub enum RunError {
    /// A check of the program failed, in the run at this place.
    Fault(usize, Box<Fault>),
    Device(Error),
    /// The host asked for what cannot be.
    Misuse(String),
}

impl From<Error> for RunError {
    fn from(e: Error) -> RunError {
        RunError::Device(e)
    }
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            RunError::Fault(_, fault) => write!(f, "{fault}"),
            RunError::Device(e) => write!(f, "{e}"),
            RunError::Misuse(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for RunError {}

/// Device memory that is given back.
struct Memory {
    device: Arc<dyn Device>,
    address: u64,
}

impl Memory {
    fn new(device: &Arc<dyn Device>, bytes: usize) -> Result<Memory, Error> {
        let address = device.allocate(bytes.max(1) as u64)?;
        Ok(Memory { device: device.clone(), address })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.device.free(self.address);
    }
}

/// A program's kernels on a device, with the constants that they read.
pub struct Executable {
    program: LoopProgram,
    module: Module,
    device: Arc<dyn Device>,
    id: ModuleId,
    constants: Memory,
}

/// Several runs between launches: their slabs, and what they have logged.
pub struct Runs {
    count: usize,
    slabs: Memory,
    statuses: Memory,
    rings: HostMemory,
}

impl Executable {
    pub fn new(program: LoopProgram, module: Module, device: Arc<dyn Device>) -> Result<Executable, Error> {
        let id = device.load(&module.ptx)?;
        let constants = Memory::new(&device, module.constants.len())?;
        if !module.constants.is_empty() {
            device.upload(constants.address, &module.constants)?;
        }
        Ok(Executable { program, module, device, id, constants })
    }

    pub fn program(&self) -> &LoopProgram {
        &self.program
    }

    pub fn module(&self) -> &Module {
        &self.module
    }

    pub fn device(&self) -> &dyn Device {
        &*self.device
    }

    /// Bytes of device memory for so many runs.
    pub fn bytes(&self, runs: usize) -> usize {
        runs * (self.module.slab_bytes + self.module.status_bytes) + self.module.constants.len()
    }

    /// Memory for so many runs, of undefined content.
    pub fn runs(&self, count: usize) -> Result<Runs, RunError> {
        let slabs = Memory::new(&self.device, count * self.module.slab_bytes)?;
        let statuses = Memory::new(&self.device, count * self.module.status_bytes)?;
        self.device.fill(statuses.address, (count * self.module.status_bytes) as u64, 0)?;
        let rings = self.device.host_memory(count * RING_BYTES)?;
        Ok(Runs { count, slabs, statuses, rings })
    }

    /// Zeros in all slabs.
    pub fn clear(&self, runs: &Runs) -> Result<(), RunError> {
        Ok(self.device.fill(runs.slabs.address, (runs.count * self.module.slab_bytes) as u64, 0)?)
    }

    /// The run at a place before its first phase: its number, and its inputs in order.
    pub fn begin(&self, runs: &Runs, place: usize, number: usize, inputs: &[ArrayData]) -> Result<(), RunError> {
        if inputs.len() != self.program.inputs.len() {
            let wanted = self.program.inputs.len();
            return Err(RunError::Misuse(format!("{} inputs, not {wanted}", inputs.len())));
        }
        for (id, input) in self.program.inputs.iter().zip(inputs) {
            self.write(runs, place, *id, input)?;
        }
        match self.program.run_index {
            Some(index) => self.write(runs, place, index, &ArrayData::scalar(number as i32)),
            None => Ok(()),
        }
    }

    /// Runs before their first phase: of each its number, and its inputs in order.
    pub fn start(&self, runs: &[(usize, &[ArrayData])]) -> Result<Runs, RunError> {
        let state = self.runs(runs.len())?;
        for (place, (number, inputs)) in runs.iter().enumerate() {
            self.begin(&state, place, *number, inputs)?;
        }
        Ok(state)
    }

    fn slab(&self, runs: &Runs, place: usize) -> u64 {
        runs.slabs.address + (place * self.module.slab_bytes) as u64
    }

    /// Sets a buffer of a run's slab: an input, or what a checkpoint kept.
    pub fn write(&self, runs: &Runs, place: usize, id: BufferId, data: &ArrayData) -> Result<(), RunError> {
        let buffer = self.program.buffer(id);
        let Place::Arena(at) = buffer.place else { return Err(RunError::Misuse("a constant is written".into())) };
        if data.ty.dtype != buffer.dtype || data.bytes.len() != buffer.bytes() {
            let want = Type { dtype: buffer.dtype, shape: buffer.shape.clone() };
            return Err(RunError::Misuse(format!("{:?} for a buffer of {want:?}", data.ty)));
        }
        if !data.bytes.is_empty() {
            self.device.upload(self.slab(runs, place) + at as u64, &data.bytes)?;
        }
        Ok(())
    }

    /// What is in a buffer of a run.
    pub fn read(&self, runs: &Runs, place: usize, id: BufferId) -> Result<ArrayData, RunError> {
        let buffer = self.program.buffer(id);
        let ty = Type { dtype: buffer.dtype, shape: buffer.shape.clone() };
        let mut bytes = vec![0; buffer.bytes()];
        match &buffer.place {
            Place::Constant(data) => bytes.copy_from_slice(&data.bytes),
            Place::Arena(_) if bytes.is_empty() => {}
            Place::Arena(at) => self.device.download(self.slab(runs, place) + *at as u64, &mut bytes)?,
        }
        Ok(ArrayData { ty, bytes })
    }

    /// The program's results of a run as they are now.
    pub fn outputs(&self, runs: &Runs, place: usize) -> Result<Vec<ArrayData>, RunError> {
        self.program.outputs.iter().map(|id| self.read(runs, place, *id)).collect()
    }

    /// Runs one phase of all of them; of a train phase, the steps `from..to`, which a straight one ignores. `log` takes what a run (by its place) logs,
    /// in order for each.
    pub fn run_phase(
        &self,
        phase: usize,
        runs: &mut Runs,
        from: usize,
        to: usize,
        log: &mut dyn FnMut(usize, LogElement),
    ) -> Result<(), RunError> {
        let Some(kernel) = self.module.kernels.get(phase) else {
            return Err(RunError::Misuse(format!("there is no phase {phase}")));
        };
        let to = match &self.program.phases[phase] {
            Phase::Straight(_) => 0,
            Phase::Train { n, .. } => to.min(*n),
        };
        let (rings, count, blocks) = (&runs.rings, runs.count, self.module.blocks);
        let at_once = self.at_once(kernel, count)?;
        for first in (0..count).step_by(at_once) {
            let own = |start: u64, bytes: usize| start + (first * bytes) as u64;
            let args = [
                own(runs.slabs.address, self.module.slab_bytes),
                self.constants.address,
                own(runs.statuses.address, self.module.status_bytes),
                own(rings.address(), RING_BYTES),
                from as u64,
                to as u64,
            ];
            self.device.launch(&Launch {
                module: self.id,
                kernel: &kernel.name,
                grid: (at_once.min(count - first) * blocks) as u32,
                threads: self.module.threads as u32,
                shared: kernel.shared_bytes as u32,
                cooperative: blocks > 1,
                args: &args,
            })?;
        }
        self.device.finish(&mut || (0..count).for_each(|place| empty(rings, place, log)))?;
        (0..count).for_each(|place| empty(rings, place, log));
        let mut statuses = vec![0; count * self.module.status_bytes];
        self.device.download(runs.statuses.address, &mut statuses)?;
        let words =
            statuses.chunks_exact(self.module.status_bytes).map(|w| u32::from_ne_bytes([w[0], w[1], w[2], w[3]]));
        let failed = words.enumerate().filter(|(_, status)| *status != 0);
        let errors = failed.map(|(place, status)| self.fault(runs, place, status as usize - 1));
        // Of the earliest step and, there, of the first run.
        let step = |e: &RunError| match e {
            RunError::Fault(_, fault) => fault.steps.iter().find(|s| s.train).map(|s| s.at),
            RunError::Device(_) | RunError::Misuse(_) => None,
        };
        errors.min_by_key(step).map_or(Ok(()), Err)
    }

    /// How many of the runs a launch has: blocks that wait for each other have to be on the card together.
    fn at_once(&self, kernel: &Entry, runs: usize) -> Result<usize, RunError> {
        let Module { blocks, threads, .. } = self.module;
        if blocks == 1 {
            return Ok(runs.max(1));
        }
        let card = self.device.properties();
        if !card.cooperative {
            let what = format!("{} cannot run blocks that wait for each other", card.name);
            return Err(RunError::Device(Error::new(Kind::Launch, "launch", what).at(&kernel.name)));
        }
        let (threads, shared) = (threads as u32, kernel.shared_bytes as u32);
        let most = self.device.resident_blocks(self.id, &kernel.name, threads, shared)?;
        let at_once = most as usize / blocks;
        if at_once == 0 {
            let what = format!("a run has {blocks} blocks that wait for each other, and {most} fit on {}", card.name);
            return Err(RunError::Device(Error::new(Kind::Launch, "launch", what).at(&kernel.name)));
        }
        Ok(at_once)
    }

    /// What a check failed on: it is asked again, of what the kernel has left in the slab.
    fn fault(&self, runs: &Runs, place: usize, number: usize) -> RunError {
        let Some(c) = self.module.checks.get(number) else {
            return RunError::Misuse(format!("the status of a check that there is not: {number}"));
        };
        let run = self.program.run_index.and_then(|index| self.read(runs, place, index).ok());
        let run = run.map(|r| element(&r, 0).bits as usize);
        match self.asked(runs, place, c, run) {
            Ok(Some(fault)) => RunError::Fault(place, Box::new(fault)),
            Ok(None) => RunError::Misuse("a check failed, and holds when it is asked again".into()),
            Err(e) => e,
        }
    }

    fn asked(&self, runs: &Runs, place: usize, c: &CheckNode, run: Option<usize>) -> Result<Option<Fault>, RunError> {
        let array = |view: &View| -> Result<(ArrayData, isize), RunError> {
            let mut start = view.offset;
            for d in &view.dynamic {
                let index = element(&self.read(runs, place, d.index)?, 0).bits as u32 as i32;
                start += index.clamp(0, d.max) as isize * d.stride;
            }
            Ok((self.read(runs, place, view.buffer)?, start))
        };
        let values = c.values.iter().map(array).collect::<Result<Vec<_>, _>>()?;
        let mask = c.mask.as_ref().map(array).transpose()?;
        let at = |(data, start): &(ArrayData, isize), view: &View, index: &[usize]| {
            let offset: isize = view.strides.iter().zip(index).map(|(s, i)| s * *i as isize).sum();
            element(data, (start + offset) as usize)
        };
        for index in positions(&c.dims) {
            if let (Some(data), Some(view)) = (&mask, &c.mask)
                && at(data, view, &index).bits == 0
            {
                continue;
            }
            let elements: Vec<Lit> = values.iter().zip(&c.values).map(|(data, view)| at(data, view, &index)).collect();
            if c.check.kind.holds(&elements) {
                continue;
            }
            let mut steps = Vec::new();
            for s in &c.steps {
                let (data, start) = array(&s.index)?;
                let at = element(&data, start as usize).bits as usize;
                steps.push(Step { at, n: s.n, train: s.train, span: s.span });
            }
            let maps = run.filter(|_| c.in_run).into_iter().collect();
            let (check, spans) = (c.check.clone(), c.spans.clone());
            return Ok(Some(Fault { check, spans, values: elements, place: index, steps, maps }));
        }
        Ok(None)
    }

    /// Runs everything, all runs side by side; results of programs with runs have a row for each.
    pub fn run_to_end(
        &self,
        inputs: &[ArrayData],
        log: &mut dyn FnMut(usize, LogElement),
    ) -> Result<Vec<ArrayData>, RunError> {
        let numbers: Vec<(usize, &[ArrayData])> =
            (0..self.program.runs.unwrap_or(1)).map(|run| (run, inputs)).collect();
        let mut results: Vec<ArrayData> = Vec::new();
        for id in &self.program.outputs {
            let buffer = self.program.buffer(*id);
            let ty = Type { dtype: buffer.dtype, shape: buffer.shape.clone() };
            let ty = self.program.runs.map_or(ty.clone(), |n| ty.stacked(n));
            results.push(ArrayData { ty, bytes: Vec::new() });
        }
        if numbers.is_empty() {
            return Ok(results);
        }
        let mut runs = self.start(&numbers)?;
        for (k, phase) in self.program.phases.iter().enumerate() {
            let to = match phase {
                Phase::Straight(_) => 0,
                Phase::Train { n, .. } => *n,
            };
            self.run_phase(k, &mut runs, 0, to, log)?;
        }
        for place in 0..numbers.len() {
            for (all, own) in results.iter_mut().zip(self.outputs(&runs, place)?) {
                all.bytes.extend_from_slice(&own.bytes);
            }
        }
        Ok(results)
    }
}

impl Drop for Executable {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.device.unload(self.id);
    }
}

/// Hands over what a run has written to its ring.
fn empty(rings: &HostMemory, place: usize, log: &mut dyn FnMut(usize, LogElement)) {
    use std::sync::atomic::Ordering;
    let start = place * RING_BYTES;
    let written = rings.word(start).load(Ordering::Acquire);
    let mut taken = rings.word(start + 4).load(Ordering::Relaxed);
    while taken != written {
        let at = start + HEADER + (taken as usize % CAPACITY) * ELEMENT;
        let mut bytes = [0; ELEMENT];
        rings.read(at, &mut bytes);
        let double = |k: usize| u64::from_ne_bytes(bytes[k..k + 8].try_into().expect("eight bytes"));
        let site = u32::from_ne_bytes(bytes[..4].try_into().expect("four bytes"));
        let value = f64::from_bits(double(32));
        log(place, LogElement { site, step: double(8), loops: double(16), place: double(24), value });
        taken = taken.wrapping_add(1);
    }
    rings.word(start + 4).store(taken, Ordering::Release);
}

/// Element number `at` of an array.
fn element(data: &ArrayData, at: usize) -> Lit {
    let width = data.ty.dtype.bytes();
    let bytes = &data.bytes[at * width..(at + 1) * width];
    let bits = match data.ty.dtype {
        DType::F64 => u64::from_ne_bytes(bytes.try_into().expect("eight bytes")),
        DType::F32 | DType::I32 | DType::U32 => u32::from_ne_bytes(bytes.try_into().expect("four bytes")).into(),
        DType::F16 | DType::BF16 => u16::from_ne_bytes(bytes.try_into().expect("two bytes")).into(),
        DType::U8 | DType::Bool => bytes[0].into(),
    };
    Lit { dtype: data.ty.dtype, bits }
}

/// All positions, row-major.
fn positions(dims: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let dims = dims.to_vec();
    (0..dims.iter().product()).map(move |mut k: usize| {
        let mut index = vec![0; dims.len()];
        for (i, n) in index.iter_mut().zip(&dims).rev() {
            (*i, k) = (k % n, k / n);
        }
        index
    })
}
