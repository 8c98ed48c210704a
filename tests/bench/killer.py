#!/usr/bin/env python3
"""Kills runs of tva at random moments and looks at what is there: the old output or the whole new one, never anything else; then goes on
with --resume and compares with a run that nobody disturbed, byte for byte.

  tests/bench/killer.py FOLDER [--kills 200] [--seed 1] [--megabytes 48] [--tva PATH]

Runs write one file or a folder of shards, where nothing was or over an older output, in turn. Build first: dotnet build -c Release repl/Tva.
Exit status 0 where every kill went well.
"""
import argparse, hashlib, json, os, random, shutil, signal, struct, subprocess, sys, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests"))
import reader

FORMS = {"single": ("out.safetensors", ""), "sharded": ("out", ', shard = "SHARD"')}


def checkpoint(path, seed, megabytes):
    """bf16 tensors of random bits below 1, a few small ones between."""
    generator, names, end, header = random.Random(seed), [], 0, {"__metadata__": {"format": "pt"}}
    for i in range(24):
        count = megabytes * (1 << 20) // 2 // 24 // 512 * 512
        for name, shape in ((f"layers.{i}.w.weight", [count // 512, 512]), (f"layers.{i}.norm.weight", [512])):
            size = shape[0] * (shape[1] if len(shape) > 1 else 1) * 2
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
            end += size
            names.append(size)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for size in names:
            words = bytearray(generator.randbytes(size))
            words[1::2] = bytes(0x3C | (b & 0x83) for b in words[1::2])  # exponents near 1/16, both signs
            f.write(words)


def digest(path):
    """Of a file, or of a folder's files with their names; None where there is nothing."""
    if not os.path.exists(path):
        return None
    h = hashlib.sha256()
    for name in [""] if os.path.isfile(path) else sorted(os.listdir(path)):
        h.update(name.encode() + b"\0")
        with open(os.path.join(path, name) if name else path, "rb") as f:
            h.update(f.read())
    return h.hexdigest()


class Killer:
    def __init__(self, a):
        self.a, self.random = a, random.Random(a.seed)
        self.top = os.path.abspath(a.folder)
        shutil.rmtree(self.top, ignore_errors=True)
        os.makedirs(self.top)
        for i, name in enumerate(["base", "a", "b"]):
            checkpoint(os.path.join(self.top, name + ".safetensors"), i + 1, a.megabytes)
        self.references, self.seconds = {}, {}
        for form in FORMS:
            for strength in ("0.3", "0.5"):
                folder = self.make(f"reference-{form}-{strength}")
                t = time.time()
                ran = self.run(folder, form, strength).communicate()
                self.seconds[form] = time.time() - t
                out = os.path.join(folder, FORMS[form][0])
                self.references[form, strength] = digest(out)
                if self.references[form, strength] is None:
                    sys.exit(f"tva failed:\n{ran[1]}")
                reader.read(out)
        print(f"a run takes {self.seconds['single']:.2f} s as one file, {self.seconds['sharded']:.2f} s in shards", flush=True)

    def make(self, name):
        folder = os.path.join(self.top, name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        return folder

    def run(self, folder, form, strength, *options):
        out, shard = FORMS[form]
        shard = shard.replace("SHARD", f"{max(1, self.a.megabytes // 5)}MB")
        text = (f'base = model("../base.safetensors")\ntasks = family(["../a.safetensors", "../b.safetensors"], base)\n'
                f'base + {strength} * sin(ties(tasks, 0.5)) |> save("{out}"{shard})')
        return subprocess.Popen([self.a.tva, "eval", text, "--threads", "1", *options], cwd=folder,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def trial(self, i):
        form = ["single", "sharded"][i % 2]
        over = i // 2 % 2 == 1
        folder, out = self.make("trial"), FORMS[form][0]
        path = os.path.join(folder, out)
        old = None
        if over:
            source = os.path.join(self.top, f"reference-{form}-0.3", out)
            (shutil.copy if form == "single" else shutil.copytree)(source, path)
            old = self.references[form, "0.3"]
        new = self.references[form, "0.5"]
        # Half of the moments anywhere in the run, half near its end, where names are given.
        span = self.seconds[form]
        moment = self.random.uniform(0, 1.05 * span) if self.random.random() < 0.5 else self.random.uniform(0.75 * span, 1.2 * span)
        process = self.run(folder, form, "0.5", *(["--resume"] if self.random.random() < 0.5 else []))
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        there = digest(path)
        if there not in (old, new):
            return "MIXED", f"{form}, killed after {moment:.3f} s: neither the old output nor the new one"
        if there is not None:
            reader.read(path)
        resumed = self.run(folder, form, "0.5", "--resume")
        _, error = resumed.communicate()
        if resumed.returncode != 0 or digest(path) != new:
            return "BYTES", f"{form}, killed after {moment:.3f} s: resumed with status {resumed.returncode} to other bytes\n{error}"
        left = [n for n in os.listdir(folder) if n != out]
        if left:
            return "LEFT", f"{form}, killed after {moment:.3f} s: {left} left behind"
        state = "finished" if there == new and process.returncode == 0 else "new" if there == new else "old"
        return "ok", (state, "went on after" in error)

    def all(self):
        good, killed, i, states, resumed = 0, 0, 0, {}, 0
        while killed < self.a.kills:
            verdict, detail = self.trial(i)
            i += 1
            # A run that ended before its moment was not killed: another takes its place.
            ended = verdict == "ok" and detail[0] == "finished"
            killed += not ended
            if verdict == "ok":
                good += not ended
                states[detail[0]] = states.get(detail[0], 0) + 1
                resumed += detail[1]
            else:
                print(f"{verdict}: run {i}: {detail}", flush=True)
            if killed % 20 == 0 and not ended:
                print(f"{killed} kills, {good} good", flush=True)
        print(f"{good} of {killed} kills left a valid old or new output and resumed to the same bytes; before resuming: "
              f"{states.get('old', 0)} had the old one or none, {states.get('new', 0)} the new one though killed; {resumed} went on with finished "
              f"tensors; {states.get('finished', 0)} more runs had ended before they could be killed")
        shutil.rmtree(self.top)
        return good == killed


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--kills", type=int, default=200)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--megabytes", type=int, default=48)
    p.add_argument("--tva", default=os.path.join(ROOT, "repl/Tva/bin/Release/net10.0/tva"))
    sys.exit(0 if Killer(p.parse_args()).all() else 1)
