#!/usr/bin/env python3
"""Reads a safetensors file, or a folder of one or of shards with their index, by the rules of the format alone, and prints what is in it as
one JSON object: {"tensors": {NAME: [DTYPE, SHAPE, SHA256 OF ITS BYTES]}, "metadata": {FILE: {...}}, "files": [...]}.

The rules (github.com/huggingface/safetensors, README): 8 bytes little-endian length of the header; the header a JSON object that begins with
{; per tensor dtype, shape and data_offsets from the end of the header; no duplicate keys; the offsets cover the rest of the file without
holes and without overlap; __metadata__ maps text to text. Of an index: weight_map names the shard of every tensor, and no shard has
others; metadata.total_size is the bytes of all tensors.
What breaks a rule ends the program with status 1 and one line about it.
"""
import hashlib, json, os, struct, sys

SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
         "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}


def wrong(path, what):
    sys.exit(f"{path}: {what}")


def unique(path):
    def pairs(items):
        if len({k for k, _ in items}) != len(items):
            wrong(path, "a key stands twice")
        return dict(items)
    return pairs


def read_file(path):
    """(tensors, metadata, bytes of tensors)"""
    size = os.path.getsize(path)
    with open(path, "rb") as f:
        start = f.read(8)
        if len(start) < 8:
            wrong(path, "has no header length")
        length = struct.unpack("<Q", start)[0]
        if length > 100_000_000 or 8 + length > size:
            wrong(path, f"header length {length}")
        text = f.read(length)
        if not text.startswith(b"{"):
            wrong(path, "the header does not begin with {")
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique(path))
        metadata = header.pop("__metadata__", {})
        if any(not isinstance(v, str) for v in metadata.values()):
            wrong(path, "metadata that is no text")
        end, tensors = 0, {}
        for name, t in sorted(header.items(), key=lambda x: x[1]["data_offsets"]):
            if set(t) != {"dtype", "shape", "data_offsets"}:
                wrong(path, f"{name}: keys {sorted(t)}")
            first, last = t["data_offsets"]
            count = 1
            for d in t["shape"]:
                count *= d
            if first != end or last - first != count * SIZES[t["dtype"]]:
                wrong(path, f"{name}: offsets {first}..{last}, expected {end}..{end + count * SIZES[t['dtype']]}")
            f.seek(8 + length + first)
            left, digest = last - first, hashlib.sha256()
            while left:
                part = f.read(min(left, 1 << 20))
                if not part:
                    wrong(path, f"{name}: cut off")
                digest.update(part)
                left -= len(part)
            tensors[name] = [t["dtype"], t["shape"], digest.hexdigest()]
            end = last
        if 8 + length + end != size:
            wrong(path, f"{size - 8 - length - end} bytes belong to no tensor")
        return tensors, metadata, end


def read(path):
    if os.path.isfile(path):
        tensors, metadata, _ = read_file(path)
        return {"tensors": tensors, "metadata": {os.path.basename(path): metadata}, "files": [os.path.basename(path)]}
    names = sorted(n for n in os.listdir(path) if n.endswith(".safetensors"))
    index = os.path.join(path, "model.safetensors.index.json")
    found, metadata, total = {}, {}, 0
    for name in names:
        tensors, metadata[name], size = read_file(os.path.join(path, name))
        for t in tensors:
            if t in found:
                wrong(path, f"{t} stands in two files")
        found.update({t: (name, v) for t, v in tensors.items()})
        total += size
    if os.path.exists(index):
        with open(index) as f:
            content = json.load(f, object_pairs_hook=unique(index))
        if content["weight_map"] != {t: name for t, (name, _) in found.items()}:
            wrong(index, "weight_map is not what the shards hold")
        if content["metadata"]["total_size"] != total:
            wrong(index, f"total_size {content['metadata']['total_size']}, tensors have {total}")
        shards = [f"model-{i + 1:05}-of-{len(names):05}.safetensors" for i in range(len(names))]
        if names != shards:
            wrong(index, f"the files are {names}")
    elif names != ["model.safetensors"]:
        wrong(path, f"no index, and the files are {names}")
    return {"tensors": {t: v for t, (_, v) in found.items()}, "metadata": metadata, "files": sorted(os.listdir(path))}


if __name__ == "__main__":
    print(json.dumps(read(sys.argv[1])))
