"""The texts that tests/ops/print.rs expects: tensors as PyTorch prints them.

Made with PyTorch 2.15.0:

    python tests/ops/printed/make.py > tests/ops/printed/printed.json

Dtypes are written as Thalweg calls them. Its integers are i32 where PyTorch's are int64, and neither is written.
"""

import json
import math

import torch

DTYPES = {
    "f32": torch.float32,
    "f64": torch.float64,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
    "i32": torch.int64,
    "u32": torch.uint32,
    "bool": torch.bool,
}
inf, nan = math.inf, math.nan


def case(dtype, shape, values=None, start=0.0, step=1.0):
    count = math.prod(shape)
    row = {"dtype": dtype, "shape": shape}
    if values is None:
        row |= {"start": start, "step": step}
        values = [start + i * step for i in range(count)]
    else:
        row |= {"values": [str(x) if isinstance(x, float) and not math.isfinite(x) else x for x in values]}
    x = torch.tensor(values, dtype=torch.float64 if dtype.startswith(("f", "bf")) else torch.int64)
    text = str(x.to(DTYPES[dtype]).reshape(shape))
    for ours, theirs in DTYPES.items():
        text = text.replace(f"dtype={theirs})", f"dtype={ours})")
    return row | {"text": text}


print("[")
rows = [
    # Scalars.
    case("f32", [], [0.0]),
    case("f32", [], [-1.0]),
    case("f32", [], [1e-5]),
    case("f32", [], [123456.789]),
    case("f32", [], [inf]),
    case("f32", [], [nan]),
    case("i32", [], [-7]),
    case("bool", [], [1]),
    case("f64", [], [1 / 3]),
    case("u32", [], [4294967295]),
    # Whole numbers, fractions, powers.
    case("f32", [4], [1.0, 2.0, 3.0, 4.0]),
    case("f32", [3], [-1.5, 0.25, 100.0]),
    case("f32", [3], [0.0, -0.0, 1.0]),
    case("f32", [2], [0.0, 0.0]),
    case("f32", [2], [1e-4, 1.0]),
    case("f32", [2], [1.0, 1000.0]),
    case("f32", [2], [1.0, 1001.0]),
    case("f32", [2], [0.5, 500.0]),
    case("f32", [2], [0.5, 501.0]),
    case("f32", [2], [1e8, 1e8]),
    case("f32", [2], [2e8, 2e8]),
    case("f32", [3], [-1e-10, 0.0, 1e10]),
    case("f32", [2], [3.4e38, 1.2e-38]),
    case("f64", [2], [1e-300, 1e300]),
    # What is no number.
    case("f32", [3], [nan, 1.0, -inf]),
    case("f32", [3], [nan, 1.5, inf]),
    case("f32", [3], [nan, 1e-9, -inf]),
    case("f32", [2], [nan, nan]),
    case("f32", [2, 2], [inf, -inf, 0.0, nan]),
    # Integers and truth values.
    case("i32", [5], [0, -1, 100, -1000, 7]),
    case("i32", [2, 2], [1, 2, 3, -40]),
    case("u32", [3], [1, 20, 300]),
    case("bool", [2, 2], [1, 0, 0, 1]),
    # 16 bits.
    case("f16", [3], [0.1, 65504.0, -3.0]),
    case("bf16", [3], [0.1, 3.0, -3.0]),
    case("f16", [2, 3], start=1.0, step=0.5),
    # Nothing.
    case("f32", [0], []),
    case("f32", [2, 0], []),
    case("i32", [0], []),
    case("bool", [0, 3], []),
    case("f64", [0, 0, 2], []),
    # Many axes, long rows, and what is cut.
    case("f32", [2, 2, 2]),
    case("i32", [1, 2, 1, 3]),
    case("f32", [30], step=0.5),
    case("i32", [40], start=100.0),
    case("f32", [1000], step=0.001),
    case("f32", [1001], step=1.0),
    case("f32", [40, 40], step=0.25),
    case("f32", [7, 7, 30], step=1.0),
    case("f32", [2, 600], step=-1.0),
    case("f32", [600, 2], step=1e-3),
    case("f64", [11, 100], step=1 / 3),
    case("i32", [4, 6, 5, 10]),
    # Notes that do not fit on the last line.
    case("f64", [9], start=10.0, step=0.5),
    case("f16", [8], start=10.0, step=0.5),
    case("bf16", [7], start=100.0, step=0.5),
]
print(",\n".join(json.dumps(row) for row in rows))
print("]")
