#!/usr/bin/env python3
"""Fits the polynomials of src/math/series.rs, and the last piece of erf_inv's, and prints them.

Each is a least-squares fit at Chebyshev points of the relative error of the whole function; the coefficients are rounded to the width
one after the other from the lowest up, the others fitted again after each. Needs mpmath. `fit.py [f32|f64] [NAME…]`.
"""

import struct
import sys

from mpmath import mp, mpf, pi, cos, log, exp, erfc, sinh, sqrt, cbrt, loggamma, digamma, matrix, lu_solve, findroot

mp.dps = 70


def rounded(x, width):
    """x to the nearest float of the width."""
    y = float(x)
    return y if width == 64 else struct.unpack("f", struct.pack("f", y))[0]


def fit(f, weight, low, high, terms, width):
    """Coefficients of f over [low, high]; the error counts as `weight` of itself."""
    low, high = mpf(low), mpf(high)
    n = 6 * terms
    points = [(low + high) / 2 + (high - low) / 2 * cos(pi * (2 * k + 1) / (2 * n)) for k in range(n)]
    values = [f(x) for x in points]
    weights = [weight(x) for x in points]
    done = []
    while len(done) < terms:
        free = range(len(done), terms)
        rest = [v - sum(mpf(c) * x**k for k, c in enumerate(done)) for x, v in zip(points, values)]
        a = matrix(len(free), len(free))
        b = matrix(len(free), 1)
        rows = [[w * x**k for k in free] for x, w in zip(points, weights)]
        for i in range(len(free)):
            b[i] = sum(row[i] * w * r for row, w, r in zip(rows, weights, rest))
            for j in range(i + 1):
                a[i, j] = a[j, i] = sum(row[i] * row[j] for row in rows)
        done.append(rounded(lu_solve(a, b)[0], width))
    error = max(abs(w * (v - sum(mpf(c) * x**k for k, c in enumerate(done)))) for x, v, w in zip(points, values, weights))
    return done, error


def lg(x):
    return loggamma(x).real


def lgamma_1(z):
    return -mp.euler if z == 0 else lg(1 + z) / z


def lgamma_2(z):
    return 1 - mp.euler if z == 0 else lg(2 + z) / z


def stirling(w):
    u = 1 / sqrt(w)
    return (lg(u + mpf(1) / 2) - (u * log(u) - u + log(2 * pi) / 2)) * u


def psi_tail(w):
    u = 1 / sqrt(w)
    return (digamma(u + mpf(1) / 2) - log(u)) * u * u


ROOT = findroot(digamma, mpf("1.4616321449683623"))


def psi_near(s):
    x = s + mpf(3) / 2
    return digamma(x) / (x - ROOT)


def erfcx_scaled(middle):
    def f(t):
        x = middle * (1 + t) / (1 - t)
        return (1 + 2 * x) * exp(x * x) * erfc(x)
    return f


def erf_inv_tail(v):
    """erf_inv(x) / x over the root of t = -log(1 - x²), less 5; by Newton's iteration on erfc."""
    x = sqrt(1 - exp(-(v + 5) ** 2))
    rest = exp(-(v + 5) ** 2) / (1 + x)
    y = sqrt(-log(rest))
    for _ in range(100):
        step = (rest - erfc(y)) / (2 / sqrt(pi) * exp(-y * y))
        step = step / (1 + y * step)
        y -= step
        if abs(step) < mpf(10) ** -60:
            break
    return y / x


def t_of(x, middle):
    return (mpf(x) - middle) / (mpf(x) + middle)


# name: (f, weight, low, high, terms in f32, terms in f64); low and high may differ by width.
TABLE = {
    "SINH": (lambda z: (sinh(sqrt(z)) / sqrt(z) - 1) / z, lambda z: z * sqrt(z) / sinh(sqrt(z)), 1e-9, 1.02, 4, 8),
    "LGAMMA_1": (lgamma_1, lambda z: 1 / abs(lgamma_1(z)), -0.2501, 0.5001, 11, 22),
    "LGAMMA_2": (lgamma_2, lambda z: 1 / abs(lgamma_2(z)), -0.5001, 0.5001, 11, 22),
    "STIRLING": (stirling, lambda w: sqrt(w) / lg(1 / sqrt(w) + mpf(1) / 2), 1e-3, 0.2501, 5, 14),
    "PSI": (psi_near, lambda s: 1 / abs(psi_near(s)), -0.5001, 0.5001, 11, 22),
    "PSI_TAIL": (psi_tail, lambda w: w / digamma(1 / sqrt(w) + mpf(1) / 2), 1e-3, 0.4445, 6, 19),
    # The last piece of ERF_INV; in f32, none.
    "ERF_INV_TAIL": (erf_inv_tail, lambda v: 1 / erf_inv_tail(v), -1.001, 1.005, 0, 19),
    "ERFCX": None,
    "CBRT": (cbrt, lambda m: 1 / cbrt(m), 0.75, 1.5, 5, 5),
}


def row(name, width):
    if name == "ERFCX":
        middle = mpf(2)
        f = erfcx_scaled(middle)
        top = 10.1 if width == 32 else 27.3
        return fit(f, lambda t: 1 / f(t), t_of(0.46, middle), t_of(top, middle), 10 if width == 32 else 23, width)
    f, weight, low, high, narrow, wide = TABLE[name]
    return fit(f, weight, low, high, narrow if width == 32 else wide, width)


if __name__ == "__main__":
    widths = [int(a[1:]) for a in sys.argv[1:] if a in ("f32", "f64")] or [32, 64]
    names = [a for a in sys.argv[1:] if a in TABLE] or list(TABLE)
    for width in widths:
        for name in names:
            if width == 32 and name == "ERF_INV_TAIL":
                continue
            coefficients, error = row(name, width)
            print(f"    // {name} f{width}: {mp.nstr(error, 3)} = {mp.nstr(error * 2 ** (24 if width == 32 else 53), 3)} half ulp")
            print(f"    const {name}: &'static [f64] = &{coefficients!r};", flush=True)
