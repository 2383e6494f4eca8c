"""Times Whorl against JAX on the same work: PPO on CartPole-v1, whole training loops, alternating runs on this machine.

    python run.py [--rounds 3] [--seeds 1 8 32] [--wide]

Both sides are processes of their own. One seed has one core; several seeds have all cores. Of JAX both settings are tried, one core and all
of them, and the better one counts. Alternating runs share whatever else the machine is doing, so the ratio of medians holds on a noisy machine
where the figures by themselves don't.
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
ROOT = HERE.parent.parent

# PureJaxRL's defaults, and many environments of few steps.
DEFAULT = {"n_envs": 4, "n_steps": 128, "minibatches": 4, "total_steps": 500_000}
WIDE = {"n_envs": 2048, "n_steps": 10, "minibatches": 32, "total_steps": 5_000_000}


def whorl(args, work, seeds, cores, seed):
    """One run: seconds from text to machine code, of the run, environment steps a second, the process's peak memory, final return."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            args.whorl, "run", "--no-cache", ROOT / "examples/cartpole_ppo.whorl", "--seeds", seeds, "--seed", seed,
            "--threads", len(cores), "--json", "--quiet", "--out", f"{folder}/run",
            *(word for name, value in work.items() for word in ("--set", f"ppo.{name}={value}")),
        ]  # fmt: skip
        out, memory = output(command, cores)
    events = {}
    for line in out.splitlines():
        event = json.loads(line)
        events[event["event"]] = event
    compiled, done = events["compiled"], events["done"]
    return result(compiled["trace_s"] + compiled["compile_s"], done["run_s"], done["env_steps"], memory, done["final"]["return"])


def jax(args, work, seeds, cores, seed):
    """The same of `ppo_cartpole_jax.py`."""
    command = [
        sys.executable, HERE / "ppo_cartpole_jax.py", "--seeds", seeds, "--seed", seed, "--cores", 0,
        *(word for name, value in work.items() for word in ("--" + name.replace("_", "-"), value)),
    ]  # fmt: skip
    if args.constant_lr:
        command.append("--no-anneal")
    out, memory = output(command, cores)
    done = json.loads(out.splitlines()[-1])
    return result(done["trace_s"] + done["compile_s"], done["run_s"], done["env_steps"], memory, done["final_return"])


def result(compile_s, run_s, env_steps, memory, returns):
    return {
        "compile_s": compile_s,
        "run_s": run_s,
        "total_s": compile_s + run_s,
        "steps_per_s": env_steps / run_s,
        "peak_mb": memory / 1e6,
        "return": statistics.mean(returns),
    }


def output(command, cores):
    """Standard output of a command that may use these cores, and the most memory it had in bytes; its errors, where it fails."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            sys.exit(f"{command[0]} failed:\n{errors.read()[-4000:]}")
    return out, usage.ru_maxrss * 1024


def compare(args, name, work, seeds, all_cores):
    """Alternating rounds, and the rows of the table."""
    one, every = {all_cores[0]}, set(all_cores)
    own = one if seeds == 1 and work is DEFAULT else every
    sides = {f"Whorl, {len(own)} core{'s' if len(own) > 1 else ''}": (whorl, own)}
    if args.only != "whorl":
        sides["JAX, 1 core"] = (jax, one)
        if len(every) > 1:
            sides[f"JAX, {len(every)} cores"] = (jax, every)
    if args.only == "jax":
        sides.pop(next(iter(sides)))
    results = {side: [] for side in sides}
    for seed in range(args.rounds):
        for side, (run, cores) in sides.items():
            results[side].append(run(args, work, seeds, cores, seed))
            shown = "  ".join(f"{key} {value:,.3f}" for key, value in results[side][-1].items())
            print(f"{name}, round {seed}  {side:14}  {shown}", file=sys.stderr, flush=True)
    medians = {side: {key: statistics.median(r[key] for r in rows) for key in rows[0]} for side, rows in results.items()}
    rows = [row(name, side, m) for side, m in medians.items()]
    peers = [m for side, m in medians.items() if side.startswith("JAX")]
    ours = next((m for side, m in medians.items() if side.startswith("Whorl")), None)
    if ours and peers:
        best = max(peers, key=lambda m: m["steps_per_s"])
        ratios = {key: best[key] / ours[key] for key in ("compile_s", "run_s", "total_s", "peak_mb")}
        rows.append(
            f"| {name} | JAX's better / Whorl | {ratios['compile_s']:.1f} × | {ratios['run_s']:.2f} × | {ratios['total_s']:.2f} × "
            f"| {ours['steps_per_s'] / best['steps_per_s']:.2f} × | {ratios['peak_mb']:.1f} × | |"
        )
    return rows


def row(name, side, m):
    return (
        f"| {name} | {side} | {m['compile_s']:.3f} | {m['run_s']:.2f} | {m['total_s']:.2f} | {m['steps_per_s']:,.0f} "
        f"| {m['peak_mb']:.0f} | {m['return']:.1f} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 8, 32], help="tables of so many seeds")
    parser.add_argument("--wide", action="store_true", help="as well: one seed of 2,048 environments, 10 steps a rollout")
    parser.add_argument("--constant-lr", action="store_true", help="JAX without annealing (pass Whorl's own by hand)")
    parser.add_argument("--whorl", default=str(ROOT / "target/release/whorl"), help="the program to time")
    parser.add_argument("--only", choices=["whorl", "jax"], help="one side alone")
    args = parser.parse_args()

    cores = sorted(os.sched_getaffinity(0))
    works = [(f"{n} seed{'s' if n > 1 else ''}", DEFAULT, n) for n in args.seeds]
    if args.wide:
        works.append(("2,048 × 10", WIDE, 1))
    rows = []
    for name, work, seeds in works:
        rows += compare(args, name, work, seeds, cores)
    print(f"\nPPO on CartPole-v1, medians of {args.rounds} alternating rounds, {len(cores)} cores\n")
    print("| work | side | text to machine code, s | run, s | both, s | environment steps/s | peak memory, MB | return |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
