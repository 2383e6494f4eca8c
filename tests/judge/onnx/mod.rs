//! ONNX node tests as scripts that use the standard library.
