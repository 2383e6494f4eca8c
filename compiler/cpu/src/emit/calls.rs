//! Calls of the runtime's functions, by their addresses.

use cranelift_codegen::ir::types::{F32, F64, I64};
use cranelift_codegen::ir::{AbiParam, InstBuilder, Signature, Type, Value};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;
use whorl_core::ir::DType;

use crate::runtime;

/// Calls a C function.
pub fn call(builder: &mut FunctionBuilder, function: *const u8, args: &[Value], result: Option<Type>) -> Option<Value> {
    let mut signature = Signature::new(builder.func.signature.call_conv);
    for arg in args {
        signature.params.push(AbiParam::new(builder.func.dfg.value_type(*arg)));
    }
    signature.returns.extend(result.map(AbiParam::new));
    let signature = builder.import_signature(signature);
    let callee = address(builder, function);
    let call = builder.ins().call_indirect(signature, callee, args);
    builder.inst_results(call).first().copied()
}

/// Where something of this program lies.
pub fn address(builder: &mut FunctionBuilder, of: *const u8) -> Value {
    builder.ins().iconst(I64, of as i64)
}

/// The floating remainder of two scalars.
pub fn remainder(builder: &mut FunctionBuilder, dtype: DType, a: Value, b: Value) -> Value {
    let (function, ty) = if dtype == DType::F64 {
        (runtime::remainder_f64 as *const u8, F64)
    } else {
        (runtime::remainder_f32 as *const u8, F32)
    };
    call(builder, function, &[a, b], Some(ty)).expect("a result was asked for")
}

/// `fn(arena, context) -> status`, with `from` and `to` for phases and lane loops of a range: the shape of all generated functions.
pub fn signature(convention: CallConv, range: bool) -> Signature {
    let mut signature = Signature::new(convention);
    let params = if range { 4 } else { 2 };
    signature.params.extend((0..params).map(|_| AbiParam::new(I64)));
    signature.returns.push(AbiParam::new(I64));
    signature
}
