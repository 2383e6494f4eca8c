"""Records ONNX's own node tests as onnx_cases.json and onnx_cases.npz: python record_onnx.py OUT [RECORDED]

One case is one node with the inputs and outputs of its first data set; those named in the folder RECORDED are left out. Needs onnx and numpy."""

import json
import sys
from pathlib import Path

import numpy as np
from onnx import AttributeProto, TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.defs import OpSchema, get_schema

# More is a benchmark, not a test.
MOST_BYTES = 1 << 21


def attribute(a):
    """Numbers, texts and lists as they are; an array as the list of its elements."""
    value = helper.get_attribute_value(a)
    match a.type:
        case AttributeProto.STRING:
            return value.decode()
        case AttributeProto.STRINGS:
            return [v.decode() for v in value]
        case AttributeProto.TENSOR:
            return numpy_helper.to_array(value).ravel().tolist()
        case AttributeProto.INT | AttributeProto.FLOAT:
            return value
        case AttributeProto.INTS | AttributeProto.FLOATS:
            return list(value)
    raise ValueError(f"an attribute of another kind: {a.name}")


def array(value):
    """An array of numbers as NumPy saves it, or an error."""
    if isinstance(value, TensorProto):
        value = numpy_helper.to_array(value)
    if not isinstance(value, (np.ndarray, np.generic)):
        raise ValueError("a sequence, a map or nothing")
    if value.dtype.name == "bfloat16":
        return value.view("V2")
    if value.dtype.kind not in "biuf":
        raise ValueError(f"elements of {value.dtype}")
    return np.asarray(value)


def case(test, i, arrays):
    graph = test.model.graph
    if len(graph.node) != 1 or test.kind != "node":
        raise ValueError("not one node")
    (node,) = graph.node
    inputs, outputs = test.data_sets[0]
    about = {
        "i": i,
        "name": test.name,
        "op": node.op_type,
        "opset": get_schema(node.op_type, test.model.opset_import[0].version, node.domain).since_version,
        "attrs": {a.name: attribute(a) for a in node.attribute},
        "inputs": list(node.input),
        "graph_inputs": [v.name for v in graph.input],
        "outputs": list(node.output),
        "rtol": test.rtol,
        "atol": test.atol,
    }
    json.dumps(about, allow_nan=False)
    found = {f"{i}/i{k}": array(x) for k, x in enumerate(inputs)} | {f"{i}/o{k}": array(x) for k, x in enumerate(outputs)}
    if sum(x.nbytes for x in found.values()) > MOST_BYTES:
        raise ValueError("larger than a test")
    arrays.update(found)
    return about


def main(out, recorded=None):
    names = {c["name"] for c in json.loads((Path(recorded) / "onnx_cases.json").read_text())} if recorded else set()
    cases, arrays, left = [], {}, {}
    for test in collect_testcases(None):
        if test.name in names:
            continue
        try:
            cases.append(case(test, len(cases), arrays))
        except Exception as e:
            left.setdefault(str(e), []).append(test.name)
    Path(out).mkdir(parents=True, exist_ok=True)
    (Path(out) / "onnx_cases.json").write_text(json.dumps(cases))
    np.savez_compressed(Path(out) / "onnx_cases.npz", **arrays)
    print(f"{len(cases)} cases")
    for reason, tests in sorted(left.items()):
        print(f"{len(tests)} left out, {reason}: {', '.join(tests[:6])} …")


main(*sys.argv[1:])
