"""What onnxruntime alone needs for the two networks of a frame, detector and expression, one after the other.

  target/peers-venv/bin/python benches/two_networks.py [--core N]

for a comparison with `taskset --cpu-list N cargo bench --package dmue-benches -- "engine 640x480/levels/1"`, in turns.
`cargo xtask bench-peers` makes the environment.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from bench_peers import MODELS, OnnxRuntime
from network import Network


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=400)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {arguments.core})
    names = ("blazeface_back.onnx", "edge.dmue.onnx")
    with tempfile.TemporaryDirectory() as folder:
        networks = [OnnxRuntime(Network(MODELS / name, Path(folder))) for name in names]
    times = []
    for _ in range(arguments.rounds):
        start = time.perf_counter()
        for network in networks:
            network.run()
        times.append((time.perf_counter() - start) * 1e3)
    print(f"both networks: least {min(times):.2f} ms, median {statistics.median(times):.2f} ms")


if __name__ == "__main__":
    main()
