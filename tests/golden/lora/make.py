#!/usr/bin/env python3
"""Writes base.safetensors, a PEFT adapter over it and merged.safetensors, base + scale * B @ A in float64 by PyTorch, into a folder.

The adapter has what PEFT's rules are about: rsLoRA, rank_pattern, alpha_pattern, an embedding, a convolution and a module saved in full.
"""
import json
import math
import os
import struct
import sys

import torch


def save(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        raw = tensor.contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main(folder):
    torch.manual_seed(1)
    base = {
        "model.embed.weight": torch.randn(20, 8),
        "model.layers.0.q.weight": torch.randn(8, 8),
        "model.layers.0.up.weight": torch.randn(12, 8),
        "model.layers.1.q.weight": torch.randn(8, 8),
        "model.layers.1.up.weight": torch.randn(12, 8),
        "model.layers.0.conv.weight": torch.randn(6, 4, 3, 3),
        "model.layers.0.up.bias": torch.randn(12),
        "head.weight": torch.randn(5, 8),
    }
    adapter, merged = {}, {name: tensor.double() for name, tensor in base.items()}
    for name, rank, alpha in [("layers.0.q", 4, 8), ("layers.1.q", 2, 8), ("layers.0.up", 4, 16), ("layers.1.up", 4, 8), ("layers.0.conv", 4, 8)]:
        weight = base[f"model.{name}.weight"]
        a = torch.randn(rank, *weight.shape[1:])
        b = torch.randn(weight.shape[0], rank, *[1] * (weight.dim() - 2))
        adapter[f"base_model.model.model.{name}.lora_A.weight"] = a
        adapter[f"base_model.model.model.{name}.lora_B.weight"] = b
        flat = b.double().reshape(-1, rank) @ a.double().reshape(rank, -1)
        merged[f"model.{name}.weight"] += alpha / math.sqrt(rank) * flat.reshape(weight.shape)
    a, b = torch.randn(4, 20), torch.randn(8, 4)
    adapter["base_model.model.model.embed.lora_embedding_A"] = a
    adapter["base_model.model.model.embed.lora_embedding_B"] = b
    merged["model.embed.weight"] += 8 / math.sqrt(4) * (b.double() @ a.double()).T
    adapter["base_model.model.head.weight"] = torch.randn(5, 8)
    merged["head.weight"] = adapter["base_model.model.head.weight"].double()
    save(f"{folder}/base.safetensors", base)
    save(f"{folder}/adapter/adapter_model.safetensors", adapter)
    save(f"{folder}/merged.safetensors", {name: tensor.float() for name, tensor in merged.items()})
    config = {
        "peft_type": "LORA", "r": 4, "lora_alpha": 8, "use_rslora": True, "rank_pattern": {"layers.1.q": 2},
        "alpha_pattern": {"^model.layers.0.up": 16}, "modules_to_save": ["head"], "bias": "none", "fan_in_fan_out": False,
        "target_modules": ["q", "up", "conv", "embed"], "init_lora_weights": True,
    }
    with open(f"{folder}/adapter/adapter_config.json", "w") as file:
        json.dump(config, file, indent=1)


if __name__ == "__main__":
    main(sys.argv[1])
