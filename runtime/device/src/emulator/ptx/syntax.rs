//! What parsed PTX is.

/// PTX that is not loaded, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub line: u32,
    pub what: String,
}

impl Refusal {
    pub fn new(line: u32, what: impl Into<String>) -> Refusal {
        Refusal { line, what: what.into() }
    }
}

/// Types of registers, variables and instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    Pred,
    B8,
    B16,
    B32,
    B64,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F16,
    Bf16,
    F32,
    F64,
}

/// What the bits of a type mean, for the rules of which register goes with which instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Pred,
    Bits,
    Int,
    Float,
}

impl Type {
    pub fn parse(word: &str) -> Option<Type> {
        Some(match word {
            "pred" => Type::Pred,
            "b8" => Type::B8,
            "b16" => Type::B16,
            "b32" => Type::B32,
            "b64" => Type::B64,
            "u8" => Type::U8,
            "u16" => Type::U16,
            "u32" => Type::U32,
            "u64" => Type::U64,
            "s8" => Type::S8,
            "s16" => Type::S16,
            "s32" => Type::S32,
            "s64" => Type::S64,
            "f16" => Type::F16,
            "bf16" => Type::Bf16,
            "f32" => Type::F32,
            "f64" => Type::F64,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Type::Pred => "pred",
            Type::B8 => "b8",
            Type::B16 => "b16",
            Type::B32 => "b32",
            Type::B64 => "b64",
            Type::U8 => "u8",
            Type::U16 => "u16",
            Type::U32 => "u32",
            Type::U64 => "u64",
            Type::S8 => "s8",
            Type::S16 => "s16",
            Type::S32 => "s32",
            Type::S64 => "s64",
            Type::F16 => "f16",
            Type::Bf16 => "bf16",
            Type::F32 => "f32",
            Type::F64 => "f64",
        }
    }

    pub fn bytes(self) -> u32 {
        match self {
            Type::Pred => 0,
            Type::B8 | Type::U8 | Type::S8 => 1,
            Type::B16 | Type::U16 | Type::S16 | Type::F16 | Type::Bf16 => 2,
            Type::B32 | Type::U32 | Type::S32 | Type::F32 => 4,
            Type::B64 | Type::U64 | Type::S64 | Type::F64 => 8,
        }
    }

    pub fn class(self) -> Class {
        match self {
            Type::Pred => Class::Pred,
            Type::B8 | Type::B16 | Type::B32 | Type::B64 => Class::Bits,
            Type::F16 | Type::Bf16 | Type::F32 | Type::F64 => Class::Float,
            Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::S8 | Type::S16 | Type::S32 | Type::S64 => Class::Int,
        }
    }

    pub fn signed(self) -> bool {
        matches!(self, Type::S8 | Type::S16 | Type::S32 | Type::S64)
    }
}

/// Where a variable lives, or an access goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    Generic,
    Global,
    Shared,
    Const,
    Param,
}

/// A variable of the module or of a kernel.
#[derive(Debug, Clone)]
pub struct Variable {
    pub name: String,
    pub space: Space,
    pub align: u32,
    pub bytes: u64,
    /// The dynamic shared array: its size is the launch's.
    pub external: bool,
    /// The content at load; what follows it is zero. Nothing at all for shared memory.
    pub data: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Param {
    pub name: String,
    pub ty: Type,
    pub offset: u32,
}

/// A register, by its place in [`Entry::registers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reg(pub u32);

#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    Reg(Reg),
    /// `!p`
    Not(Reg),
    /// `%tid.x` and its like
    Special(String),
    Int(i128),
    F32(u32),
    F64(u64),
    /// A variable or a label.
    Name(String),
    /// `[base + offset]`; the base is a register, a name or a number.
    Memory(Box<Operand>, i64),
    List(Vec<Operand>),
    /// `d|p`
    Pair(Box<Operand>, Box<Operand>),
    /// `_`
    Sink,
}

/// A line of the user's program, from `.loc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loc {
    pub file: u32,
    pub line: u32,
    pub column: u32,
}

#[derive(Debug, Clone)]
pub struct Statement {
    pub line: u32,
    pub loc: Option<Loc>,
    /// The register, and whether the statement is executed where it is false.
    pub guard: Option<(Reg, bool)>,
    pub opcode: String,
    pub operands: Vec<Operand>,
}

#[derive(Debug, Clone)]
pub struct Register {
    pub name: String,
    pub ty: Type,
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub name: String,
    pub line: u32,
    pub params: Vec<Param>,
    pub max_threads: Option<u32>,
    pub registers: Vec<Register>,
    pub variables: Vec<Variable>,
    pub statements: Vec<Statement>,
    /// Names and the statements that they stand before.
    pub labels: Vec<(String, usize, u32)>,
}

#[derive(Debug, Clone)]
pub struct Module {
    pub version: (u32, u32),
    /// 80 for sm_80
    pub target: u32,
    pub files: Vec<(u32, String)>,
    pub variables: Vec<Variable>,
    pub entries: Vec<Entry>,
}
