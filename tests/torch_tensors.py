#!/usr/bin/env python3
"""Loads what tva wrote into PyTorch's tensors and holds it against what PyTorch itself makes of the same input.

  tests/torch_tensors.py BASE.safetensors TASK.safetensors OUTPUT...

OUTPUT is a file or folder that holds BASE's tensors in any of the three types, or, where its metadata calls it a delta, TASK - BASE. Every
tensor has to have the bits of PyTorch's own difference and rounding. Ends with status 1 and a line about what differs, 3 without torch.
Two more words, save FILE, write BASE by torch.save, for tva to read.
"""
import json, os, struct, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import reader

try:
    import torch
except ImportError:
    sys.exit(3)

TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def load(path):
    """{name: tensor} of one safetensors file, by its header's offsets, and its metadata."""
    with open(path, "rb") as f:
        length = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(length))
        metadata = header.pop("__metadata__", {})
        data = bytearray(f.read())
    tensors = {}
    for name, t in header.items():
        first, last = t["data_offsets"]
        kind = TYPES[t["dtype"]]
        count = (last - first) // torch.empty(0, dtype=kind).element_size()
        tensors[name] = torch.frombuffer(data, dtype=kind, count=count, offset=first).reshape(t["shape"])
    return tensors, metadata


def bits(tensor):
    return tensor.contiguous().view(torch.int32 if tensor.dtype == torch.float32 else torch.int16)


def main(base, task, outputs):
    base, _ = load(base)
    task, _ = load(task)
    if outputs[0] == "save":
        torch.save(base, outputs[1])
        return
    for path in outputs:
        reader.read(path)
        files = [path] if os.path.isfile(path) else [os.path.join(path, n) for n in sorted(os.listdir(path)) if n.endswith(".safetensors")]
        seen = set()
        for file in files:
            tensors, metadata = load(file)
            for name, tensor in tensors.items():
                expected = task[name] - base[name] if metadata.get("tva.kind") == "delta" else base[name]
                if tensor.shape != expected.shape or not torch.equal(bits(tensor), bits(expected.to(tensor.dtype))):
                    sys.exit(f"{file}: {name} as {tensor.dtype} is not what PyTorch makes of it")
                seen.add(name)
        if seen != set(base):
            sys.exit(f"{path}: other tensors than the base's")
        print(path, len(seen), sorted({str(t.dtype) for t in tensors.values()}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
