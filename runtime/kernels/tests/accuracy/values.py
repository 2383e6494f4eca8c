#!/usr/bin/env python3
"""Writes values.bin: the elementary functions of 64-bit floats at chosen points, from mpmath, to more digits than a float has.

    values.py COUNT FILE [NAME…]

For each function a name (16 bytes), the number of operands and of points (u32 each); for each point the operands and the nearest f64
(8 bytes each), and what is missing from that f64 to the true value, in 1/16384 units in its last place (i16). All little-endian.
"""

import math
import random
import struct
import sys

from mpmath import mp, mpf

mp.prec = 320

LEAST = 5e-324


def ulp(y):
    y = abs(y)
    if y < 2.0**-1022:
        return mpf(2) ** -1074
    return mpf(2) ** (math.frexp(y)[1] - 53)


def nearest(v):
    """v as a float, rounded once."""
    e = max(mp.frexp(v)[1], -1021) - 53 if v else -1074
    scaled = mp.nint(mp.ldexp(v, -e))
    return math.ldexp(int(scaled), e) if abs(scaled) < 2**53 else float(mp.ldexp(scaled, e))


def lgamma(x):
    return mp.loggamma(x).real


def erf_inv(x):
    """Newton's iteration from a float's worth of digits; on erfc where erf is near 1."""
    a = abs(x)
    if a < mpf(2) ** -200:
        return x * mp.sqrt(mp.pi) / 2
    if a < mpf("0.5"):
        y = a * mpf("0.8862269")
    else:
        y = mp.sqrt(-mp.log(1 - a))
    for _ in range(60):
        error = mp.erf(y) - a if a < mpf("0.5") else (1 - a) - mp.erfc(y)
        step = error / (2 / mp.sqrt(mp.pi) * mp.exp(-y * y))
        step = step / (1 + y * step)
        y -= step
        if abs(step) < y * mpf(2) ** -200:
            break
    return y if x > 0 else -y


def any_size(low=-1074.0, high=1023.9):
    return lambda: math.ldexp(random.uniform(0.5, 1.0), int(random.uniform(low, high))) * random.choice((1, -1))


def positive(draw):
    return lambda: abs(draw())


def between(low, high):
    return lambda: random.uniform(low, high)


def beside(*places):
    """Within some thousand units in the last place."""
    def draw():
        place = random.choice(places)
        return place + random.randint(-2000, 2000) * float(ulp(place))
    return draw


def whole_ones(low, high):
    return lambda: float(random.randint(low, high))


