#!/usr/bin/env python3
"""Writes the files of tests/golden/torch with PyTorch itself, and beside each what PyTorch reads back from it, as a plain safetensors file.

    /usr/bin/python3 tests/golden/torch/make.py tests/golden/torch
"""
import argparse, collections, json, pathlib, struct, sys
import torch
from torch import nn

TYPES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.int32: "I32",
         torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}


def safetensors(path, tensors):
    header, data = {}, b""
    for name, t in tensors.items():
        t = t.detach().contiguous()
        raw = t.reshape(-1).view(torch.int16).numpy().tobytes() if t.dtype == torch.bfloat16 else t.numpy().tobytes()
        header[name] = {"dtype": TYPES[t.dtype], "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.ReLU())
        self.head = nn.Linear(4, 3)
        self.tied = nn.Linear(4, 3, bias=False)
        self.tied.weight = self.head.weight
        self.free = nn.Parameter(torch.arange(3.0))
        self.nothing = None
        self.register_buffer("kept", torch.tensor([1, 2], dtype=torch.int64))
        self.register_buffer("passing", torch.ones(5), persistent=False)
        self.cells = nn.ModuleList([nn.GRU(3, 2), nn.Embedding(4, 2)])
        self.words = nn.ParameterDict({"a": nn.Parameter(torch.rand(2))})
        self.owner = [self]                        # a module that holds itself
        self.options = argparse.Namespace(path=pathlib.PurePosixPath("x"), rate=0.5, big=1 << 90)
        self.mode = torch.float16


def main(folder):
    # Old files hold the source of every class; a line is as good.
    torch.serialization.get_source_lines_and_file = lambda cls: (["# " + cls.__name__], 1, "somewhere.py")
    torch.manual_seed(1)
    folder.mkdir(parents=True, exist_ok=True)

    def write(name, value, expected, **options):
        torch.save(value, folder / f"{name}.pt", **options)
        safetensors(folder / f"{name}.expected.safetensors", expected)

    base = torch.arange(24.0).reshape(4, 6)
    views = collections.OrderedDict(
        whole=base, transposed=base.t(), part=base[1:3, 2:5], step=base[::2, ::3], one=base[2, 3], expanded=base[:1].expand(3, 6), row=base[3],
        half=torch.rand(3, 2).half(), brain=torch.rand(5).bfloat16(), double=torch.rand(2).double(), flags=torch.tensor([True, False]),
        counts=torch.tensor([-1, 2, 3]), small=torch.tensor([1, -2], dtype=torch.int8), bytes=torch.tensor([1, 255], dtype=torch.uint8),
        none=torch.zeros(0, 3), parameter=nn.Parameter(torch.rand(2, 2)))
    write("views", views, views)
    write("views_legacy", views, views, _use_new_zipfile_serialization=False)
    write("views_legacy4", views, views, _use_new_zipfile_serialization=False, pickle_protocol=4)

    net = Net()
    loss = net.head(net.body(torch.rand(2, 2, 2, 5)).reshape(2, 3, 4)).sum() + net.free.sum()
    optimizer = torch.optim.Adam(net.parameters())
    loss.backward()
    optimizer.step()
    state = net.state_dict()
    write("module", net, state)
    write("module_legacy", net, state, _use_new_zipfile_serialization=False)
    nested = {"epoch": 3, "model": state, "optimizer": optimizer.state_dict(), "args": argparse.Namespace(lr=1e-3, out=pathlib.PurePosixPath("a/b")),
              "rng": torch.get_rng_state().numpy()[:8], "scheduler": collections.defaultdict(list, {1: [2]}), "key": {(1, 2): {3}, None: b"raw"}}
    write("training", nested, state)
    write("training_legacy", nested, state, _use_new_zipfile_serialization=False)

    flat = {f"state.{i}.{k}": v for i, s in optimizer.state_dict()["state"].items() for k, v in s.items()}
    write("optimizer", optimizer.state_dict(), flat)
    lists = {"stages": [torch.rand(2), (torch.rand(1), {"x": torch.rand(3)})]}
    write("lists", lists, {"stages.0": lists["stages"][0], "stages.1.0": lists["stages"][1][0], "stages.1.1.x": lists["stages"][1][1]["x"]})

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))

        def forward(self, x):
            return self.body(x)
    script = torch.jit.script(Plain().eval())
    torch.jit.save(script, folder / "script.pt")
    safetensors(folder / "script.expected.safetensors", script.state_dict())


main(pathlib.Path(sys.argv[1]))
