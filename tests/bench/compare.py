#!/usr/bin/python3
"""Merges of large checkpoints beside what PyTorch does on the same files and beside merely moving the bytes, in one run.

  tests/bench/torch_baseline.py make DIR --shape llm --tasks 4 --dtype bf16      (once; 11 GB; needs Debian's python3-torch)
  tests/bench/compare.py DIR [--out FOLDER] [--jobs linear,ties] [--torch] [--repeat 3]

OUT should be a memory disk (/dev/shm) so that a disk's mood does not count. Prints, per job, seconds of the whole process from its
start, peak resident memory, and ratios. Build first: dotnet build -c Release Dsl.sln.
"""
import argparse, glob, json, os, statistics, subprocess, sys, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TVA = os.path.join(ROOT, "repl/Tva/bin/Release/net10.0/tva")
BENCH = os.path.join(ROOT, "tests/bench/Tva.Bench/bin/Release/net10.0/Tva.Bench")
MERGES = {
    "linear": "0.3 * sum(tasks)",
    "ties": "ties(tasks, density = 0.2, weights = 0.3)",
}


def timed(command, repeat):
    """Median seconds and largest peak memory (bytes) of whole processes."""
    seconds, peak = [], 0
    for _ in range(repeat):
        t = time.time()
        p = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        error = p.stderr.read()
        _, status, usage = os.wait4(p.pid, 0)
        if status:
            sys.exit(f"{' '.join(command)} failed:\n{error.decode()}")
        seconds.append(time.time() - t)
        peak = max(peak, usage.ru_maxrss * 1024)
    return statistics.median(seconds), peak


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
    size = sum(map(os.path.getsize, inputs)) + os.path.getsize(inputs[0])
    rows = []

    def row(name, command, repeat=a.repeat):
        if os.path.exists(out):
            os.remove(out)
        seconds, peak = timed(command, repeat)
        rows.append((name, seconds, peak))
        print(f"{name:14} {seconds:9.3f} s   {peak / 2**20:8.0f} MiB   {size / seconds / 1e9:6.2f} GB/s", flush=True)
        return seconds

    row("read", [BENCH, "read"] + inputs)
    copy = row("copy", [BENCH, "copy", out] + inputs)
    for job in a.jobs.split(","):
        text = (f'base = model("{d}/base.safetensors")\ntasks = family("{d}/task*.safetensors", base)\n'
                f'base + {MERGES[job]} |> save("{out}")')
        ours = row(f"tva {job}", [TVA, "eval", text] + a.options.split())
        print(f"    {ours / copy:.2f} x copy")
        if a.torch:
            for name in {"linear": ["linear", "stacked"]}.get(job, [job]):
                theirs = row(f"torch {name}", ["/usr/bin/python3", f"{ROOT}/tests/bench/torch_baseline.py", name, d, "--out", out], 1)
                print(f"    tva is {theirs / ours:.1f} x faster")
    if os.path.exists(out):
        os.remove(out)


if __name__ == "__main__":
    main()
