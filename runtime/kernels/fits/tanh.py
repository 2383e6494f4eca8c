#!/usr/bin/env python3
"""Fits the table of tanh of f32 (src/math/tanh.rs) and prints it: 32 rows of a middle and the seven coefficients of a polynomial around it.

A row's middle is not where the spacing would put it, but a float near there whose tanh is all but a float, since that is the first coefficient.
The others are fits of the relative error, rounded one after the other from the lowest up, the rest fitted again after each. Row 0 has the
middle 0, and the coefficients 0 and 1. Needs numpy, on a machine whose long double has 64 bits of mantissa.
"""

import numpy as np

ROWS_IN_ONE = 3.48
DEGREE = 6
f32, real = np.float32, np.longdouble


def middle(row):
    if row == 0:
        return f32(0), f32(0)
    # Close to 1 there are few floats, and the next whose tanh is one may lie in the row before.
    for reach in (20_000, 400_000):
        near = np.array(f32(row / ROWS_IN_ONE)).view(np.int32) + np.arange(-reach, reach // 20 + 1, dtype=np.int32)
        x = near.view(f32)
        y = np.tanh(x.astype(real))
        off = abs(y - y.astype(f32).astype(real))
        best = np.argmin(off)
        if off[best] < 1e-10:
            break
    return x[best], f32(y[best])


def fit(row):
    x, c0 = middle(row)
    low, high = (row - 0.5) / ROWS_IN_ONE - 1e-6, (row + 0.5) / ROWS_IN_ONE + 1e-6
    if row == 0:
        low = 1e-9
    points = (low + high) / 2 + (high - low) / 2 * np.cos(np.pi * (np.arange(400) + 0.5) / 400)
    d = points.astype(real) - real(x)
    target = np.tanh(points.astype(real))
    weight = (1 / target).astype(float)
    done = [c0] if row else [c0, f32(1)]
    scale = float(abs(d).max())
    while len(done) <= DEGREE:
        k = len(done)
        rest = target - sum(real(c) * d**j for j, c in enumerate(done))
        powers = np.stack([(d / real(scale)).astype(float) ** j for j in range(k, DEGREE + 1)], axis=1)
        w = weight.copy()
        # Towards the least largest error.
        for _ in range(40):
            solution, *_ = np.linalg.lstsq(powers * w[:, None], rest.astype(float) * w, rcond=None)
            error = abs(powers @ solution - rest.astype(float)) * weight
            w = w * (0.3 + error / error.max()) ** 0.5
            w = w / w.max() * weight.max()
        done.append(f32(solution[0] / scale**k))
    return [x, *done], float(error.max())


worst = 0.0
for row in range(32):
    numbers, error = fit(row)
    worst = max(worst, error)
    print("    [" + ", ".join(f"{float(str(v))!r}" for v in numbers) + "],")
print(f"// relative error of the fits: {worst:.1e}")
