#!/usr/bin/env python3
"""Runs tva on small file systems that are or become full: every run either gives the whole output or is a fault that names the file, leaves
what was there and nothing else. Needs root, to mount.

  tests/bench/filler.py FOLDER [--runs 120] [--seed 1] [--tva PATH]

Sizes go from far too small to plenty; in half of the runs somebody else fills the disk while it goes on. Exit status 0 where all is well.
"""
import argparse, os, random, shutil, subprocess, sys, threading, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from killer import FORMS, ROOT, checkpoint, digest


def fill(disk, delay, stop):
    time.sleep(delay)
    try:
        with open(os.path.join(disk, "filler"), "wb", buffering=0) as f:
            while not stop.is_set():
                f.write(b"\0" * 65536)
    except OSError:
        pass


def main(a):
    top, chance = os.path.abspath(a.folder), random.Random(a.seed)
    shutil.rmtree(top, ignore_errors=True)
    disk = os.path.join(top, "disk")
    os.makedirs(disk)
    for i, name in enumerate(["base", "a"]):
        checkpoint(os.path.join(top, name + ".safetensors"), i + 1, 8)

    def run(folder, form, strength):
        out, shard = FORMS[form]
        text = (f'base = model("{top}/base.safetensors")\nA = delta("{top}/a.safetensors", base)\n'
                f'base + {strength} * A |> save("{out}"{shard.replace("SHARD", "2MB")})')
        return subprocess.run([a.tva, "eval", text], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    references = {}
    for form in FORMS:
        for strength in ("0.3", "0.5"):
            folder = os.path.join(top, f"reference-{form}-{strength}")
            os.makedirs(folder)
            ran = run(folder, form, strength)
            references[form, strength] = os.path.join(folder, FORMS[form][0])
            if ran.returncode:
                sys.exit(f"tva failed:\n{ran.stderr}")
    good = whole = 0
    for i in range(a.runs):
        form, over, filled = ["single", "sharded"][i % 2], i // 2 % 2 == 1, i // 4 % 2 == 1
        out = FORMS[form][0]
        # The output has 8 MiB; an old one beside it, too.
        kilobytes = int(chance.uniform(16, 12_000)) + (8_500 if over else 0) + (4_000 if filled else 0)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", disk], check=True)
        stop, thread = threading.Event(), None
        try:
            path, old = os.path.join(disk, out), None
            if over:
                (shutil.copy if form == "single" else shutil.copytree)(references[form, "0.3"], path)
                old = digest(path)
            if filled:
                thread = threading.Thread(target=fill, args=(disk, chance.uniform(0, 0.4), stop))
                thread.start()
            ran = run(disk, form, "0.5")
            stop.set()
            if thread:
                thread.join()
            there, left = digest(path), sorted(set(os.listdir(disk)) - {out, "filler"})
            if ran.returncode == 0:
                fine = there == digest(references[form, "0.5"])
                whole += 1
            else:
                fine = ran.returncode == 1 and there == old and out in ran.stderr and ("space" in ran.stderr or "free" in ran.stderr)
            if fine and not left:
                good += 1
            else:
                print(f"{form}, {kilobytes} KB, over={over}, filled={filled}: status {ran.returncode}, left {left}, "
                      f"{'the old' if there == old else 'the new' if there == digest(references[form, '0.5']) else 'neither'} there\n{ran.stderr}", flush=True)
        finally:
            stop.set()
            if thread:
                thread.join()
            subprocess.run(["umount", disk], check=True)
    print(f"{good} of {a.runs} runs went well: {whole} wrote the whole output, {a.runs - whole} were faults that left what was there")
    shutil.rmtree(top)
    return good == a.runs


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--runs", type=int, default=120)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--tva", default=os.path.join(ROOT, "repl/Tva/bin/Release/net10.0/tva"))
    if os.geteuid() != 0:
        sys.exit("mounting a small disk takes root")
    sys.exit(0 if main(p.parse_args()) else 1)
