//! A device that executes PTX on the CPU and looks at everything that kernels do.

mod access;
mod alu;
mod block;
mod clock;
mod code;
mod convert;
pub mod counters;
mod decode;
mod exec;
pub mod finding;
mod grid;
mod lanes;
mod memory;
mod mma;
mod ptx;
mod shadow;
mod together;
mod usual;
mod warp;

use crate::device::{Device, HostMemory, Launch, ModuleId, Properties};
use crate::error::{Error, Kind};
use code::Code;
use counters::Counters;
use finding::Finding;
use grid::{Launched, Run, Status, World};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard};

/// What is looked for. All of it, unless a test is only after values and is in a hurry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    pub races: bool,
    /// Reads of memory and of registers that were never written.
    pub uninitialised: bool,
    /// Lanes that take values of lanes that do not take part.
    pub divergence: bool,
}

impl Checks {
    pub const ALL: Checks = Checks { races: true, uninitialised: true, divergence: true };
    /// Bounds, alignment and barriers are looked at even so.
    pub const FEW: Checks = Checks { races: false, uninitialised: false, divergence: false };
}

/// When a launch is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Thread-instructions of a launch.
    pub instructions: u64,
    /// Turns in which all threads that are left sleep and nothing changes, with a call of `attend` after each.
    pub idle_turns: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { instructions: 1 << 40, idle_turns: 1000 }
    }
}

struct Module {
    kernels: Vec<Arc<Code>>,
    variables: Vec<u64>,
}

struct State {
    world: World,
    modules: FxHashMap<u64, Module>,
    next: u64,
    queue: VecDeque<Launched>,
    /// A launch runs, and the host has been given a turn.
    running: bool,
    counters: FxHashMap<String, Counters>,
}

/// The emulated device.
pub struct Emulator {
    properties: Properties,
    checks: Checks,
    limits: Limits,
    state: Arc<Mutex<State>>,
}

impl Default for Emulator {
    fn default() -> Emulator {
        Emulator::new(Emulator::hopper(), Checks::ALL, Limits::default())
    }
}

impl Emulator {
    pub fn new(properties: Properties, checks: Checks, limits: Limits) -> Emulator {
        let state = State {
            world: World::default(),
            modules: FxHashMap::default(),
            next: 1,
            queue: VecDeque::new(),
            running: false,
            counters: FxHashMap::default(),
        };
        Emulator { properties, checks, limits, state: Arc::new(Mutex::new(state)) }
    }

    /// What a card of compute capability 9.0 has, with little memory.
    pub fn hopper() -> Properties {
        Properties {
            name: "emulated sm_90".to_string(),
            memory: 4 << 30,
            multiprocessors: 132,
            shared_a_block: 227 << 10,
            shared_a_multiprocessor: 228 << 10,
            threads_a_block: 1024,
            threads_a_multiprocessor: 2048,
            capability: (9, 0),
            cooperative: true,
        }
    }

    /// What kernels did since the last call, by name.
    pub fn take_counters(&self) -> Vec<(String, Counters)> {
        let mut all: Vec<(String, Counters)> = self.state().counters.drain().collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The state, once all launches are done.
    fn quiet(&self, call: &str) -> Result<MutexGuard<'_, State>, Error> {
        self.run_all(call, &mut || {})?;
        Ok(self.state())
    }

    fn run_all(&self, call: &str, attend: &mut dyn FnMut()) -> Result<(), Error> {
        let mut state = self.state();
        if state.running {
            return Err(Error::new(Kind::Invalid, call, "the call waits for a launch that waits for the host")
                .hint("while a launch runs the host reads and writes host-visible memory only"));
        }
        while let Some(launched) = state.queue.pop_front() {
            let mut run = Run::new(launched, &mut state.world, self.checks, self.limits);
            loop {
                let kernel = run.kernel().to_string();
                let State { world, counters, .. } = &mut *state;
                let status = run.turn(world, counters.entry(kernel).or_default());
                let status = status.map_err(|finding| {
                    state.queue.clear();
                    found(call, finding)
                })?;
                if status == Status::Done {
                    break;
                }
                state.running = true;
                drop(state);
                attend();
                state = self.state();
                state.running = false;
            }
        }
        Ok(())
    }

