//! `--fast-math`: products of `f32` by `mma.sync`, which multiplies numbers of 10 bits behind the point (tf32) and adds in `f32`, in whatever order.
//!
//! A warp has a tile of the result, of blocks of 16 rows and 8 columns. Of eight steps of the contracted dimension, lane l = 4 g + t loads, of each block of rows,
//! rows g and g + 8 of a at steps t and t + 4, and of each block of columns column g of b at these steps; it has the sums of rows g and g + 8 in columns 2 t and 2 t + 1
//! (PTX ISA, matrix fragments of `mma.m16n8k8`).

use whorl_core::ir::DType;
use whorl_schedule::loop_ir::*;

use crate::CudaError;
use crate::address::Address;
use crate::emit;
use crate::kernel::Kernel;
use crate::product::{Target, finish, moving, pointer, tile_at};
use crate::ptx::{Class, Operand, Reg};

/// Of a block: rows, columns, steps.
const BLOCK: (usize, usize, usize) = (16, 8, 8);

/// Blocks of a tile: along rows, along columns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    rows: usize,
    columns: usize,
}

impl Plan {
    fn size(self) -> (usize, usize) {
        (self.rows * BLOCK.0, self.columns * BLOCK.1)
    }

    fn tiles(self, m: &MatMul) -> usize {
        let (rows, columns) = self.size();
        m.batch.iter().product::<usize>() * (m.m / rows) * (m.n / columns)
    }

    /// Rough instructions of a lane, as `product` counts them.
    fn cost(self, m: &MatMul, warps: usize) -> usize {
        let Plan { rows, columns } = self;
        // A load is dearer than what is done with it, and each number is rounded to tf32.
        let turn = 3 * (4 * rows + 2 * columns) + 2 * rows * columns + 6;
        self.tiles(m).div_ceil(warps) * (turn * (m.k / BLOCK.2) + 20 + 16 * rows * columns)
    }
}

/// The best way, if it is better than what costs so much; none where sizes are not whole blocks.
pub fn plan(k: &Kernel, m: &MatMul, cost: usize) -> Option<Plan> {
    let whole = m.m.is_multiple_of(BLOCK.0) && m.n.is_multiple_of(BLOCK.1) && m.k.is_multiple_of(BLOCK.2) && m.k > 0;
    let warps = k.threads / 32;
    if !k.fast || m.dtype != DType::F32 || !whole || warps == 0 {
        return None;
    }
    let all = [1, 2].into_iter().flat_map(|rows| [1, 2, 4, 8].map(|columns| Plan { rows, columns }));
    let fits = |p: &Plan| m.m.is_multiple_of(p.size().0) && m.n.is_multiple_of(p.size().1);
    let best = all.filter(fits).min_by_key(|p| p.cost(m, warps))?;
    (best.cost(m, warps) < cost).then_some(best)
}

pub fn emit(k: &mut Kernel, m: &MatMul, plan: Plan) -> Result<(), CudaError> {
    let (tiles, warps) = (plan.tiles(m), k.threads / 32);
    let lane = k.text.two("and.b32", Class::Word, k.thread, Operand::Int(31));
    let (group, place) = k.text.divided(lane.into(), 4);
    let at = k.text.two("shr.u32", Class::Word, k.thread, Operand::Int(5));
    let (head, done) = (k.text.label(), k.text.label());
    if tiles > warps {
        k.text.place_loop(head);
    }
    // All lanes of a warp go the same way, and have to be at the same instruction.
    emit!(k.text, "bar.warp.sync -1");
    let over = k.text.two("setp.ge.u32", Class::Predicate, at, Operand::Int(tiles as i64));
    k.text.jump_if(over, done);
    tile(k, m, plan, at.into(), (group, place))?;
    if tiles > warps {
        emit!(k.text, "add.s32 {at}, {at}, {warps}");
        k.text.jump(head);
    }
    k.text.place(done);
    Ok(())
}

