pub fn run(_: &mut crate::loop_ir::LoopProgram) {}
