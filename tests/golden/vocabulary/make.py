#!/usr/bin/env python3
"""Writes four small folders, for transcripts: base and tuned, of one model but other vocabularies; tied and untied, of which one keeps an output layer."""
import json
import os
import struct
import sys


def save(path, tensors):
    header, data = {}, b""
    for name, rows in tensors.items():
        raw = b"".join(struct.pack("<f", v) for row in rows for v in row)
        header[name] = {"dtype": "F32", "shape": [len(rows), len(rows[0])], "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def rows(seed, count):
    return [[seed + r, seed - 2 * r] for r in range(count)]


def main(folder):
    vocabularies = {"base": ["a", "b", "c", "d"], "tuned": ["b", "a", "<new>", "d", "e"]}
    for seed, (name, tokens) in enumerate(vocabularies.items()):
        save(f"{folder}/{name}/model.safetensors", {"model.embed_tokens.weight": rows(1 + seed, len(tokens)), "model.layers.0.mlp.weight": rows(seed, 2)})
        with open(f"{folder}/{name}/tokenizer.json", "w") as file:
            json.dump({"model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(tokens)}, "merges": []}, "added_tokens": []}, file)
    for seed, name in enumerate(["tied", "untied"]):
        head = {} if name == "tied" else {"lm_head.weight": rows(7, 4)}
        save(f"{folder}/{name}/model.safetensors", {"model.embed_tokens.weight": rows(3 + seed, 4), **head})
        with open(f"{folder}/{name}/config.json", "w") as file:
            json.dump({"model_type": "llama", "tie_word_embeddings": name == "tied"}, file)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)))
