//! One run's arena, byte by byte, and who wrote each byte.

use whorl_core::ir::*;

use super::{EvalError, defect};
use crate::loop_ir::*;

pub struct Memory<'a> {
    p: &'a LoopProgram,
    bytes: Vec<u8>,
    /// The buffer through which each byte was last written; `NOBODY` before.
    writer: Vec<u32>,
}

const NOBODY: u32 = u32::MAX;

impl<'a> Memory<'a> {
    pub fn new(p: &'a LoopProgram) -> Memory<'a> {
        Memory { p, bytes: vec![0xA5; p.arena_bytes], writer: vec![NOBODY; p.arena_bytes] }
    }

    /// The element number in the buffer, for a position, with `more` elements added.
    fn element(&self, v: &View, position: &[usize], more: isize) -> Result<isize, EvalError> {
        let mut at = v.offset + more;
        for d in &v.dynamic {
            at += (self.read(d.index, 0)? as u32 as i32).clamp(0, d.max) as isize * d.stride;
        }
        if v.strides.len() != position.len() {
            return defect(format!("a view of {} strides at a position of {}", v.strides.len(), position.len()));
        }
        Ok(at + v.strides.iter().zip(position).map(|(s, &i)| s * i as isize).sum::<isize>())
    }

    pub fn load(&self, v: &View, position: &[usize], more: isize) -> Result<u64, EvalError> {
        self.read(v.buffer, self.element(v, position, more)?)
    }

    pub fn store(&mut self, v: &View, position: &[usize], more: isize, bits: u64) -> Result<(), EvalError> {
        let at = self.element(v, position, more)?;
        self.write(v.buffer, at, bits)
    }

    /// Where element `at` lies.
    fn range(&self, id: BufferId, at: isize) -> Result<std::ops::Range<usize>, EvalError> {
        let b = self.p.buffer(id);
        if at < 0 || at as usize >= b.len() {
            let name = b.name.as_deref().unwrap_or("");
            return defect(format!("element {at} of buffer {} {name} of {} elements", id.0, b.len()));
        }
        let width = b.dtype.bytes();
        let start = match &b.place {
            Place::Arena(start) => *start,
            Place::Constant(_) => 0,
        } + at as usize * width;
        Ok(start..start + width)
    }

    pub fn read(&self, id: BufferId, at: isize) -> Result<u64, EvalError> {
        let range = self.range(id, at)?;
        let b = self.p.buffer(id);
        if let Place::Constant(data) = &b.place {
            return Ok(data.element(at as usize).bits);
        }
        if let Some(&w) = self.writer[range.clone()].iter().find(|w| **w != id.0) {
            let by = if w == NOBODY { "nobody".to_string() } else { format!("buffer {w}") };
            let name = b.name.as_deref().unwrap_or("");
            return defect(format!("element {at} of buffer {} {name} is read, but {by} wrote it last", id.0));
        }
        let bytes = &self.bytes[range];
        Ok(match b.dtype {
            DType::F64 => u64::from_ne_bytes(bytes.try_into().expect("eight bytes")),
            DType::F32 | DType::I32 | DType::U32 => u32::from_ne_bytes(bytes.try_into().expect("four bytes")) as u64,
            DType::F16 | DType::BF16 => u16::from_ne_bytes(bytes.try_into().expect("two bytes")) as u64,
            DType::U8 | DType::Bool => bytes[0] as u64,
        })
    }

    pub fn write(&mut self, id: BufferId, at: isize, bits: u64) -> Result<(), EvalError> {
        let range = self.range(id, at)?;
        let b = self.p.buffer(id);
        if let Place::Constant(_) = b.place {
            return defect(format!("constant buffer {} is written", id.0));
        }
        self.writer[range.clone()].fill(id.0);
        let bytes = &mut self.bytes[range];
        match b.dtype {
            DType::F64 => bytes.copy_from_slice(&bits.to_ne_bytes()),
            DType::F32 | DType::I32 | DType::U32 => bytes.copy_from_slice(&(bits as u32).to_ne_bytes()),
            DType::F16 | DType::BF16 => bytes.copy_from_slice(&(bits as u16).to_ne_bytes()),
            DType::U8 | DType::Bool => bytes[0] = bits as u8,
        }
        Ok(())
    }

    /// All elements of a buffer.
    pub fn contents(&self, id: BufferId) -> Result<Vec<u8>, EvalError> {
        let b = self.p.buffer(id);
        let lits = (0..b.len())
            .map(|k| Ok(Lit { dtype: b.dtype, bits: self.read(id, k as isize)? }))
            .collect::<Result<Vec<Lit>, EvalError>>()?;
        Ok(ArrayData::from_lits(b.dtype, &b.shape, &lits).bytes)
    }
}
