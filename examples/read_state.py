"""Read a saved state with Python's standard library alone: docs/formats.md, in forty lines.

Run: python examples/read_state.py PATH       a .bin, a .json, or a version of a store (DIR/versions/0003.json)

An array becomes (dtype, shape, flat list of its numbers in row order). A float32 of a .json is the decimal that stands
there: array.array("f", …) rounds it to its bits. float8 in binary files stays bytes, as does what the page calls kept
as bytes. Every sha256 is compared. xxh3-128 is not in the standard library: damage to numbers that only it covers
(of a .json; of a .bin without digest="sha256") is not noticed here.
"""

import base64
import hashlib
import json
import math
import re
import struct
import sys
from pathlib import Path

NAMES = "F64d8 F32f4 F16e2 BF16f2 F8_E5M2B1 F8_E4M3B1 I64q8 I32i4 I16h2 I8b1 U64Q8 U32I4 U16H2 U8B1 BOOL?1"
FORMATS = {name[:-2]: (name[-2], int(name[-1])) for name in NAMES.split()}  # format of `struct`, bytes in the file


def check(data, digest):
    text = data if isinstance(data, bytes) else json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
    return data if len(digest) == 32 or hashlib.sha256(text).hexdigest() == digest else sys.exit(f"not {digest}")


def numbers(dtype, shape, data):
    if isinstance(data, bytes):
        data = re.sub(rb"(?s)..", rb"\0\0\g<0>", data) if dtype == "BF16" else data  # the upper half of a float32
        data = struct.unpack_from(f"<{math.prod(shape)}{FORMATS[dtype][0]}", data)
    flat = re.sub(r'"(-?\w+)(:\w+)?"|[][]', r"\1", json.dumps(data))  # Python's own JSON has NaN and long integers
    return dtype, shape, json.loads(f"[{flat}]")


def tree(node, path, found):
    if not isinstance(node, dict):
        return [tree(one, path, found) for one in node] if isinstance(node, list) else node
    if node.keys() & {"$array", "$same", "$part"}:
        return tree(found[node.get("$same") or node.get("$part") or path], path, found)
    if odd := bytes.fromhex(node.get("$float") or node.get("$text") or ""):
        return struct.unpack(">d", odd)[0] if "$float" in node else odd.decode("utf-8", "surrogatepass")
    inside = ((key.removeprefix("$"), value) for key, value in node.items())
    return {k: tree(value, f"{path}/{k.replace('~', '~0').replace('/', '~1')}", found) for k, value in inside}


def read(path):
    if not (data := path.read_bytes()).startswith(b"{"):
        head, data = data[: (start := 8 + int.from_bytes(data[:8], "little"))], data[start:]
        about = (heads := json.loads(head[8:])).pop("__metadata__")
        check(head.replace(about["sha256"].encode(), b"0" * 64), about["sha256"])
        raw = {p: check(data[slice(*heads[p]["data_offsets"])], one) for p, one in json.loads(about["digests"]).items()}
        said = {"state": json.loads(raw.pop("$state"))}
    elif "manifest" in (said := json.loads(data)):
        heads = (said := check(said["manifest"], said["sha256"]))["arrays"]
        objects = [check((path.parents[1] / "objects" / name).read_bytes(), name[:64]) for name, _ in said["objects"]]
        said["state"] = {key: value for part in said["parts"] for key, value in json.loads(objects[part]).items()}
        cut = {p: h["rows"] * math.prod(h["shape"][1:]) * FORMATS[h["dtype"]][1] or None for p, h in heads.items()}
        raw = {p: b"".join(objects[at][start:][: cut[p]] for at, start, _ in heads[p]["segments"]) for p in heads}
    else:
        heads = said["tensors"] | {t["path"]: t for part in said.get("layers", ()) for t in part["tensors"].values()}
        raw = {p: base64.b64decode(one.pop("b64")) if "b64" in one else one.pop("data") for p, one in heads.items()}
        check(said, said.pop("sha256"))
    return tree(said["state"], "", said | {p: numbers(heads[p]["dtype"], heads[p]["shape"], raw[p]) for p in raw})


if __name__ == "__main__":
    print(read(Path(sys.argv[1])))
