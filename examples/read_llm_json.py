"""Read the exported JSON of a language model with nothing but Python's own `json`.

Run: python examples/read_llm_json.py model.json        (`save_model_json` writes such a file)
"""

import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    model_data = json.load(file)

vocab = model_data["vocab"]
layers = model_data["layers"]
print(f"词汇量: {len(vocab['words'])}")
for number, layer in enumerate(layers):
    print(f"[{number}] {layer['type']}")
    for name, tensor in layer["tensors"].items():
        row = tensor["data"][0] if len(tensor["shape"]) == 2 else tensor["data"]
        print(f"    {name:<20} {tensor['shape']!s:<12} {row[0]:+.6f} {row[1]:+.6f} …")
