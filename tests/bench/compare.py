#!/usr/bin/python3
"""Merges of large checkpoints beside what PyTorch does on the same files and beside merely moving the bytes, in one run.

  tests/bench/torch_baseline.py make DIR --shape llm --tasks 4 --dtype bf16      (once; 11 GB; needs Debian's python3-torch)
  tests/bench/compare.py DIR [--out FOLDER] [--jobs linear,ties] [--torch] [--repeat 3]

OUT should be a memory disk (/dev/shm) so that a disk's mood does not count. Prints, per job, seconds of the whole process from its
start (median), peak resident memory, and the median ratio to the copy of the same turn. Build first: dotnet build -c Release Dsl.sln.
"""
import argparse, glob, json, os, statistics, subprocess, sys, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TVA = os.path.join(ROOT, "repl/Tva/bin/Release/net10.0/tva")
BENCH = os.path.join(ROOT, "tests/bench/Tva.Bench/bin/Release/net10.0/Tva.Bench")
MERGES = {
    "linear": "0.3 * sum(tasks)",
    "ties": "ties(tasks, density = 0.2, weights = 0.3)",
    "breadcrumbs": "0.3 * breadcrumbs(tasks, 0.2)",
    "dare_ties": "0.3 * dare_ties(tasks, 0.2, seed = 1)",
    "sce": "sce(tasks, 0.2)",
    "model_stock": "model_stock(tasks)",
    "lowrank": "lowrank(tasks.task0, rank = 16)",
}


def once(command, out):
    """Seconds and peak memory (bytes) of a whole process that writes a file which was not there."""
    if os.path.exists(out):
        os.remove(out)
    t = time.time()
    p = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    error = p.stderr.read()
    _, status, usage = os.wait4(p.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{error.decode()}")
    return time.time() - t, usage.ru_maxrss * 1024


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("dir")
    p.add_argument("--out", default="/dev/shm")
    p.add_argument("--jobs", default="linear,ties")
    p.add_argument("--torch", action="store_true", help="run PyTorch's side too (minutes)")
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--options", default="", help="further options for tva, for instance '--memory 128MiB'")
    a = p.parse_args()
    d = os.path.abspath(a.dir)
    out = os.path.join(a.out, "tva_bench.safetensors")
    inputs = [f"{d}/base.safetensors"] + sorted(glob.glob(f"{d}/task*.safetensors"))
    commands = {"read": [BENCH, "read"] + inputs, "copy": [BENCH, "copy", out] + inputs}
    for job in a.jobs.split(","):
        text = (f'base = model("{d}/base.safetensors")\ntasks = family("{d}/task*.safetensors", base)\n'
                f'base + {MERGES[job]} |> save("{out}")')
        commands[f"tva {job}"] = [TVA, "eval", text] + a.options.split()
    runs = {name: [] for name in commands}
    # In turn, so that the machine's moods meet all of them.
    for turn in range(a.repeat + 1):
        for name, command in commands.items():
            took = once(command, out)
            if turn:
                runs[name].append(took)
    seconds = {name: statistics.median(s for s, _ in took) for name, took in runs.items()}
    for name, took in runs.items():
        all_seconds = " ".join(f"{s:.2f}" for s, _ in took)
        ratio = statistics.median(s / c for (s, _), (c, _) in zip(took, runs["copy"]))
        print(f"{name:14} {seconds[name]:8.3f} s   {max(m for _, m in took) / 2**20:6.0f} MiB   "
              f"{ratio:5.2f} x copy   (runs: {all_seconds})", flush=True)
    if a.torch:
        for job in a.jobs.split(","):
            for name in {"linear": ["linear", "stacked"], "ties": ["ties"], "lowrank": ["lowrank"]}.get(job, []):
                s, peak = once(["/usr/bin/python3", f"{ROOT}/tests/bench/torch_baseline.py", name, d, "--out", out], out)
                print(f"torch {name:8} {s:8.3f} s   {peak / 2**20:6.0f} MiB   tva is {s / seconds[f'tva {job}']:.1f} x faster", flush=True)
    if os.path.exists(out):
        os.remove(out)


if __name__ == "__main__":
    main()
