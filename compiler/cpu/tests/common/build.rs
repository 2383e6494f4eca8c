//! Programs of Loop IR built by hand.

use std::sync::Arc;

use smallvec::SmallVec;
use whorl_core::ir::{ArrayData, DType, Lit, Shape, Spans};
use whorl_schedule::loop_ir::*;

/// What is computed with; halves are only stored.
pub const COMPUTED: [DType; 6] = [DType::F32, DType::F64, DType::I32, DType::U32, DType::U8, DType::Bool];

/// Numbers that look random and are always the same.
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }
    pub fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// An element, awkward ones often.
    pub fn element(&mut self, dtype: DType) -> Lit {
        const FLOATS: [f64; 16] = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            2.5,
            -3.5,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            1e-40,
            -1e-310,
            1e30,
            -3e9,
            4.1e9,
            255.5,
        ];
        const INTS: [u64; 12] = [0, 1, 2, 3, 31, 32, 33, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_fffe, 0x100];
        let awkward = self.below(3) == 0;
        let float = (self.bits() >> 11) as f64 / (1u64 << 53) as f64 * 8.0 - 4.0;
        let float = if awkward { self.one_of(&FLOATS) } else { float };
        let int = if awkward { self.one_of(&INTS) } else { self.bits() >> self.below(64) };
        match dtype {
            DType::F32 => Lit::f32(float as f32),
            DType::F64 => Lit::f64(float),
            DType::F16 | DType::BF16 => Lit::of(dtype, float),
            DType::I32 => Lit::i32(int as i32),
            DType::U32 => Lit::u32(int as u32),
            DType::U8 => Lit::u8(int as u8),
            DType::Bool => Lit::bool(int & 1 == 1),
        }
    }

    pub fn array(&mut self, dtype: DType, shape: &[usize]) -> ArrayData {
        let n = shape.iter().product();
        let lits: Vec<Lit> = (0..n).map(|_| self.element(dtype)).collect();
        ArrayData::from_lits(dtype, shape, &lits)
    }
}

/// A program under construction.
pub struct Build {
    pub program: LoopProgram,
    pub args: Vec<ArrayData>,
}

impl Build {
    pub fn new() -> Build {
        let program = LoopProgram {
            runs: None,
            run_index: None,
            buffers: Vec::new(),
            arena_bytes: 0,
            inputs: Vec::new(),
            outputs: Vec::new(),
            logs: vec!["log".into()],
            phases: Vec::new(),
        };
        Build { program, args: Vec::new() }
    }

    pub fn buffer(&mut self, dtype: DType, shape: &[usize]) -> BufferId {
        let at = self.program.arena_bytes;
        let shape = Shape::from_slice(shape);
        let buffer = Buffer { dtype, shape, place: Place::Arena(at), name: None, spans: Spans::new() };
        self.program.arena_bytes = (at + buffer.bytes()).next_multiple_of(64);
        self.program.buffers.push(buffer);
        BufferId(self.program.buffers.len() as u32 - 1)
    }

    pub fn input(&mut self, data: ArrayData) -> BufferId {
        let id = self.buffer(data.ty.dtype, &data.ty.shape);
        self.program.inputs.push(id);
        self.args.push(data);
        id
    }

    pub fn constant(&mut self, data: ArrayData) -> BufferId {
        let id = self.buffer(data.ty.dtype, &data.ty.shape);
        self.program.buffers[id.0 as usize].place = Place::Constant(Arc::new(data));
        id
    }

    pub fn output(&mut self, dtype: DType, shape: &[usize]) -> BufferId {
        let id = self.buffer(dtype, shape);
        self.program.outputs.push(id);
        id
    }

    pub fn straight(&mut self, nodes: Vec<Node>) {
        self.program.phases.push(Phase::Straight(nodes));
    }
}

pub fn view(buffer: BufferId, strides: &[isize]) -> View {
    View { buffer, offset: 0, dynamic: SmallVec::new(), strides: SmallVec::from_slice(strides) }
}

pub fn row_major(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; shape.len()];
    for k in (1..shape.len()).rev() {
        strides[k - 1] = strides[k] * shape[k] as isize;
    }
    strides
}

pub fn op(kind: LaneKind, dtype: DType) -> LaneOp {
    LaneOp { kind, dtype }
}

pub fn load(buffer: BufferId, strides: &[isize], dtype: DType) -> LaneOp {
    op(LaneKind::Load(view(buffer, strides)), dtype)
}

pub fn store(buffer: BufferId, strides: &[isize], value: u32, dtype: DType) -> LaneOp {
    op(LaneKind::Store(view(buffer, strides), Value(value)), dtype)
}

pub fn lanes(dims: &[usize], ops: Vec<LaneOp>) -> Node {
    reducing(dims, &[], ops, Vec::new())
}

pub fn reducing(dims: &[usize], reduced: &[usize], ops: Vec<LaneOp>, reductions: Vec<Reduction>) -> Node {
    let (dims, reduced) = (Shape::from_slice(dims), Shape::from_slice(reduced));
    Node::Lanes(Lanes { dims, reduced, ops, reductions, spans: Spans::new() })
}

/// Equal to the bit, but for what kind of NaN.
pub fn same(a: &ArrayData, b: &ArrayData) -> Result<(), String> {
    if a.ty != b.ty {
        return Err(format!("types {:?} and {:?}", a.ty, b.ty));
    }
    for k in 0..a.ty.size() {
        let (x, y) = (a.element(k), b.element(k));
        let nan = a.ty.dtype.is_float() && x.to_f64().is_nan() && y.to_f64().is_nan();
        if x.bits != y.bits && !nan {
            return Err(format!("element {k}: {} ({:#x}) and {} ({:#x})", x.to_f64(), x.bits, y.to_f64(), y.bits));
        }
    }
    Ok(())
}
