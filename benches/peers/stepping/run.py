"""Times stepping environments with random actions, side by side: Whorl, gymnax under JAX, and the same loop in C by clang.

    python run.py [cartpole pendulum acrobot mountain_car] [--envs 4096,16384] [--rounds 3] [--cores 2]

The three alternate, pinned to the same cores, each for about --seconds; so whatever else the machine does they share, and
the ratios of medians hold where the figures by themselves don't.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
ENVIRONMENTS = ["cartpole", "pendulum", "acrobot", "mountain_car"]
CLANG = [sys.executable, "-m", "ziglang", "cc", "-O3", "-march=native", "-ffp-contract=fast", "-fno-sanitize=all"]
# What makes C faster differs from loop to loop: all are built, and the fastest counts.
VARIANTS = [[], ["-mprefer-vector-width=512"], ["-DRESET_ALL"], ["-DRESET_ALL", "-mprefer-vector-width=512"]]


def output(command, cores):
    """Standard output of a command that may use these cores; its errors, where it fails."""
    result = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    if result.returncode != 0:
        sys.exit(f"{command[0]} failed:\n{result.stderr[-4000:]}")
    return result.stdout


def built(folder):
    programs = []
    for k, flags in enumerate(VARIANTS):
        programs.append(f"{folder}/stepping{k}")
        subprocess.run([*CLANG, *flags, HERE / "stepping.c", "-o", programs[-1], "-lm", "-lpthread"], check=True)
    return programs


def whorl(args, name, envs, steps, cores):
    with tempfile.TemporaryDirectory() as folder:
        command = [
            args.whorl, "run", HERE / f"{name}.whorl", "--random_actions.envs", envs, "--random_actions.steps", steps, "--threads", len(cores),
            "--json", "--quiet", "--out", f"{folder}/run",
        ]  # fmt: skip
        events = map(json.loads, output(command, cores).splitlines())
        return next(event["run_s"] for event in events if event["event"] == "done")


def clang(args, name, envs, steps, cores):
    command = lambda program: [program, name, envs, steps, len(cores)]
    return min(float(output(command(program), cores).split()[0]) for program in args.programs)


def gymnax(args, name, envs, steps, cores):
    command = [sys.executable, HERE / "stepping_gymnax.py", name, envs, steps, "--repeats", "1"]
    return json.loads(output(command, cores).splitlines()[-1])["seconds"][0]


SIDES = {"whorl": whorl, "clang": clang, "gymnax": gymnax}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=ENVIRONMENTS, metavar="environment")
    parser.add_argument("--envs", default="4096,16384")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5, help="how long a run should take, about")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--without", choices=SIDES, action="append", default=[], help="a side that is not run")
    parser.add_argument("--whorl", default=str(ROOT / "target/release/whorl"), help="the program to time")
    args = parser.parse_args()

    cores = set(sorted(os.sched_getaffinity(0))[: args.cores])
    sides = {name: run for name, run in SIDES.items() if name not in args.without}
    print("| environment | environments | " + " | ".join(f"{s}, M steps/s" for s in sides), end="")
    others = [s for s in sides if s != "whorl"] if "whorl" in sides else []
    print("".join(f" | whorl / {s}" for s in others) + " |")
    print("|---|--:|" + "--:|" * (len(sides) + len(others)))
    with tempfile.TemporaryDirectory() as folder:
        args.programs = built(folder) if "clang" in sides else []
        for name in args.names:
            for envs in map(int, args.envs.split(",")):
                rates = {side: [] for side in sides}
                # As many steps as fill the time, judged by a short run.
                steps = {side: 100 for side in sides}
                for side, run in sides.items():
                    steps[side] = max(100, round(100 * args.seconds / run(args, name, envs, 100, cores)))
                for _ in range(args.rounds):
                    for side, run in sides.items():
                        rates[side].append(envs * steps[side] / run(args, name, envs, steps[side], cores))
                median = {side: statistics.median(r) for side, r in rates.items()}
                cells = [f"{median[s] / 1e6:.1f}" for s in sides]
                cells += [f"{median['whorl'] / median[s]:.2f}" for s in others]
                print(f"| {name} | {envs:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