    fn region(&self, state: &State, call: &str, address: u64, bytes: u64) -> Result<usize, Error> {
        state.world.memory.find(address, bytes.max(1), 0).ok_or_else(|| {
            let what = format!("{bytes} bytes at {address:#x} are not within one allocation");
            Error::new(Kind::Invalid, call, what)
        })
    }
}

fn found(call: &str, finding: Box<Finding>) -> Error {
    let what = finding.to_string();
    Error::new(Kind::Finding(finding), call, what)
}

impl Device for Emulator {
    fn properties(&self) -> Properties {
        self.properties.clone()
    }

    fn memory_free(&self) -> Result<u64, Error> {
        Ok(self.properties.memory - self.state().world.memory.used)
    }

    fn load(&self, ptx: &str) -> Result<ModuleId, Error> {
        let text: Arc<Vec<String>> = Arc::new(ptx.lines().map(str::to_string).collect());
        let refused = |refusal: ptx::Refusal| {
            let line = text.get(refusal.line as usize - 1).map_or("", |line| line.trim());
            Error::new(Kind::Module, "load", refusal.what).at(format!("PTX line {}: `{line}`", refusal.line))
        };
        let parsed = ptx::parse(ptx).map_err(refused)?;
        let capability = self.properties.capability.0 * 10 + self.properties.capability.1;
        if parsed.target > capability {
            let what = format!("the module is for sm_{}, the device is an sm_{capability}", parsed.target);
            return Err(Error::new(Kind::Module, "load", what));
        }
        let mut state = self.quiet("load")?;
        let (mut places, mut variables, mut shared) = (decode::Places::default(), Vec::new(), Vec::new());
        for variable in &parsed.variables {
            if variable.space == ptx::Space::Shared {
                shared.push(variable.clone());
                continue;
            }
            let region = state.world.memory.allocate(variable.bytes, format!("the variable {}", variable.name));
            region.fill(0, variable.bytes, 0);
            region.copy_in(0, &variable.data);
            region.read_only = variable.space == ptx::Space::Const;
            variables.push(region.base);
            places.insert(variable.name.clone(), (variable.space, region.base));
        }
        let around =
            decode::Around { places: &places, shared: &shared, files: Arc::new(parsed.files), text: text.clone() };
        let kernels: Result<Vec<Arc<Code>>, ptx::Refusal> =
            parsed.entries.iter().map(|entry| decode::decode(entry, &around).map(Arc::new)).collect();
        let kernels = match kernels {
            Ok(kernels) => kernels,
            Err(refusal) => {
                for base in variables {
                    state.world.memory.free(base);
                }
                return Err(refused(refusal));
            }
        };
        let id = state.next;
        state.next += 1;
        state.modules.insert(id, Module { kernels, variables });
        Ok(ModuleId(id))
    }

    fn unload(&self, module: ModuleId) -> Result<(), Error> {
        let mut state = self.quiet("unload")?;
        let Some(module) = state.modules.remove(&module.0) else {
            return Err(Error::new(Kind::Invalid, "unload", "there is no such module"));
        };
        for base in module.variables {
            state.world.memory.free(base);
        }
        Ok(())
    }

    fn resident_blocks(&self, module: ModuleId, kernel: &str, threads: u32, shared: u32) -> Result<u32, Error> {
        let state = self.state();
        let code = kernel_of(&state, "resident_blocks", module, kernel)?;
        Ok(self.resident(&code, threads, shared))
    }

    fn allocate(&self, bytes: u64) -> Result<u64, Error> {
        let mut state = self.state();
        let free = self.properties.memory - state.world.memory.used;
        if bytes > free {
            let what = format!("{bytes} bytes are asked for, {free} are free");
            return Err(Error::new(Kind::OutOfMemory { wanted: bytes, free }, "allocate", what)
                .hint("fewer runs at once need less memory"));
        }
        let number = state.next;
        state.next += 1;
        Ok(state.world.memory.allocate(bytes.max(1), format!("allocation {number}, of {bytes} bytes")).base)
    }

    fn free(&self, address: u64) -> Result<(), Error> {
        let mut state = self.quiet("free")?;
        if state.world.memory.free(address) {
            return Ok(());
        }
        Err(Error::new(Kind::Invalid, "free", format!("nothing is allocated at {address:#x}")))
    }

    fn upload(&self, address: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut state = self.quiet("upload")?;
        let place = self.region(&state, "upload", address, bytes.len() as u64)?;
        let region = state.world.memory.at(place);
        region.copy_in(address - region.base, bytes);
        Ok(())
    }

