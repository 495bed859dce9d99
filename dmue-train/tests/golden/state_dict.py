"""Writes two files beside this one: state_dict.pt, what torch.save makes of the first convolution of
a ResNet-18 of an eighth of the width, its values chosen so that float32 holds them exactly; and
checkpoint.pt, the same in float16, as parameters under a data parallel wrapper's names in a dict
beside other things. Needs torch (2.11 was used); `python state_dict.py`."""

from collections import OrderedDict
from pathlib import Path

import torch

CHANNELS = 8

state = OrderedDict()
state["conv1.weight"] = torch.arange(CHANNELS * 3 * 7 * 7, dtype=torch.float32).view(CHANNELS, 3, 7, 7) / 1024
state["bn1.weight"] = torch.full((CHANNELS,), 0.5)
state["bn1.bias"] = torch.full((CHANNELS,), 0.25)
state["bn1.running_mean"] = torch.zeros(CHANNELS)
state["bn1.running_var"] = 1 + torch.arange(CHANNELS, dtype=torch.float32) / 8
state["bn1.num_batches_tracked"] = torch.tensor(3)
torch.save(state, Path(__file__).with_name("state_dict.pt"))

wrapped = OrderedDict()
for name, tensor in state.items():
    half = tensor.half() if tensor.is_floating_point() else tensor
    wrapped[f"module.{name}"] = torch.nn.Parameter(half) if name == "conv1.weight" else half
wrapped._metadata = {"": {"version": 1}}
optimiser = {"state": {0: {"step": 3.5, "first": torch.ones(2)}}, "groups": [{"rate": 1e-3}]}
checkpoint = {"epoch": -3, "best": 2**40, "done": True, "state_dict": wrapped, "optimizer": optimiser}
torch.save(checkpoint, Path(__file__).with_name("checkpoint.pt"))
