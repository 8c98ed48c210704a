#!/usr/bin/python3
"""How long advice takes: over the files the first time, then from the Gram matrix that is kept beside them.

  tests/bench/torch_baseline.py make DIR --shape vit --tasks 8 --dtype f32      (once; 3.2 GB; needs Debian's python3-torch)
  tests/bench/advice.py DIR [--repeat 5]

Prints seconds of the whole process from its start (median) for one pair and for all pairs of the tasks in DIR, and for `conflicts`. Build first:
dotnet build -c Release Dsl.sln.
"""
import argparse, glob, os, statistics, tempfile
from compare import TVA, once


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("dir")
    p.add_argument("--repeat", type=int, default=5)
    a = p.parse_args()
    d = os.path.abspath(a.dir)
    names = sorted(os.path.basename(f)[:-len(".safetensors")] for f in glob.glob(f"{d}/task*.safetensors"))
    load = f'base = model("{d}/base.safetensors")\ntasks = family("{d}/task*.safetensors", base)\n'
    pairs = [(x, y) for i, x in enumerate(names) for y in names[i + 1:]]
    jobs = {
        "one pair": f"advise(add(tasks.{names[0]}, tasks.{names[1]}))",
        "all pairs": "\n".join(f"advise(add(tasks.{x}, tasks.{y}))" for x, y in pairs),
        "all at once": "advise(add(tasks))",
        "out of domain": f"advise(ood(tasks, gamma = [{', '.join('0.4' if i % 2 else '-0.2' for i in range(len(names)))}]))",
    }
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "none")
        for old in glob.glob(f"{d}/.tva-gram-*.json"):
            os.remove(old)
        first, memory = once([TVA, "eval", load + jobs["one pair"]], out)
        print(f"first time     {first:7.3f} s   {memory / 2**20:6.0f} MiB")
        for job, text in jobs.items():
            took = [once([TVA, "eval", load + text], out) for _ in range(a.repeat)]
            print(f"{job:13}  {statistics.median(s for s, _ in took):7.3f} s   (runs: {' '.join(f'{s:.2f}' for s, _ in took)})")
        seconds, memory = once([TVA, "eval", load + "conflicts(tasks)"], out)
        print(f"conflicts      {seconds:7.3f} s   {memory / 2**20:6.0f} MiB")


if __name__ == "__main__":
    main()
