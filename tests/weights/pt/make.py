"""The files of tests/weights/torch.rs: state dictionaries as `torch.save` writes them, and as it should not.

Made with PyTorch 2.15.0 on the CPU:

    python tests/weights/pt/make.py

Every element is a small number that says where it is, so the test knows what it has to find.
"""

import argparse
import collections
from pathlib import Path

import torch
from torch import nn

FOLDER = Path(__file__).parent


def count(*shape, dtype=torch.float32):
    """0, 1, 2, .. in row-major order."""
    n = 1
    for extent in shape:
        n *= extent
    return torch.arange(n).reshape(shape).to(dtype)


class Net(nn.Module):
    """`[B, 2, 4, 4]` → `[B, 3]`."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(64, 3)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.conv(x))).flatten(1))


def save(name, what, **settings):
    torch.save(what, FOLDER / f"{name}.pt", **settings)


def main():
    torch.manual_seed(0)
    net = Net()
    opt = torch.optim.Adam(net.parameters(), lr=0.25)
    x = count(5, 2, 4, 4) / 160 - 0.5
    for _ in range(2):
        opt.zero_grad()
        net(x).square().sum().backward()
        opt.step()
    net.eval()
    # A model with what it gives, and a whole run.
    save("net", net.state_dict())
    save("net-output", {"x": x, "y": net(x).detach()})
    save("run", {"epoch": 7, "best": 0.5, "note": "a run", "model": net.state_dict(), "optimizer": opt.state_dict()})
    save("protocol4", net.state_dict(), pickle_protocol=4)

    # Every dtype.
    dtypes = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8]
    dtypes += [torch.uint8, torch.bool, torch.uint16, torch.uint32, torch.uint64]
    save("dtypes", {str(dtype).removeprefix("torch."): count(2, 3, dtype=dtype) for dtype in dtypes})

    # Views: strides, offsets, storages that several share; parameters; an empty one, a scalar, a large one behind a small view.
    base = count(4, 6)
    views = collections.OrderedDict()
    views["base"] = base
    views["transposed"] = base.t()
    views["slice"] = base[1:3, 2:5]
    views["steps"] = base[::2, ::3]
    views["repeated"] = base[2, 3].expand(2, 3)
    views["parameter"] = nn.Parameter(base[3])
    views["empty"] = torch.zeros(0, 3)
    views["scalar"] = torch.tensor(7.0)
    views["channels_last"] = count(1, 2, 2, 3).contiguous(memory_format=torch.channels_last)
    save("views", views)
    save("nested", {"a": [count(2), {"b": (count(3), None, True)}], 3: count(1)})

    # Refused: what would have to be executed, what is not dense, what is of before 2020.
    save("namespace", {"args": argparse.Namespace(lr=0.1), "weight": count(2)})
    save("module", nn.Linear(1, 1))
    save("sparse", {"weight": count(2, 2).to_sparse()})
    save("legacy", {"weight": count(2)}, _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.script(nn.Linear(1, 1)), FOLDER / "script.pt")

    # Without checksums, as very large files are sometimes written.
    torch.serialization.set_crc32_options(False)
    save("unchecked", {"weight": count(2, 3)})


main()
