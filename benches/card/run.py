"""Tests and benchmarks on an NVIDIA card, and a page of what was seen.

    python run.py [--device cuda:0] [--out ../../docs/performance-gpu.md] [--only PART ...] [--quick]

Parts: tests (the test programs, with WHORL_CARD set), sanitizer (compute-sanitizer on a short training), costs (of launches, barriers and loads),
ppo (PPO on CartPole, with PureJaxRL's defaults, beside JAX), stepping (environments with random actions, beside gymnax under JAX).

The programs are built where cargo is (`cargo build --release`, `cargo test --release --workspace --no-run`), or given: --whorl, --tests, --costs. Test programs
remember where the repository was built: it has to be in the same place. JAX is that of the Python that runs this script, with what
../peers/requirements.txt names. What cannot be done (no JAX, no compute-sanitizer) is said on the page.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = HERE.parent / "peers"
# Those that execute kernels, by their names.
TESTS = ["device", "cuda", "runtime_errors", "programs", "properties", "turns", "card", "loops", "ops", "control", "bits", "gradients", "generated"]
PARTS = ["tests", "sanitizer", "costs", "ppo", "stepping"]


class Failed(Exception):
    pass


def run(command, limit=None, **environment):
    """Standard output; what went wrong is the exception."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, env={**os.environ, **environment}, cwd=ROOT)
    except FileNotFoundError:
        raise Failed(f"there is no {command[0]}") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"{pathlib.Path(command[0]).name} took more than {limit} s") from None
    if done.returncode != 0:
        raise Failed(f"`{' '.join(command[:4])} …` failed ({done.returncode}): {(done.stdout + done.stderr)[-1500:].strip()}")
    return done.stdout


def built_tests():
    """The test programs that cargo builds."""
    out = run(["cargo", "test", "--release", "--workspace", "--no-run", "--message-format", "json"])
    found = {}
    for line in out.splitlines():
        message = json.loads(line)
        if message.get("executable") and "test" in message["target"]["kind"] and message["target"]["name"] in TESTS:
            found[message["target"]["name"]] = message["executable"]
    return [found[name] for name in TESTS if name in found]


