"""Builds lanes.c into shared libraries beside it, one for each number of vectors a turn of the loops.

    python3 -m venv .venv && .venv/bin/pip install ziglang && .venv/bin/python setup.py     # clang from PyPI
    CC=clang python3 setup.py                                                              # your own

Where there is a gcc, it builds libm.c as well: the same elementary functions as a C library's vector functions compute them.
"""

import os
import pathlib
import shlex
import subprocess
import sys

here = pathlib.Path(__file__).parent
clang = shlex.split(os.environ.get("CC", f"{sys.executable} -m ziglang cc"))
flags = "-O3 -march=native -mprefer-vector-width=512 -ffp-contract=off -fno-math-errno -fno-sanitize=all -shared -fPIC -Wall -lm".split()

for groups in (1, 2, 4):
    out = here / f"lanes_{groups}.so"
    subprocess.run([*clang, *flags, f"-DGROUPS={groups}", here / "lanes.c", "-o", out], check=True)
    print(out)

gcc = os.environ.get("GCC", "gcc").split()
flags = "-O3 -march=native -mprefer-vector-width=512 -ffast-math -shared -fPIC".split()
try:
    subprocess.run([*gcc, *flags, here / "libm.c", "-o", here / "libm.so", "-lmvec", "-lm"], check=True)
    print(here / "libm.so")
except (OSError, subprocess.CalledProcessError) as error:
    print(f"no vector library to compare with: {error}", file=sys.stderr)
