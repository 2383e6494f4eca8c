"""Records cases of JAX's own primitive harnesses, in the form that `cargo test --test judge` reads.

    JAX_PLATFORMS=cpu python record_jax.py FOLDER [--groups abs dot_general] [--dtypes float32 int32] [--except OTHER/jax_harness.json]

A case is one use of a primitive: its program as text (`jax.make_jaxpr`), arguments and results; and, where its arguments and results are floats, what
`jax.jvp` and `jax.vjp` make of random tangents and cotangents. FOLDER gets `jax_harness.{json,npz}` and `jax_ad.{json,npz}`. Needs jax and absl.
"""

import argparse
import contextlib
import io
import json
import os
import warnings
import zlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
warnings.filterwarnings("ignore")

import jax
import numpy as np
from jax._src import core
from jax._src.internal_test_util import test_harnesses

# The values of the four types that most harnesses come in; others can be asked for.
DTYPES = ["float32", "int32", "uint32", "bool"]


def stored(x):
    """As NumPy can save it: keys as their words, bfloat16 as two bytes."""
    if hasattr(x, "dtype") and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    x = np.asarray(x)
    return x.view(np.dtype("V2")) if x.dtype.name == "bfloat16" else x


def text(jaxpr):
    """As JAX prints it; where its own rule for a primitive fails (`mul` in 0.10.2), by the general one."""
    try:
        return str(jaxpr)
    except KeyError:
        return jaxpr.jaxpr.pretty_print(custom_pp_eqn_rules=False)


def primitives(jaxpr, found):
    for eqn in jaxpr.eqns:
        found.setdefault(str(eqn.primitive))
        for inner in core.jaxprs_in_params(eqn.params):
            primitives(inner, found)
    return list(found)


def is_float(x):
    return np.issubdtype(np.asarray(x).dtype, np.floating)


def derivatives(f, args, outs, rng):
    """What is recorded of the derivatives, or None where there are none."""
    wrt = [k for k, a in enumerate(args) if is_float(a)]
    floats = [k for k, o in enumerate(outs) if is_float(o)]
    if not wrt or not floats:
        return None

    def of(*chosen):
        full = list(args)
        for k, x in zip(wrt, chosen):
            full[k] = x
        results = jax.tree.leaves(f(*full))
        return [results[k] for k in floats]

    primals = [jax.numpy.asarray(args[k]) for k in wrt]
    like = lambda xs: [rng.standard_normal(x.shape).astype(x.dtype) for x in xs]
    arrays = {}
    tangents = like(primals)
    values, jvp = jax.jvp(of, primals, tangents)
    cotangents = like(values)
    vjp = jax.vjp(of, *primals)[1](cotangents)
    for name, all in [("t", tangents), ("jvp", jvp), ("ct", cotangents), ("vjp", vjp)]:
        arrays.update({f"{name}{k}": stored(x) for k, x in enumerate(all)})
    return wrt, arrays


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--groups", nargs="*", help="of which primitives (default: all)")
    p.add_argument("--dtypes", nargs="*", default=DTYPES)
    p.add_argument("--except", dest="but", help="cases that are listed there are left out")
    p.add_argument("--values", action="store_true", help="no derivatives")
    p.add_argument("--seed", type=int, default=0)
    options = p.parse_args()
    known = set()
    if options.but:
        known = {case["name"] for case in json.load(open(options.but))}
    cases, arrays, of_derivatives, more = [], {}, [], {}
    for h in test_harnesses.all_harnesses:
        name, dtype = h.fullname, np.dtype(h.dtype).name
        wanted = dtype in options.dtypes and (not options.groups or h.group_name in options.groups)
        if not wanted or name in known or not h.filter("cpu"):
            continue
        known.add(name)
        rng = np.random.RandomState(zlib.crc32(name.encode()) ^ options.seed)
        i = len(cases)
        if i % 100 == 99:
            jax.clear_caches()
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                args = h.dyn_args_maker(rng)
                jaxpr = jax.make_jaxpr(h.dyn_fun)(*args)
                outs = jax.tree.leaves(jax.jit(h.dyn_fun)(*args))
                program = {"prims": primitives(jaxpr.jaxpr, {}), "jaxpr": text(jaxpr)}
                own = {f"{i}/a{k}": stored(a) for k, a in enumerate(jax.tree.leaves(args))}
        except Exception as e:
            print(f"not recorded: {name}: {type(e).__name__} {str(e)[:100]!r}", flush=True)
            continue
        own |= {f"{i}/o{k}": stored(o) for k, o in enumerate(outs)}
        own |= {f"{i}/c{k}": stored(c) for k, c in enumerate(jaxpr.consts)}
        arrays |= own
        about = {"i": i, "name": name, "group": h.group_name, "dtype": dtype}
        cases.append(about | program | {"nin": len(jaxpr.jaxpr.invars), "nout": len(outs)})
        try:
            made = None if options.values else derivatives(h.dyn_fun, args, outs, rng)
        except Exception:
            made = None
        if made:
            of_derivatives.append({"i": i, "name": name, "group": h.group_name, "wrt": made[0], "vjp": True})
            more |= {f"{i}/{k}": x for k, x in made[1].items()}
    os.makedirs(options.folder, exist_ok=True)
    for name, list_, all in [("jax_harness", cases, arrays), ("jax_ad", of_derivatives, more)]:
        with open(os.path.join(options.folder, name + ".json"), "w") as f:
            json.dump(list_, f)
        np.savez_compressed(os.path.join(options.folder, name + ".npz"), **all)
    print(f"{len(cases)} cases, {len(of_derivatives)} with derivatives")


if __name__ == "__main__":
    main()
