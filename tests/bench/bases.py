#!/usr/bin/python3
"""Task vector bases beside what PyTorch does on the same files and beside merely reading them, in one run.

  tests/bench/torch_baseline.py make DIR --shape vit --tasks 8 --dtype f32      (once; 3.2 GB; needs Debian's python3-torch)
  tests/bench/bases.py DIR [--out FOLDER] [--torch] [--repeat 5]

OUT should be a memory disk (/dev/shm). Prints, per job, seconds of the whole process from its start (median) and peak resident memory:
`gram` is the Gram matrix of all tasks, `ae` and `pca` make and save a basis of half as many atoms; nothing is cached between runs. `pass` is the
Gram pass by itself, without the start of a process, beside reading the same files in the same blocks. Build first:
dotnet build -c Release Dsl.sln.
"""
import argparse, glob, json, os, shutil, statistics, subprocess
from compare import BENCH, ROOT, TVA, once


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("dir")
    p.add_argument("--out", default="/dev/shm")
    p.add_argument("--torch", action="store_true", help="run PyTorch's side too")
    p.add_argument("--repeat", type=int, default=5)
    a = p.parse_args()
    d = os.path.abspath(a.dir)
    files = [f"{d}/base.safetensors"] + sorted(glob.glob(f"{d}/task*.safetensors"))
    atoms = (len(files) - 1) // 2
    out = os.path.join(a.out, "tva_basis")
    load = f'base = model("{d}/base.safetensors")\ntasks = family("{d}/task*.safetensors", base)\n'
    texts = {"gram": "similarity(tasks)", "ae": f'tasks @basis({atoms}) |> save("{out}")', "pca": f'tasks @basis({atoms}, "pca") |> save("{out}")'}
    runs = {job: [] for job in texts}
    torch = {job: [] for job in texts}
    for turn in range(a.repeat + 1):
        for job, text in texts.items():
            shutil.rmtree(out, ignore_errors=True)
            took = once([TVA, "eval", load + text, "--no-cache"], out + ".none")
            if turn:
                runs[job].append(took)
            if turn and a.torch and turn <= 3:
                # In turn with ours, so that the machine's moods meet both.
                torch[job].append(once(["/usr/bin/python3", f"{ROOT}/tests/bench/torch_baseline.py", job, d, "--out", out + ".torch"], out + ".torch"))
                for left in glob.glob(out + ".torch*"):
                    os.remove(left)
    shutil.rmtree(out, ignore_errors=True)
    for job, took in runs.items():
        seconds = statistics.median(s for s, _ in took)
        line = f"{job:5} {seconds:7.3f} s   {max(m for _, m in took) / 2**20:6.0f} MiB   (runs: {' '.join(f'{s:.2f}' for s, _ in took)})"
        if torch[job]:
            theirs = statistics.median(s for s, _ in torch[job])
            line += f"   torch {theirs:.2f} s, {max(m for _, m in torch[job]) / 2**20:.0f} MiB: {theirs / seconds:.1f} x"
        print(line, flush=True)
    gram = json.loads(subprocess.run([BENCH, "gram"] + files, check=True, capture_output=True, text=True).stdout)
    print(f"pass  {gram['seconds']:7.3f} s   {gram['ratio']:.2f} x the read of {gram['read_seconds']:.3f} s", end="")
    print(f"   torch's gram {statistics.median(s for s, _ in torch['gram']) / gram['seconds']:.1f} x" if a.torch else "")


if __name__ == "__main__":
    main()