fn tile(
    k: &mut Kernel,
    m: &MatMul,
    plan: Plan,
    at: Operand,
    (group, place): (Operand, Operand),
) -> Result<(), CudaError> {
    let batch = m.batch.len();
    let (index, row, column) = tile_at(k, m, at, plan.size());
    let (a_free, a_step) = (m.a.strides[batch], m.a.strides[batch + 1]);
    let (b_step, b_free) = (m.b.strides[batch], m.b.strides[batch + 1]);
    let own_row = k.text.times_plus(group, 1, row);
    let own_column = k.text.times_plus(group, 1, column);
    let a_at = pointer(k, &m.a, &index, &[(own_row, a_free), (place, a_step)])?;
    let b_at = pointer(k, &m.b, &index, &[(place, b_step), (own_column, b_free)])?;
    // By block of rows, then of columns: rows g and g + 8, of each two columns.
    let sums: Vec<[Reg; 4]> = (0..plan.rows * plan.columns)
        .map(|_| {
            std::array::from_fn(|_| {
                let r = k.text.reg(Class::F32);
                k.text.assign(r, Operand::f32(0.0));
                r
            })
        })
        .collect();
    let turns = m.k / BLOCK.2;
    let (a_at, b_at) = if turns > 1 { (moving(k, a_at), moving(k, b_at)) } else { (a_at, b_at) };
    let (left, head) = (k.text.reg(Class::Word), k.text.label());
    if turns > 1 {
        k.text.assign(left, Operand::Int(turns as i64));
        k.text.place_loop(head);
    }
    let bytes =
        |rows: usize, free: isize, steps: usize, step: isize| (rows as isize * free + steps as isize * step) * 4;
    let number = |k: &mut Kernel, at: Address, bytes: isize| {
        let x = k.load(DType::F32, at.plus(bytes as i64));
        k.text.one("cvt.rna.tf32.f32", Class::Word, x)
    };
    let a: Vec<[Reg; 4]> = (0..plan.rows)
        .map(|i| {
            [(0, 0), (8, 0), (0, 4), (8, 4)]
                .map(|(rows, steps)| number(k, a_at, bytes(BLOCK.0 * i + rows, a_free, steps, a_step)))
        })
        .collect();
    let b: Vec<[Reg; 2]> = (0..plan.columns)
        .map(|j| [0, 4].map(|steps| number(k, b_at, bytes(BLOCK.1 * j, b_free, steps, b_step))))
        .collect();
    for (i, [a0, a1, a2, a3]) in a.iter().enumerate() {
        for (j, [b0, b1]) in b.iter().enumerate() {
            let [s0, s1, s2, s3] = sums[i * plan.columns + j];
            emit!(
                k.text,
                "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {{{s0}, {s1}, {s2}, {s3}}}, {{{a0}, {a1}, {a2}, {a3}}}, {{{b0}, {b1}}}, {{{s0}, {s1}, {s2}, {s3}}}"
            );
        }
    }
    if turns > 1 {
        for (at, step) in [(a_at, a_step), (b_at, b_step)] {
            let by = BLOCK.2 as isize * step * 4;
            let op = if at.space.class() == Class::Word { "add.s32" } else { "add.s64" };
            emit!(k.text, "{op} {}, {}, {by}", at.reg, at.reg);
        }
        emit!(k.text, "sub.s32 {left}, {left}, 1");
        let more = k.text.two("setp.gt.s32", Class::Predicate, left, Operand::Int(0));
        k.text.jump_if(more, head);
    }
    let rows: Vec<isize> = (0..plan.rows as isize).flat_map(|i| [16 * i, 16 * i + 8]).collect();
    let columns: Vec<isize> = (0..plan.columns as isize).flat_map(|j| [8 * j, 8 * j + 1]).collect();
    let mut in_rows = Vec::new();
    for i in 0..plan.rows {
        for half in [0, 2] {
            in_rows.extend((0..plan.columns).flat_map(|j| sums[i * plan.columns + j][half..half + 2].to_vec()));
        }
    }
    let column = k.text.times_plus(place, 2, column);
    finish(k, m, &Target { index: &index, row: own_row, column, rows: &rows, columns: &columns }, &in_rows)
}
