//! Small kernels, written, launched, and looked at.

use std::hash::{DefaultHasher, Hash, Hasher};
use whorl_device::emulator::counters::Counters;
use whorl_device::emulator::finding::{Finding, FindingKind};
use whorl_device::{Checks, Device, Emulator, Error, Launch, Limits};

/// A module of one kernel `k` with parameters `p0`, `p1`, … of 64 bits, which are in `%p0`, `%p1`, …
pub fn kernel(params: usize, outside: &str, body: &str) -> String {
    let list: Vec<String> = (0..params).map(|i| format!(".param .u64 p{i}")).collect();
    let mut loads = String::new();
    for i in 0..params {
        loads += &format!("    ld.param.u64 %p{i}, [p{i}];\n");
    }
    let text = format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n{outside}\n.visible .entry k({})\n{{\n\
         .reg .u64 %p<8>;\n.reg .u64 %rd<20>;\n.reg .u32 %r<40>;\n.reg .f32 %f<40>;\n.reg .f64 %d<20>;\n\
         .reg .b16 %h<10>;\n.reg .pred %q<10>;\n{loads}{body}\n    ret;\n}}\n",
        list.join(", ")
    );
    dump(&text);
    text
}

/// Writes a module to the folder of `WHORL_PTX`, if that is set.
pub fn dump(text: &str) {
    if let Ok(folder) = std::env::var("WHORL_PTX") {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        std::fs::write(format!("{folder}/{:016x}.ptx", hasher.finish()), text).expect("the kernel can be written");
    }
}

pub struct Shape {
    pub grid: u32,
    pub threads: u32,
    pub shared: u32,
    pub cooperative: bool,
}

impl Shape {
    pub const fn one(threads: u32) -> Shape {
        Shape { grid: 1, threads, shared: 0, cooperative: false }
    }
}

pub fn device() -> Emulator {
    let limits = Limits { instructions: 20_000_000, idle_turns: 50 };
    Emulator::new(Emulator::hopper(), Checks::ALL, limits)
}

pub fn start(device: &Emulator, ptx: &str, shape: &Shape, args: &[u64]) -> Result<(), Error> {
    let module = device.load(ptx)?;
    let Shape { grid, threads, shared, cooperative } = *shape;
    device.launch(&Launch { module, kernel: "k", grid, threads, shared, cooperative, args })
}

/// Runs `k` with one buffer of `words` words, which is its first argument, and gives what is in it afterwards.
pub fn run_words(ptx: &str, shape: &Shape, input: &[u32]) -> Result<Vec<u32>, Error> {
    let device = device();
    let bytes: Vec<u8> = input.iter().flat_map(|word| word.to_le_bytes()).collect();
    let at = device.allocate(bytes.len() as u64)?;
    device.upload(at, &bytes)?;
    start(&device, ptx, shape, &[at])?;
    device.finish(&mut || {})?;
    let mut out = vec![0; bytes.len()];
    device.download(at, &mut out)?;
    Ok(out.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect())
}

/// As [`run_words`], with counters.
pub fn count(ptx: &str, shape: &Shape, input: &[u32]) -> Counters {
    let device = device();
    let bytes: Vec<u8> = input.iter().flat_map(|word| word.to_le_bytes()).collect();
    let at = device.allocate(bytes.len() as u64).unwrap();
    device.upload(at, &bytes).unwrap();
    start(&device, ptx, shape, &[at]).unwrap();
    device.finish(&mut || {}).unwrap();
    device.take_counters().remove(0).1
}

/// The finding of a kernel, which must have one.
pub fn finding(ptx: &str, shape: &Shape, words: usize) -> Finding {
    match run_words(ptx, shape, &vec![0; words]) {
        Ok(_) => panic!("nothing was found in\n{ptx}"),
        Err(error) => error.finding().unwrap_or_else(|| panic!("{error}\n{ptx}")).clone(),
    }
}

/// A kernel with something wrong, at the line in which `mark` stands, and its mended twin.
pub fn check(kind: FindingKind, wrong: &str, right: &str, shape: &Shape, mark: &str) -> Finding {
    if let Err(error) = run_words(right, shape, &[0; 256]) {
        panic!("the mended kernel: {error}\n{right}");
    }
    let found = finding(wrong, shape, 256);
    assert_eq!(found.kind, kind, "{found}\n{wrong}");
    assert!(found.text.contains(mark), "not at {mark}: {found}\n{wrong}");
    found
}