HALF_PI = math.pi / 2
# name: function, and what draws points.
ONE = {
    "exp": (mp.exp, any_size(-60, 9.4), between(-745.1, 709.7), between(-1, 1), between(-745.1, -708.0)),
    "exp2": (lambda x: mpf(2) ** x, any_size(-60, 9.9), between(-1074, 1023), between(-1, 1), whole_ones(-1074, 1023)),
    "expm1": (mp.expm1, any_size(-1074, 9.4), between(-40, 709.7), between(-1, 1)),
    "log": (mp.log, positive(any_size()), between(0, 3), beside(1.0), between(0.5, 2)),
    "log2": (lambda x: mp.log(x, 2), positive(any_size()), between(0, 3), beside(1.0), between(0.5, 2)),
    "log1p": (mp.log1p, positive(any_size()), between(-0.9999, 3), any_size(-1074, -1), beside(-1.0 + 2**-30)),
    "sin": (mp.sin, any_size(), between(-10, 10), beside(math.pi, 2 * math.pi, -HALF_PI, 1e6 * math.pi), between(-1e6, 1e6)),
    "cos": (mp.cos, any_size(), between(-10, 10), beside(math.pi, 3 * HALF_PI, -HALF_PI, 1e6 * math.pi), between(-1e6, 1e6)),
    "tan": (mp.tan, any_size(), between(-10, 10), beside(math.pi, 3 * HALF_PI, -HALF_PI, 1e6 * math.pi), between(-1e6, 1e6)),
    "asin": (mp.asin, any_size(-1074, 0), between(-1, 1), beside(0.5, -0.5), lambda: 1 - 2.0 ** random.uniform(-53, -1)),
    "acos": (mp.acos, any_size(-1074, 0), between(-1, 1), beside(0.5, -0.5), lambda: 1 - 2.0 ** random.uniform(-53, -1)),
    "atan": (mp.atan, any_size(), between(-3, 3), beside(1.0, -1.0)),
    "sinh": (mp.sinh, any_size(-1074, 9.4), between(-710.4, 710.4), between(-2, 2), beside(1.0)),
    "cosh": (mp.cosh, any_size(-1074, 9.4), between(-710.4, 710.4), between(-2, 2)),
    "tanh": (mp.tanh, any_size(-1074, 5), between(-20, 20), between(-1, 1)),
    "asinh": (mp.asinh, any_size(), between(-10, 10), between(-0.5, 0.5)),
    "acosh": (mp.acosh, lambda: 1 + 2.0 ** random.uniform(-52, 1000), between(1, 10), lambda: 1 + 2.0 ** random.uniform(-52, 0)),
    "atanh": (mp.atanh, any_size(-1074, 0), between(-1, 1), lambda: 1 - 2.0 ** random.uniform(-53, -1)),
    "sigmoid": (lambda x: 1 / (1 + mp.exp(-x)), any_size(-1074, 9.4), between(-745, 40), between(-3, 3)),
    "erf": (mp.erf, any_size(-1074, 3), between(-6, 6), between(-1.5, 1.5)),
    "erfc": (mp.erfc, any_size(-1074, 4.6), between(-6, 27.2), between(0.3, 3), between(26, 27.2)),
    "erf_inv": (erf_inv, any_size(-1074, 0), between(-1, 1), lambda: 1 - 2.0 ** random.uniform(-53, -1)),
    "cbrt": (lambda x: mp.cbrt(x) if x > 0 else -mp.cbrt(-x), any_size(), between(-10, 10)),
    "sqrt": (mp.sqrt, positive(any_size()), between(0, 10)),
    "rsqrt": (lambda x: 1 / mp.sqrt(x), positive(any_size()), between(0, 10)),
    "lgamma": (lgamma, positive(any_size(-1074, 1013)), between(0, 4), beside(1.0, 2.0), between(0, 40), between(-20, 0), any_size(-1074, 20)),
    "digamma": (mp.digamma, positive(any_size()), between(0, 4), beside(1.4616321449683622), between(0, 40), between(-20, 0), any_size(-1000, 20)),
}


def power_in_range():
    x = abs(any_size()())
    span = 745 / max(abs(math.log(x)), 1e-300)
    return x, max(min(random.uniform(-span, span), 1e300), -1e300)


TWO = {
    "pow": (lambda x, y: x**y, power_in_range, lambda: (random.uniform(0.5, 2), random.uniform(-700, 700)),
            lambda: (1 + random.uniform(-1e-8, 1e-8), random.uniform(-1e10, 1e10)), lambda: (-random.uniform(0, 50), float(random.randint(-150, 150)))),
    "atan2": (mp.atan2, lambda: (any_size()(), any_size()()), lambda: (random.uniform(-3, 3), random.uniform(-3, 3)),
              lambda: (math.ldexp(random.uniform(-1, 1), random.randint(-60, 60)), random.uniform(-3, 3))),
}


def value(f, operands):
    """The record of a point, or None where the value is no float."""
    try:
        v = f(*[mpf(x) for x in operands])
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    if not mp.isfinite(v) or mp.im(v) != 0:
        return None
    v = mp.re(v)
    if abs(v) >= mpf(2) ** 1024 * (1 - mpf(2) ** -54):
        return None
    y = nearest(v)
    if y == 0 and v != 0 and abs(v) < mpf(2) ** -1075:
        return None
    rest = int(mp.nint((v - mpf(y)) / ulp(y) * 16384))
    return struct.pack(f"<{len(operands)}ddh", *operands, y, max(min(rest, 32767), -32768))


def main():
    count, path, names = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    with open(path, "wb") as out:
        for name, (f, *draws) in [*ONE.items(), *TWO.items()]:
            if names and name not in names:
                continue
            random.seed(name)
            records, tries = [], 0
            while len(records) < count and tries < 20 * count:
                drawn = draws[tries % len(draws)]()
                tries += 1
                operands = drawn if isinstance(drawn, tuple) else (drawn,)
                record = value(f, operands)
                if record is not None:
                    records.append(record)
            out.write(struct.pack("<16sII", name.encode(), 2 if name in TWO else 1, len(records)))
            out.write(b"".join(records))
            print(name, len(records), file=sys.stderr, flush=True)


main()
