#!/usr/bin/python3
"""What `Tva.Bench device` measures, in PyTorch on the same device: operands and results stay in its memory.

  torch_device.py [--device cuda] [--megabytes 256] [--repeat 5]

One JSON object a job: bytes that must be read and written, the median time, and both beside a copy of one operand within the device's memory.
"""
import argparse, json, sys, time
import torch


def wait(device):
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def seconds(device, repeat, job):
    times = []
    for _ in range(repeat + 2):
        wait(device)
        start = time.perf_counter()
        job()
        wait(device)
        times.append(time.perf_counter() - start)
    return sorted(times[2:])[repeat // 2]


def linear(base, tasks):
    """In place, float32 in between, as the leanest script has it."""
    sum = base.float().mul(1 - 0.3 * len(tasks))
    for t in tasks:
        sum.add_(t, alpha=0.3)
    return sum.to(base.dtype)


def ties(base, tasks, density):
    def trim(d):
        k = max(1, int(density * d.numel()))
        least = torch.topk(d.abs(), k, sorted=False).values.min()
        return torch.where(d.abs() >= least, d, torch.zeros_like(d))
    d = torch.stack([trim(t - base) for t in tasks])
    mask = d.sign() == d.sum(0).sign()
    return base + 0.3 * (d * mask).sum(0) / mask.sum(0).clamp(min=1)


def gram(base, tasks):
    """A matrix product, in float64 as ours adds up."""
    v = torch.stack([t - base for t in tasks]).double()
    return v @ v.t()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--device", default="cuda")
    p.add_argument("--megabytes", type=int, default=256)
    p.add_argument("--repeat", type=int, default=5)
    a = p.parse_args()
    if a.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("this PyTorch finds no graphics card; --device cpu measures the processor")
    n = a.megabytes * 1_000_000 // 4

    def operands(count, dtype=torch.float32, size=n):
        return [((torch.rand(size, device=a.device) - 0.5) * 0.02).to(dtype) for _ in range(count)]

    def tell(name, moved, job):
        from_ = operands(1)[0]
        to = torch.empty_like(from_)
        copy = seconds(a.device, a.repeat, lambda: to.copy_(from_))
        took = seconds(a.device, a.repeat, job)
        rate, floor = moved / took, 8 * n / copy
        print(json.dumps({"job": name, "torch": torch.__version__, "device": a.device, "GB": round(moved / 1e9, 3), "seconds": round(took, 5),
                          "GB_per_s": round(rate / 1e9, 1), "copy_GB_per_s": round(floor / 1e9, 1), "share_of_copy": round(rate / floor, 3)}), flush=True)

    with torch.no_grad():
        base, *tasks = operands(5)
        tell("linear f32", 6 * 4 * n, lambda: linear(base, tasks))
        tell("ties", 5 * 4 * n, lambda: ties(base, tasks, 0.2))
        coefficients = torch.rand(8, 4, device=a.device)
        tell("reconstruct 8 of 4 atoms", 13 * 4 * n, lambda: base + coefficients @ torch.stack(tasks))
        halves = operands(5, torch.bfloat16, 2 * n)
        tell("linear bf16", 6 * 4 * n, lambda: linear(halves[0], halves[1:]))
        del halves
        for count in (8, 32):
            base, *tasks = operands(count + 1)
            tell(f"gram {count}", (count + 1) * 4 * n, lambda: gram(base, tasks))


main()
