"""Executed instructions of one frame on ARM processors, in dmue-edge, plain tract and onnxruntime.

No board is needed: qemu runs each program as the named processor, and a plugin counts. Every runtime gets the same
ONNX file and the same numbers, one thread, batch 1; (frame 13 minus frame 3) / 10. Instructions are no time: how many a
cycle a core executes differs. The second table is arithmetic about a board, and no measurement either.

  cargo xtask instructions
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import roofline
from network import Network, same
from roofline import PROCESSORS

BENCHES = Path(__file__).parent
MODELS = (
    "dmue-edge/models/edge.dmue.onnx",
    "dmue-train/models/nano.dmue.onnx",
    "dmue-edge/models/blazeface_short_range.onnx",
    "dmue-edge/models/blazeface_back.onnx",
)
WARM, COUNTED = 3, 10
REPEATABLE = 0.005  # of a count


class Emulator:
    """A processor with a Debian around it."""

    def __init__(self, arguments, cpu):
        self.arguments = arguments
        self.cpu = cpu
        # Where the emulator shows this machine's, and both runtimes choose by the board's.
        shown = arguments.root / "proc/cpuinfo"
        shown.parent.mkdir(exist_ok=True)
        shown.write_text(
            f"processor\t: 0\nFeatures\t: {PROCESSORS[cpu].features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
            f"CPU variant\t: 0x0\nCPU part\t: {PROCESSORS[cpu].part}\nCPU revision\t: 0\n\n"
        )

    def run(self, words, settings):
        """The first output and the instructions of a frame."""
        given = self.arguments
        command = ["qemu-aarch64", "-cpu", self.cpu, "-L", given.root, "-plugin", given.plugin, *words]
        environment = {"PATH": os.environ["PATH"], "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0", **settings}
        done = subprocess.run(command, env=environment, input=f"{WARM}\n{COUNTED}\n", text=True, capture_output=True)
        lines = [line.split() for line in done.stderr.splitlines()]
        counts = [int(line[1]) for line in lines if line[:1] == ["instructions"] and len(line) == 2]
        if done.returncode != 0 or len(counts) < 3:
            raise RuntimeError(f"{words[0]} on {self.cpu} failed ({done.returncode}): {done.stderr[-2000:]}")
        return np.array(done.stdout.splitlines()[0].split(), np.float32), (counts[-1] - counts[-2]) / COUNTED

    def twice(self, words, settings):
        """The same with a count that both of two runs gave."""
        (first, once), (_, again) = self.run(words, settings), self.run(words, settings)
        if abs(once - again) > REPEATABLE * once:
            raise RuntimeError(f"{words[0]} on {self.cpu}: {once:.0f} instructions, then {again:.0f}: count once more")
        return first, (once + again) / 2


def runtimes(arguments, network):
    """Words of a command and its environment."""
    python = [arguments.root / "usr/bin/python3", BENCHES / "run_onnxruntime.py"]
    return {
        "dmue-edge": ([arguments.program, network.path], {"DMUE_KERNELS": "on"}),
        "tract": ([arguments.program, network.path], {"DMUE_KERNELS": "off"}),
        "onnxruntime": ([*python, network.path], {"PYTHONPATH": str(arguments.packages)}),
    }


def count(arguments, network, cpu):
    """Instructions of a frame in each runtime; all must say the same."""
    emulator = Emulator(arguments, cpu)
    answers = {name: emulator.twice(*how) for name, how in runtimes(arguments, network).items()}
    expected = answers["onnxruntime"][0]
    for name, (first, instructions) in answers.items():
        print(f"{network.name}, {cpu}, {name}: {instructions:.0f}", file=sys.stderr)
        if not same(first, expected):
            raise RuntimeError(f"{network.name} on {cpu}: {name} says something else than onnxruntime")
    return {name: instructions for name, (_, instructions) in answers.items()}


def table(results):
    names = ["dmue-edge", "tract", "onnxruntime"]
    lines = ["| network | processor | " + " | ".join(names) + " | dmue-edge / onnxruntime |", "|---" * 6 + "|"]
    for (network, cpu), counts in results.items():
        cells = " | ".join(f"{counts[name] / 1e6:.2f}" for name in names)
        lines.append(f"| {network} | {cpu} | {cells} | {counts['dmue-edge'] / counts['onnxruntime']:.2f} |")
    return "\n".join(lines)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, required=True, help="time_network, built for aarch64")
    parser.add_argument("--plugin", type=Path, required=True, help="count_instructions.c, compiled")
    parser.add_argument("--root", type=Path, required=True, help="folder with an aarch64 Debian that has Python")
    parser.add_argument("--packages", type=Path, required=True, help="folder with its numpy and onnxruntime")
    parser.add_argument("--network", type=Path, action="append", help="ONNX file, may be repeated")
    parser.add_argument("--cpu", choices=PROCESSORS, action="append", help="may be repeated")
    parser.add_argument("--json", type=Path, help="file to write the counts to")
    return parser.parse_args()


def main():
    arguments = parse()
    results, estimates = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for path in arguments.network or [BENCHES.parent / model for model in MODELS]:
            network = Network(path, Path(folder))
            work = roofline.work(network.path)
            for cpu in arguments.cpu or PROCESSORS:
                counts = results[network.name, cpu] = count(arguments, network, cpu)
                if work is not None:
                    estimates.append((network.name, cpu, work, counts["dmue-edge"]))
    print(f"Executed instructions of a frame in millions, one thread, under qemu\n\n{table(results)}\n")
    print("Estimated least milliseconds of a frame on one core: arithmetic, and no measurement\n")
    print(roofline.table(estimates))
    if arguments.json:
        counts = [{"network": network, "cpu": cpu, **counts} for (network, cpu), counts in results.items()]
        arguments.json.write_text(json.dumps(counts, indent=2))


main()
