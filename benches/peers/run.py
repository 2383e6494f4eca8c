"""Times Whorl against JAX on the same work: PPO on CartPole-v1, whole training loops, alternating runs on this machine.

    python run.py [--rounds 3] [--seeds 1] [--cores 1]

Both sides are separate processes pinned to the same cores. Alternating runs share whatever else the machine is doing,
so the ratio of medians holds on a noisy machine where the figures by themselves don't.
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


def whorl(args, cores, seed):
    """One run: seconds from text to machine code, environment steps a second, mean final return."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            args.whorl, "run", ROOT / "examples/cartpole_ppo.whorl", "--seeds", str(args.seeds), "--seed", str(seed),
            "--threads", str(len(cores)), "--json", "--quiet", "--out", f"{folder}/run",
        ]  # fmt: skip
        out = output(command, cores)
    events = {}
    for line in out.splitlines():
        event = json.loads(line)
        events[event["event"]] = event
    compiled, done = events["compiled"], events["done"]
    return {
        "compile_s": compiled["trace_s"] + compiled["compile_s"],
        "steps_per_s": done["env_steps"] / done["run_s"],
        "return": statistics.mean(done["final"]["return"]),
    }


def jax(args, cores, seed):
    """The same of `ppo_cartpole_jax.py`."""
    command = [
        sys.executable, HERE / "ppo_cartpole_jax.py", "--seeds", str(args.seeds), "--seed", str(seed), "--cores", "0",
    ]  # fmt: skip
    if args.constant_lr:
        command.append("--no-anneal")
    done = json.loads(output(command, cores).splitlines()[-1])
    return {
        "compile_s": done["trace_s"] + done["compile_s"],
        "steps_per_s": done["steps_per_s"],
        "return": statistics.mean(done["final_return"]),
    }


def output(command, cores):
    """Standard output of a command that may use these cores; its errors, where it fails."""
    result = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    if result.returncode != 0:
        sys.exit(f"{command[0]} failed:\n{result.stderr[-4000:]}")
    return result.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--constant-lr", action="store_true", help="JAX without annealing (pass Whorl's own by hand)")
    parser.add_argument("--whorl", default=str(ROOT / "target/release/whorl"), help="the program to time")
    parser.add_argument("--only", choices=["whorl", "jax"], help="one side alone")
    args = parser.parse_args()

    cores = set(sorted(os.sched_getaffinity(0))[: args.cores])
    sides = {name: run for name, run in {"whorl": whorl, "jax": jax}.items() if args.only in (None, name)}
    results = {name: [] for name in sides}
    for seed in range(args.rounds):
        for name, run in sides.items():
            results[name].append(run(args, cores, seed))
            shown = "  ".join(f"{key} {value:,.3f}" for key, value in results[name][-1].items())
            print(f"round {seed}  {name:5}  {shown}", file=sys.stderr, flush=True)

    medians = {
        name: {key: statistics.median(r[key] for r in rows) for key in rows[0]} for name, rows in results.items()
    }
    print(f"\nPPO CartPole-v1, seeds {args.seeds}, cores {args.cores}, median of {args.rounds} alternating rounds\n")
    print("|        | text to machine code, s | environment steps/s | final return |")
    print("|--------|------------------------:|--------------------:|-------------:|")
    for name, m in medians.items():
        print(f"| {name:6} | {m['compile_s']:23.3f} | {m['steps_per_s']:19,.0f} | {m['return']:12.1f} |")
    if len(medians) == 2:
        w, j = medians["whorl"], medians["jax"]
        faster = f"{j['compile_s'] / w['compile_s']:.1f}x faster"
        speed = f"{w['steps_per_s'] / j['steps_per_s']:.2f}x"
        print(f"| ratio  | {faster:>23} | {speed:>19} | {'':12} |")


if __name__ == "__main__":
    main()
