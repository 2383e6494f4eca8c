//! What Python, NumPy, JAX and PyTorch call it, and what is written here instead.

/// Names of functions and modules.
const NAMES: &[(&str, &str)] = &[
    (
        "append",
        "nothing grows: `for x in xs { … }` builds the array, its last line is the element; `concat` joins arrays",
    ),
    ("amax", "`max(x)`"),
    ("amin", "`min(x)`"),
    ("arccos", "`acos(x)`"),
    ("arcsin", "`asin(x)`"),
    ("arctan", "`atan(x)`"),
    ("arctan2", "`atan2(y, x)`"),
    ("array", "`[a, b, c]` is an array"),
    ("asarray", "`[a, b, c]` is an array"),
    ("astype", "`f32(x)`, `i32(x)`, … convert"),
    ("bitwise_and", "`bit_and(a, b)`"),
    ("bitwise_not", "`bit_not(a)`"),
    ("bitwise_or", "`bit_or(a, b)`"),
    ("bitwise_xor", "`bit_xor(a, b)`"),
    ("class", "a `type` is a record of values; an interface is a record of functions"),
    ("clip", "`clamp(x, low, high)`"),
    ("concatenate", "`concat(a, b)`"),
    ("cond", "`if c { … } else { … }`"),
    ("custom_jvp", "`custom_vjp(forward, backward)` is there for the way back"),
    ("device_put", "programs run where they were told to; nothing is moved"),
    ("dict", "a record: `{ x: 1.0, y: 2.0 }`"),
    (
        "einsum",
        "write the sum: `for row in a { for column in transpose(b) { sum(row * column) } }` becomes a matrix product",
    ),
    ("empty", "`zeros(n)`"),
    ("expand_dims", "`reshape(x, n, 1)`"),
    ("filter", "sizes are known before the program runs: `where(keep, x, 0.0)` keeps the length"),
    ("float", "`f32(x)`"),
    ("float32", "`f32(x)`"),
    ("float64", "`f64(x)`"),
    ("fori_loop", "`scan s = s0 for i in 0..n { … }`"),
    ("int", "`i32(x)`"),
    ("int32", "`i32(x)`"),
    ("isinstance", "types are known when the program is traced"),
    ("item", "one number is a number: there is nothing to take out"),
    ("jacfwd", "`jacobian(f)(x)`"),
    ("jacrev", "`jacobian(f)(x)`"),
    ("jax", "functions need no module: `exp(x)`, `grad(f)`, and `for` in place of `vmap`"),
    ("jit", "everything is compiled: leave it out"),
    ("jnp", "functions need no module: `exp(x)`"),
    ("lax", "functions need no module; loops are `scan` and `while`"),
    ("list", "`[a, b, c]`, or `for … { … }`"),
    ("load", "`data x = load(\"file.npz\")`, at the top of the file"),
    ("loadtxt", "`data x = load(\"file.csv\")`, at the top of the file"),
    ("logical_and", "`a and b`"),
    ("logical_not", "`not a`"),
    ("logical_or", "`a or b`"),
    ("map", "`for x in xs { f(x) }`"),
    ("math", "functions need no module: `sqrt(x)`"),
    ("matmul", "`a @ b`"),
    ("maximum", "`max(a, b)`"),
    ("meshgrid", "`for x in xs { for y in ys { … } }`"),
    ("minimum", "`min(a, b)`"),
    ("ndim", "`len(shape(x))`"),
    ("newaxis", "`reshape(x, n, 1)`"),
    ("nonzero", "sizes are known before the program runs: `where(c, x, 0.0)` keeps the length"),
    ("np", "functions need no module: `exp(x)`"),
    ("numpy", "functions need no module: `exp(x)`"),
    ("object", "a record: `{ x: 1.0, y: 2.0 }`"),
    ("pmap", "`for x in xs { … }` is the vectorisation"),
    ("popcount", "`pop_count(x)`"),
    ("power", "`pow(x, y)`"),
    (
        "break",
        "loops run to their end: `scan … until c { … }` stops early, `while s = s0; c { … }` runs as long as c holds",
    ),
    ("continue", "every round gives a value: choose it with `if`"),
    ("pass", "`()` is no value"),
    ("plt", "what is logged is drawn: `log(\"name\", value)` gives a curve in the run folder"),
    ("nn", "`import std.nn`"),
    ("optim", "`import std.optim`"),
    ("pi", "`let pi = 3.14159265`"),
    ("NaN", "`0.0 / 0.0`"),
    ("Inf", "`1.0 / 0.0`"),
    ("inf", "`1.0 / 0.0`"),
    ("nan", "`0.0 / 0.0`"),
    ("print", "`log(\"name\", value)` records a value"),
    ("PRNGKey", "`key(0)`, or the parameter `key: Key` of `main`"),
    ("rand", "`uniform(key, n)`"),
    ("randn", "`normal(key, n)`"),
    ("random", "`uniform(key, n)`, `normal(key, n)`: each key is used once"),
    ("range", "`0..n`"),
    ("ravel", "`flatten(x)`"),
    ("reduce", "`fold(f, init, xs)`"),
    ("relu", "`import std.nn`, then `nn.relu(x)`"),
    ("repeat", "`for x in xs { … }`, or `full(x, n)`"),
    ("self", "functions take their state as an argument"),
    ("segment_sum", "`scatter_add(zeros(n), places, values)`"),
    ("set", "`xs with [i] = v`"),
    ("shift", "`roll(x, 1)`"),
    ("softmax", "`import std.nn`, then `nn.softmax(x)`"),
    ("squeeze", "`reshape(x, n)`, or `x[0]`"),
    ("std", "the library is imported by module: `import std.nn`"),
    ("str", "programs compute with numbers; `log(\"name\", value)` names one"),
    ("swapaxes", "`transpose(x, 1, 0)`"),
    ("take", "`xs[places]`"),
    ("tensor", "`[a, b, c]` is an array"),
    ("tile", "`full(x, n)`"),
    ("torch", "functions need no module: `exp(x)`"),
    ("tree_leaves", "`tree_map(f, tree)` and `tree_sum(tree)` work on all leaves"),
    ("uint32", "`u32(x)`"),
    ("uint8", "`u8(x)`"),
    ("unsqueeze", "`reshape(x, n, 1)`"),
    ("var", "`mean(square(x - mean(x)))`"),
    ("view", "`reshape(x, …)`"),
    ("vmap", "`for x in xs { f(x) }` is the vectorisation"),
    ("while_loop", "`while s = s0; condition { … }`"),
];

