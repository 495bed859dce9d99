"""What onnxruntime alone needs for the two networks of a frame, detector and expression, one after the other.

  target/peers-venv/bin/python benches/two_networks.py [--core N]

for a comparison with `taskset --cpu-list N cargo bench --package dmue-benches -- "engine 640x480/levels/1"`, in turns.
`cargo xtask bench-peers` makes the environment.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

import numpy as np
import onnxruntime

MODELS = Path(__file__).parent.parent / "dmue-edge/models"


def session(path):
    """Runs a network on made numbers."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    network = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    face = network.get_inputs()[0]
    shape = [side if isinstance(side, int) else 1 for side in face.shape]
    values = np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    return lambda: network.run(None, {face.name: values})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=400)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {arguments.core})
    networks = [session(MODELS / name) for name in ("blazeface_back.onnx", "edge.dmue.onnx")]
    times = []
    for _ in range(arguments.rounds):
        start = time.perf_counter()
        for network in networks:
            network()
        times.append((time.perf_counter() - start) * 1e3)
    print(f"both networks: least {min(times):.2f} ms, median {statistics.median(times):.2f} ms")


if __name__ == "__main__":
    main()
