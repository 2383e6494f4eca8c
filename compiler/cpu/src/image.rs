//! A compiled program as data: machine code that holds no addresses, and what is to be filled in where.
//!
//! What is compiled from text and what comes from a cache are loaded in the same way, so that there is one path.

use serde::{Deserialize, Serialize};
use whorl_core::ir::DType;
use whorl_schedule::loop_ir::{LoopProgram, MatMul, Sort};

use crate::kernels::{MatMulSite, SortSite};
use crate::runtime::{CheckSite, LogSite, Site};
use crate::share::{Divided, LoopSite, Share};
use crate::{CpuError, Options, runtime, share};

/// Machine code of a program, and all else that is needed to run it. It is for machines with the same instructions.
#[derive(Serialize, Deserialize, Debug)]
pub struct Image {
    /// As it is executed: with long reductions divided, where there are teams.
    pub(crate) program: LoopProgram,
    pub(crate) options: Options,
    pub(crate) pieces: Vec<Piece>,
    /// The phases' functions, by their pieces.
    pub(crate) phases: Vec<u32>,
}

impl Image {
    /// What was compiled.
    pub fn program(&self) -> &LoopProgram {
        &self.program
    }
}

/// One function's machine code.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Piece {
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    pub alignment: u64,
    /// Whether it is told from where to where it is to go.
    pub range: bool,
    pub places: Vec<Place>,
    pub sites: Vec<SiteSpec>,
}

/// Eight bytes of a piece that are an address.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(crate) struct Place {
    pub at: u32,
    pub of: Symbol,
    pub add: i64,
}

/// Something that has an address once the code is loaded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Debug)]
pub(crate) enum Symbol {
    /// Another piece.
    Function(u32),
    /// What a call needs to know, of the piece's own.
    Site(u32),
    /// A buffer that is a constant.
    Constant(u32),
    Runtime(Runtime),
    /// A table of an elementary function, by its number in [`whorl_kernels::math::tables`].
    Table(u32),
}

/// The functions that generated code calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Debug)]
pub(crate) enum Runtime {
    RemainderF32,
    RemainderF64,
    Lap,
    Log,
    Check,
    MatMul,
    Sort,
    LaneLoop,
    DividedMatMul,
    DividedSort,
}

impl Runtime {
    const ALL: [Runtime; 10] = [
        Runtime::RemainderF32,
        Runtime::RemainderF64,
        Runtime::Lap,
        Runtime::Log,
        Runtime::Check,
        Runtime::MatMul,
        Runtime::Sort,
        Runtime::LaneLoop,
        Runtime::DividedMatMul,
        Runtime::DividedSort,
    ];

    pub fn address(self) -> usize {
        match self {
            Runtime::RemainderF32 => runtime::remainder_f32 as *const () as usize,
            Runtime::RemainderF64 => runtime::remainder_f64 as *const () as usize,
            Runtime::Lap => runtime::lap as *const () as usize,
            Runtime::Log => runtime::log as *const () as usize,
            Runtime::Check => runtime::check as *const () as usize,
            Runtime::MatMul => runtime::matmul as *const () as usize,
            Runtime::Sort => runtime::sort as *const () as usize,
            Runtime::LaneLoop => share::lane_loop as *const () as usize,
            Runtime::DividedMatMul => share::divided_matmul as *const () as usize,
            Runtime::DividedSort => share::divided_sort as *const () as usize,
        }
    }
}

impl Symbol {
    /// As the two numbers that Cranelift names things with.
    pub fn name(self) -> (u32, u32) {
        match self {
            Symbol::Function(k) => (0, k),
            Symbol::Site(k) => (1, k),
            Symbol::Constant(k) => (2, k),
            Symbol::Runtime(f) => (3, f as u32),
            Symbol::Table(k) => (4, k),
        }
    }

    pub fn of_name(kind: u32, number: u32) -> Option<Symbol> {
        Some(match kind {
            0 => Symbol::Function(number),
            1 => Symbol::Site(number),
            2 => Symbol::Constant(number),
            3 => Symbol::Runtime(*Runtime::ALL.iter().find(|f| **f as u32 == number)?),
            4 => Symbol::Table(number),
            _ => return None,
        })
    }
}

/// What a site is made from.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) enum SiteSpec {
    Log(LogSite),
    Check(CheckSite),
    Loop(LoopSite),
    /// With a share, in parts.
    Product(Box<MatMul>, Option<Share>),
    Sort(Box<Sort>, Vec<DType>, Option<Share>),
}

impl SiteSpec {
    pub fn build(self) -> Result<Site, CpuError> {
        let whole = || CpuError::internal("nothing to divide");
        Ok(match self {
            SiteSpec::Log(site) => Box::new(site),
            SiteSpec::Check(site) => Box::new(site),
            SiteSpec::Loop(site) => Box::new(site),
            SiteSpec::Product(m, None) => Box::new(MatMulSite::new(&m)?),
            SiteSpec::Product(m, Some(share)) => Box::new(Divided::product(&m, share)?.ok_or_else(whole)?),
            SiteSpec::Sort(s, dtypes, None) => Box::new(SortSite::new(&s, &dtypes)?),
            SiteSpec::Sort(s, dtypes, Some(share)) => Box::new(Divided::sort(&s, &dtypes, share)?.ok_or_else(whole)?),
        })
    }
}