/// What follows a dot in NumPy.
const MEMBERS: &[(&str, &str)] = &[
    ("append", "nothing grows: `for x in xs { … }` builds the array; `concat(xs, [x])` joins arrays"),
    ("backward", "`grad(loss)(w)`: the gradient is a function of the function"),
    ("count", "`len(x)`"),
    ("len", "`len(x)`"),
    ("length", "`len(x)`"),
    ("step", "`optim.step(…)` gives a new state: nothing changes in place"),
    ("zero_grad", "gradients are values, and not summed up anywhere: leave it out"),
    ("at", "`xs with [i] = v`; `scatter_add(xs, places, values)` for many"),
    ("copy", "nothing changes in place, so there is nothing to copy"),
    ("detach", "`stop_gradient(x)`"),
    ("dtype", "types are known: `zeros_like(x)`, `f32(x)`"),
    ("grad", "`grad(f)(x)` is a function of the function"),
    ("ndim", "`len(shape(x))`"),
    ("numpy", "there is nothing to convert"),
    ("shape", "`shape(x)`, or `len(x)` for the first axis"),
    ("size", "`tree_size(x)`"),
    ("T", "`transpose(x)`"),
];

/// Names of types.
const TYPES: &[(&str, &str)] = &[
    ("Any", "a parameter without a type takes any value"),
    ("Array", "`f32[n]`, with its sizes"),
    ("Callable", "`fn(f32) -> f32`, or no type at all"),
    ("Dict", "a record: `type State = { x: f32, v: f32 }`"),
    ("Float", "`f32`"),
    ("Int", "`i32`; `size` for a whole number known before the program runs"),
    ("List", "`f32[n]`: an array with its sizes"),
    ("Optional", "an `enum` says which it is, or a value and a `bool`"),
    ("PRNGKey", "`Key`"),
    ("Tensor", "`f32[n, 4]`, with its sizes"),
    ("Tuple", "`(f32, i32)`"),
    ("Vec", "`f32[n]`: an array with its sizes"),
    ("array", "`f32[n]`, with its sizes"),
    ("bfloat16", "`f32`"),
    ("boolean", "`bool`"),
    ("dict", "a record: `type State = { x: f32, v: f32 }`"),
    ("double", "`f64`"),
    ("float", "`f32`, or `f32[n, 4]` for an array"),
    ("float16", "`f32`"),
    ("float32", "`f32`, or `f32[n, 4]` for an array"),
    ("float64", "`f64`"),
    ("i16", "`i32`"),
    ("i64", "`i32`"),
    ("i8", "`i32`, or `u8`"),
    ("int", "`i32`; `size` for a whole number known before the program runs"),
    ("int32", "`i32`; `size` for a whole number known before the program runs"),
    ("int64", "`i32`"),
    ("key", "`Key`"),
    ("list", "`f32[n]`: an array with its sizes"),
    ("ndarray", "`f32[n, 4]`, with its sizes"),
    ("number", "`f32`, or `i32` for whole numbers"),
    ("str", "`string`"),
    ("tuple", "`(f32, i32)`"),
    ("u64", "`u32`"),
    ("uint32", "`u32`"),
    ("uint8", "`u8`"),
    ("usize", "`size`, known before the program runs, or `i32`"),
];

