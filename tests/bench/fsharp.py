#!/usr/bin/python3
"""An elementwise function written in F# beside the same written in TVA, on the same files.

  tests/bench/torch_baseline.py make DIR --shape vit --tasks 2 --dtype f32      (once; 1 GB; needs Debian's python3-torch)
  tests/bench/fsharp.py DIR [--out FOLDER] [--repeat 9]

Both become the same kernel. The seconds are those of the run after checking, as the command reports them, so the F# compiler's start
(printed apart: the whole process less the run) does not count. For half a second after it .NET goes on recompiling the compiler's code
on the side, which takes a core from the run; --tiering leaves that on, else it is off for both. Build first: dotnet build -c Release Dsl.sln.
"""
import argparse, glob, os, re, statistics, subprocess, sys, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TVA = os.path.join(ROOT, "repl/Tva/bin/Release/net10.0/tva")
BODIES = {
    "TVA": "sign(x) * max(abs(x) - k, 0)",
    "F#": 'fs "fun x k -> float32 (sign x) * max (abs x - k) 0.0f"',
}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("dir")
    p.add_argument("--out", default="/dev/shm")
    p.add_argument("--repeat", type=int, default=9)
    p.add_argument("--tiering", action="store_true")
    a = p.parse_args()
    environment = os.environ if a.tiering else {**os.environ, "DOTNET_TieredCompilation": "0"}
    d, out = os.path.abspath(a.dir), os.path.join(a.out, "tva_bench.safetensors")
    runs, starts = {name: [] for name in BODIES}, {name: [] for name in BODIES}
    # In turn, so that the machine's moods meet both.
    for turn in range(a.repeat + 1):
        for name, body in BODIES.items():
            text = (f'base = model("{d}/base.safetensors")\ntasks = family("{d}/task*.safetensors", base)\n'
                    f'def soft(x: Delta, k: Scalar): Delta = {body}\nbase + 0.3 * sum(soft(tasks, 0.001)) |> save("{out}")')
            t = time.time()
            ran = subprocess.run([TVA, "eval", text, "--allow-fsharp"], capture_output=True, text=True, env=environment)
            whole = time.time() - t
            found = re.search(r"([0-9.]+) (m?)s, ", ran.stderr)
            if ran.returncode or not found:
                sys.exit(f"tva failed:\n{ran.stderr}")
            if turn:
                runs[name].append(float(found[1]) / (1000 if found[2] else 1))
                starts[name].append(whole - runs[name][-1])
    for name in BODIES:
        print(f"{name:4} {statistics.median(runs[name]):7.3f} s   start and check {statistics.median(starts[name]):6.3f} s   "
              f"(runs: {' '.join(f'{s:.2f}' for s in runs[name])})")
    print(f"F# over TVA: {statistics.median(f / t for f, t in zip(runs['F#'], runs['TVA'])):.3f}")
    os.remove(out)


if __name__ == "__main__":
    main()