def facts(args):
    card = run(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader", "-i", args.device.split(":")[1]]).strip()
    listed = json.loads(run([args.whorl, "devices", "--json"]))
    ours = next((d for d in listed["devices"] if d["device"] == args.device), None)
    if ours is None:
        raise Failed(f"`whorl devices` does not list {args.device}: {listed['no_cuda']}")
    try:
        import jax

        peer = f"JAX {jax.__version__} on {jax.devices()[0].device_kind}"
    except Exception as e:  # Whatever it is that JAX lacks here.
        peer = f"no JAX ({type(e).__name__}: {e})"
    version = run([args.whorl, "--version"]).strip()
    return [f"{card}; {ours['multiprocessors']} multiprocessors, compute capability {ours['capability']}; {version}; {peer}; {datetime.date.today()}."]


def tests(args):
    programs = args.tests or built_tests()
    if not programs:
        raise Failed("there are no test programs")
    rows = ["| tests | passed | failed | seconds |", "|---|--:|--:|--:|"]
    failures = []
    for program in programs:
        name = re.sub(r"-[0-9a-f]{16}$", "", pathlib.Path(program).name)
        begin = datetime.datetime.now()
        done = subprocess.run([str(program), "--test-threads=4"], capture_output=True, text=True, env={**os.environ, "WHORL_CARD": args.device}, cwd=ROOT)
        seconds = (datetime.datetime.now() - begin).total_seconds()
        counted = re.search(r"(\d+) passed; (\d+) failed", done.stdout)
        passed, failed = counted.groups() if counted else ("0", "all: it ended early")
        rows.append(f"| {name} | {passed} | {failed} | {seconds:.1f} |")
        if done.returncode != 0:
            failures.append(f"{name}:\n{(done.stdout + done.stderr)[-3000:]}")
    for failure in failures:
        rows += ["", "```text", *failure.splitlines(), "```"]
    return rows


def sanitizer(args):
    rows = ["| compute-sanitizer | says |", "|---|---|"]
    for tool in ["memcheck", "racecheck", "synccheck", "initcheck"]:
        with tempfile.TemporaryDirectory() as folder:
            command = [
                "compute-sanitizer", "--tool", tool, args.whorl, "run", ROOT / "examples/cartpole_ppo.whorl", "--device", args.device, "--seeds", 2,
                "--set", "ppo.total_steps=2048", "--no-cache", "--quiet", "--out", f"{folder}/run",
            ]  # fmt: skip
            out = run(command, limit=600)
            rows.append(f"| {tool} | {(re.findall(r'=+ (.*SUMMARY.*)', out) or ['nothing'])[-1]} |")
    return rows


def costs(args):
    command = [args.costs] if args.costs else ["cargo", "run", "--release", "-p", "whorl-device", "--example", "card_costs", "--"]
    out = run([*command, args.device]).splitlines()
    return out[out.index("| what | ns |") :]


def trained(args, seeds, seed):
    """Seconds of a run by Whorl: to the first launch, and of the training; its returns."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            args.whorl, "run", ROOT / "examples/cartpole_ppo.whorl", "--device", args.device, "--seeds", seeds, "--seed", seed, "--no-cache",
            "--set", f"ppo.total_steps={2048 if args.quick else 500_000}", "--json", "--quiet", "--out", f"{folder}/run",
        ]  # fmt: skip
        events = {}
        for line in run(command).splitlines():
            event = json.loads(line)
            events[event["event"]] = event
    compiled, done = events["compiled"], events["done"]
    return compiled["trace_s"] + compiled["compile_s"], done["run_s"], done["env_steps"], statistics.mean(done["final"]["return"])


def trained_by_jax(seeds, seed):
    command = [sys.executable, PEERS / "ppo_cartpole_jax.py", "--seeds", seeds, "--seed", seed, "--cores", 0, "--repeat", 2]
    out = run(command, JAX_PLATFORMS="cuda")
    done = json.loads(out.splitlines()[-1])
    return done["trace_s"] + done["compile_s"], done["run_s"], done["env_steps"], statistics.mean(done["final_return"])


def ppo(args):
    rows = [
        "PPO on CartPole, PureJaxRL's defaults, f32; medians of alternating rounds. Compilation is from the text to kernels that the driver has taken, without caches of ours; the driver's own is as it is.",
        "",
        "| seeds | side | compile, s | run, s | environment steps/s | return |",
        "|--:|---|--:|--:|--:|--:|",
    ]
    for seeds in [1, 132, 2048] if not args.quick else [1, 8]:
        sides = {"Whorl": lambda seed: trained(args, seeds, seed)}
        if not args.without_jax:
            sides["JAX"] = lambda seed: trained_by_jax(seeds, seed)
        results = {side: [] for side in sides}
        for seed in range(args.rounds if seeds < 1000 else 1):
            for side, one in sides.items():
                try:
                    results[side].append(one(seed))
                except Failed as e:
                    rows.append(f"| {seeds} | {side} | {str(e).splitlines()[0]} | | | |")
                    args.without_jax = args.without_jax or side == "JAX"
        medians = {}
        for side, all_of in results.items():
            if all_of:
                compile_s, run_s, steps, returns = (statistics.median(column) for column in zip(*all_of))
                medians[side] = run_s
                rows.append(f"| {seeds} | {side} | {compile_s:.2f} | {run_s:.2f} | {steps / run_s:,.0f} | {returns:.1f} |")
        if len(medians) == 2:
            rows.append(f"| {seeds} | JAX / Whorl | | {medians['JAX'] / medians['Whorl']:.1f} × | | |")
    return rows


def stepping(args):
    rows = ["Random actions from threefry keys, auto-reset, a scan; million steps a second.", "", "| environment | environments | Whorl | gymnax | ratio |", "|---|--:|--:|--:|--:|"]
    for name in ["cartpole", "pendulum", "acrobot", "mountain_car"]:
        for envs in [1 << 14, 1 << 20] if not args.quick else [1 << 10]:
            steps = max(10, (1 << 28) // envs) if not args.quick else 10
            with tempfile.TemporaryDirectory() as folder:
                command = [
                    args.whorl, "run", PEERS / "stepping" / f"{name}.whorl", "--device", args.device, "--random_actions.envs", envs, "--random_actions.steps", steps,
                    "--json", "--quiet", "--out", f"{folder}/run",
                ]  # fmt: skip
                events = [json.loads(line) for line in run(command).splitlines()]
            ours = envs * steps / next(e["run_s"] for e in events if e["event"] == "done") / 1e6
            try:
                if args.without_jax:
                    raise Failed("without JAX")
                out = run([sys.executable, PEERS / "stepping/stepping_gymnax.py", name, envs, steps, "--repeats", 3], JAX_PLATFORMS="cuda")
                theirs = envs * steps / min(json.loads(out.splitlines()[-1])["seconds"]) / 1e6
                rows.append(f"| {name} | {envs:,} | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:.1f} |")
            except Failed as e:
                rows.append(f"| {name} | {envs:,} | {ours:,.0f} | {str(e).splitlines()[0]} | |")
    return rows


TITLES = {"tests": "Tests", "sanitizer": "compute-sanitizer", "costs": "What things cost", "ppo": "PPO", "stepping": "Stepping environments"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0", help="cuda:0, or another that `whorl devices` lists")
    parser.add_argument("--whorl", default=str(ROOT / "target/release/whorl"), help="the program")
    parser.add_argument("--tests", nargs="*", help="test programs; those that cargo builds unless given")
    parser.add_argument("--costs", help="the example card_costs; cargo runs it unless given")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small sizes, to try this script")
    parser.add_argument("--without-jax", action="store_true")
    parser.add_argument("--out", default=str(ROOT / "docs/performance-gpu.md"))
    args = parser.parse_args()

    page = ["# Performance on NVIDIA cards", "", "    python benches/card/run.py", ""]
    try:
        page += ["On the emulator: times say nothing."] if args.device == "emulated" else facts(args)
    except Failed as e:
        sys.exit(f"error: {e}")
    for part in args.only:
        print(f"{part} …", file=sys.stderr, flush=True)
        try:
            rows = globals()[part](args)
        except Failed as e:
            rows = [f"Not done: {e}"]
        page += ["", f"## {TITLES[part]}", "", *rows]
        # What is there stays, whatever happens to the rest.
        pathlib.Path(args.out).write_text("\n".join(page) + "\n")
    print("\n".join(page))
    if shutil.which("nvidia-smi") is None:
        print("(there is no nvidia-smi here)", file=sys.stderr)


if __name__ == "__main__":
    main()