    fn download(&self, address: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let mut state = self.quiet("download")?;
        let place = self.region(&state, "download", address, bytes.len() as u64)?;
        let region = state.world.memory.at(place);
        region.copy_out(address - region.base, bytes);
        Ok(())
    }

    fn fill(&self, address: u64, bytes: u64, value: u8) -> Result<(), Error> {
        let mut state = self.quiet("fill")?;
        let place = self.region(&state, "fill", address, bytes)?;
        let region = state.world.memory.at(place);
        region.fill(address - region.base, bytes, value);
        Ok(())
    }

    fn host_memory(&self, bytes: usize) -> Result<HostMemory, Error> {
        let mut state = self.state();
        let region = state.world.memory.allocate(bytes.max(1) as u64, format!("host memory of {bytes} bytes"));
        region.host = true;
        let (address, memory) = (region.base, region.memory().clone());
        let start = NonNull::new(memory.start()).expect("memory is not at null");
        let device = Arc::downgrade(&self.state);
        let release = move || {
            if let Some(state) = device.upgrade() {
                state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).world.memory.free(address);
            }
            drop(memory);
        };
        // SAFETY: `memory` is kept by the function that releases it.
        Ok(unsafe { HostMemory::new(address, start, bytes, Box::new(release)) })
    }

    fn launch(&self, launch: &Launch<'_>) -> Result<(), Error> {
        let mut state = self.state();
        let code = kernel_of(&state, "launch", launch.module, launch.kernel)?;
        let refuse = |what: String| Err(Error::new(Kind::Launch, "launch", what).at(format!("kernel {}", code.name)));
        let most = code.max_threads.unwrap_or(u32::MAX).min(self.properties.threads_a_block);
        if launch.threads == 0 || launch.threads > most || launch.grid == 0 {
            let Launch { grid, threads, .. } = launch;
            return refuse(format!("{grid} blocks of {threads} threads: a block of this kernel has 1 to {most}"));
        }
        let (shared, most) = (u64::from(code.static_shared) + u64::from(launch.shared), self.properties.shared_a_block);
        if shared > most.into() {
            return refuse(format!("a block would have {shared} bytes of shared memory, and can have {most}"));
        }
        if launch.args.len() != code.params.len() {
            return refuse(format!("{} arguments for {} parameters", launch.args.len(), code.params.len()));
        }
        if launch.cooperative {
            let most = self.resident(&code, launch.threads, launch.shared);
            if launch.grid > most || !self.properties.cooperative {
                return refuse(format!("{} blocks do not fit together, {most} do", launch.grid));
            }
        }
        let mut params = vec![0; code.param_bytes as usize];
        for (param, arg) in code.params.iter().zip(launch.args) {
            let size = param.ty.bytes() as usize;
            params[param.offset as usize..param.offset as usize + size].copy_from_slice(&arg.to_le_bytes()[..size]);
        }
        let counters = state.counters.entry(code.name.clone()).or_default();
        counters.launches += 1;
        counters.shared_bytes = counters.shared_bytes.max(shared);
        state.queue.push_back(Launched {
            code,
            params,
            grid: launch.grid,
            threads: launch.threads,
            dynamic: launch.shared,
            cooperative: launch.cooperative,
        });
        Ok(())
    }

    fn finish(&self, attend: &mut dyn FnMut()) -> Result<(), Error> {
        self.run_all("finish", attend)
    }
}

impl Emulator {
    fn resident(&self, code: &Code, threads: u32, shared: u32) -> u32 {
        let p = &self.properties;
        // A block has a kilobyte of shared memory that is not its own.
        let by_memory = p.shared_a_multiprocessor / (code.static_shared + shared + 1024);
        let by_threads = p.threads_a_multiprocessor / threads.next_multiple_of(32).max(32);
        by_memory.min(by_threads).min(32) * p.multiprocessors
    }
}

fn kernel_of(state: &State, call: &str, module: ModuleId, kernel: &str) -> Result<Arc<Code>, Error> {
    let Some(module) = state.modules.get(&module.0) else {
        return Err(Error::new(Kind::Invalid, call, "there is no such module"));
    };
    let found = module.kernels.iter().find(|code| code.name == kernel);
    found.cloned().ok_or_else(|| Error::new(Kind::Invalid, call, format!("the module has no kernel {kernel}")))
}