pub fn of_type(name: &str) -> Option<&'static str> {
    let last = name.rsplit('.').next().unwrap_or(name);
    TYPES.iter().find(|(n, _)| *n == last).map(|(_, text)| *text)
}

/// Names of arguments, and what they are called here.
const ARGUMENTS: &[(&str, &str)] = &[
    ("a_max", "high"),
    ("a_min", "low"),
    ("argnum", "wrt"),
    ("argnums", "wrt"),
    ("dim", "axis"),
    ("has_aux", "aux"),
    ("max", "high"),
    ("maxval", "high"),
    ("min", "low"),
    ("minval", "low"),
    ("shifts", "shift"),
    ("type", "dtype"),
];

/// What a misnamed argument is called among the parameters of a function.
pub fn of_argument(name: &str, params: &[&str]) -> Option<String> {
    let has = |p: &str| params.iter().any(|q| q.trim_end_matches(['?', '*']) == p);
    let known = ARGUMENTS.iter().find(|(n, here)| *n == name && has(here));
    let text = match name {
        "shape" | "size" if has("sizes") => "sizes are arguments of their own: `3, 4`".to_string(),
        "keepdims" | "keepdim" => {
            "an axis that is reduced goes away; `for row in x { row - mean(row) }` keeps the others".to_string()
        }
        _ => format!("it is called `{}` here", known?.1),
    };
    Some(text)
}

pub fn of_name(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}

/// `x.name` of an array, written as `receiver`: functions are not methods.
pub fn of_member(name: &str, receiver: &str) -> Option<String> {
    let x = if receiver.is_empty() { "x" } else { receiver };
    let known = MEMBERS.iter().find(|(n, _)| *n == name).map(|(_, text)| text.replace("(x)", &format!("({x})")));
    let method = |b: &crate::builtins::Builtin| {
        let more = if b.params.iter().skip(1).any(|p| !p.ends_with('?')) { ", …" } else { "" };
        format!("functions are not methods: `{}({x}{more})`", b.name)
    };
    known.or_else(|| of_name(name).map(str::to_string)).or_else(|| crate::builtins::find(name).map(method))
}

/// `np.tanh`, `jax.lax.scan`: the last name of a path that begins with a module of Python's.
pub fn of_path(path: &[&str]) -> Option<String> {
    let (first, last) = (path.first()?, path.last()?);
    let python = matches!(
        *first,
        "np" | "numpy"
            | "jnp"
            | "jax"
            | "lax"
            | "torch"
            | "math"
            | "tf"
            | "random"
            | "F"
            | "scipy"
            | "sp"
            | "tensorflow"
    );
    if !python || path.len() < 2 {
        return None;
    }
    let here = match *last {
        "scan" => Some("`scan s = s0 for x in xs { … }` is a loop of the language".to_string()),
        "pi" => Some("`let pi = 3.14159265`".to_string()),
        "e" => Some("`exp(1.0)`".to_string()),
        "inf" => Some("`1.0 / 0.0`".to_string()),
        "float32" | "float64" | "int32" | "bool_" => of_type(last).map(str::to_string),
        _ => None,
    };
    let builtin = || crate::builtins::find(last).map(|b| format!("functions need no module: `{}(…)`", b.name));
    here.or_else(builtin).or_else(|| of_name(last).map(str::to_string))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_here_is_no_habit() {
        let clash: Vec<&str> =
            super::NAMES.iter().map(|n| n.0).filter(|n| crate::builtins::find(n).is_some()).collect();
        assert!(clash.is_empty(), "{clash:?}");
    }
}
