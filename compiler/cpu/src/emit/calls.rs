//! Calls of the runtime's functions, by their addresses.

use cranelift_codegen::ir::types::{F32, F64, I64};
use cranelift_codegen::ir::{
    AbiParam, ExternalName, GlobalValueData, InstBuilder, Signature, Type, UserExternalName, Value,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;
use whorl_core::ir::DType;

use crate::image::{Runtime, Symbol};

/// Calls a function of the runtime.
pub fn call(builder: &mut FunctionBuilder, function: Runtime, args: &[Value], result: Option<Type>) -> Option<Value> {
    let mut signature = Signature::new(builder.func.signature.call_conv);
    for arg in args {
        signature.params.push(AbiParam::new(builder.func.dfg.value_type(*arg)));
    }
    signature.returns.extend(result.map(AbiParam::new));
    let signature = builder.import_signature(signature);
    let callee = address(builder, Symbol::Runtime(function));
    let call = builder.ins().call_indirect(signature, callee, args);
    builder.inst_results(call).first().copied()
}

/// Where something lies, which is known once the code is loaded.
pub fn address(builder: &mut FunctionBuilder, of: Symbol) -> Value {
    let (namespace, index) = of.name();
    let name = builder.func.declare_imported_user_function(UserExternalName { namespace, index });
    let name = ExternalName::user(name);
    let is = |data: &GlobalValueData| matches!(data, GlobalValueData::Symbol { name: other, .. } if *other == name);
    let known = builder.func.global_values.iter().find(|(_, data)| is(data)).map(|(value, _)| value);
    let value = known.unwrap_or_else(|| {
        let data = GlobalValueData::Symbol { name, offset: 0.into(), colocated: false, tls: false };
        builder.create_global_value(data)
    });
    builder.ins().symbol_value(I64, value)
}

/// The floating remainder of two scalars.
pub fn remainder(builder: &mut FunctionBuilder, dtype: DType, a: Value, b: Value) -> Value {
    let (function, ty) = if dtype == DType::F64 { (Runtime::RemainderF64, F64) } else { (Runtime::RemainderF32, F32) };
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
