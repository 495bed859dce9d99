"""Milliseconds of one network in dmue-edge, plain tract and what one would pick instead of them.

Every runtime gets the same ONNX file and the same numbers, one thread, batch 1, pinned to one core. They take
turns, so that a change of the machine's load meets all of them; the shortest run of each counts, and ratios
are to onnxruntime. A runtime that cannot be had or cannot read a file says so, and its cell stays empty.

  cargo xtask bench-peers
"""

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

from network import Network, same

MODELS = Path(__file__).parent.parent / "dmue-edge/models"
DEFAULT = [MODELS / name for name in ("edge.dmue.onnx", "blazeface_short_range.onnx", "blazeface_back.onnx")]


class Ours:
    """`time_network`, which answers a count of runs with the shortest one's nanoseconds."""

    def __init__(self, network, program, kernels):
        environment = {**os.environ, "DMUE_KERNELS": kernels}
        self.process = subprocess.Popen(
            [program, network.path], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.first = np.array(self.process.stdout.readline().split(), np.float32)

    def shortest(self, runs):
        self.process.stdin.write(f"{runs}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline()) / 1e6


class Timed:
    """A runtime that is called from Python."""

    def shortest(self, runs):
        best = float("inf")
        for _ in range(runs):
            start = time.perf_counter_ns()
            self.run()
            best = min(best, time.perf_counter_ns() - start)
        return best / 1e6


class OnnxRuntime(Timed):
    def __init__(self, network):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(network.path, options, providers=["CPUExecutionProvider"])
        inputs = {network.input: network.values}
        self.run = lambda: session.run(network.outputs, inputs)
        self.first = self.run()[0]


class OpenVino(Timed):
    def __init__(self, network):
        import openvino

        settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
        compiled = openvino.Core().compile_model(str(network.path), "CPU", settings)
        request = compiled.create_infer_request()
        request.set_input_tensor(openvino.Tensor(network.values))
        self.run = request.infer
        self.run()
        self.first = request.get_output_tensor(0).data


class Mnn(Timed):
    def __init__(self, network):
        import MNN

        file = network.path.with_suffix(".mnn")
        converter = Path(sys.executable).parent / "mnnconvert"
        words = [converter, "-f", "ONNX", "--modelFile", network.path, "--MNNModel", file, "--bizCode", "MNN"]
        subprocess.run(words, check=True, capture_output=True)
        settings = {"backend": "CPU", "precision": "high", "numThread": 1}
        manager = MNN.nn.create_runtime_manager((settings,))
        module = MNN.nn.load_module_from_file(
            str(file), [network.input], network.outputs, runtime_manager=manager, shape_mutable=False
        )
        given = MNN.expr.const(network.values, network.shape, MNN.expr.NCHW)

        def run():
            return [output.read() for output in module.forward([given])]

        self.run = run
        self.first = run()[0]


class Ncnn(Timed):
    def __init__(self, network):
        import ncnn

        # The program itself: the script beside it imports torch.
        package = importlib.util.find_spec("pnnx")
        if package is None:
            raise RuntimeError("pnnx is not installed")
        converter = Path(package.submodule_search_locations[0]) / "pnnx"
        shape = ",".join(map(str, network.shape))
        words = [converter, network.path, f"inputshape=[{shape}]", "fp16=0"]
        subprocess.run(words, check=True, capture_output=True, cwd=network.path.parent)
        net = ncnn.Net()
        net.opt.num_threads = 1
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        net.opt.use_bf16_storage = False
        stem = str(network.path.with_suffix("")).replace("-", "_")
        if net.load_param(f"{stem}.ncnn.param") or net.load_model(f"{stem}.ncnn.bin"):
            raise RuntimeError("it cannot load what pnnx made")
        values = ncnn.Mat(network.values[0]).clone()

        def run():
            with net.create_extractor() as extractor:
                extractor.input("in0", values)
                return [extractor.extract(name)[1] for name in sorted(net.output_names())]

        self.run = run
        self.first = np.array(run()[0])


def runtimes(program):
    return {
        "dmue-edge": lambda network: Ours(network, program, "on"),
        "portable Rust": lambda network: Ours(network, program, "portable"),
        "tract": lambda network: Ours(network, program, "off"),
        "onnxruntime": OnnxRuntime,
        "OpenVINO": OpenVino,
        "MNN": Mnn,
        "ncnn": Ncnn,
    }


def prepare(network, program):
    """The runtimes that can run the network and say the same as onnxruntime."""
    ready = {}
    for name, make in runtimes(program).items():
        try:
            ready[name] = make(network)
        except Exception as error:  # whatever a peer raises: its cell stays empty, and the reason is told
            print(f"{network.name}: no {name}: {error}", file=sys.stderr)
    expected = np.ravel(ready["onnxruntime"].first)
    for name in list(ready):
        if not same(np.ravel(ready[name].first), expected):
            print(f"{network.name}: {name} says something else than onnxruntime", file=sys.stderr)
            del ready[name]
    return ready


def measure(ready, rounds, seconds):
    """Milliseconds of the shortest run of each."""
    shortest = {name: runtime.shortest(3) for name, runtime in ready.items()}
    for _ in range(rounds):
        for name, runtime in ready.items():
            runs = max(1, int(seconds * 1e3 / shortest[name]))
            shortest[name] = min(shortest[name], runtime.shortest(runs))
    return shortest


def table(results, names):
    lines = ["| network | " + " | ".join(names) + " | dmue-edge / onnxruntime |", "|---" * (len(names) + 2) + "|"]
    for network, times in results.items():
        cells = [f"{times[name]:.3f}" if name in times else "-" for name in names]
        ratio = times["dmue-edge"] / times["onnxruntime"] if "dmue-edge" in times else float("nan")
        lines.append(f"| {network} | " + " | ".join(cells) + f" | {ratio:.2f} |")
    return "\n".join(lines)


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    best = next((name for name in ("avx512f", "avx2") if name in flags), platform.machine())
    return f"{names[0] if names else platform.processor()}, {best}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True, help="time_network, built for release")
    parser.add_argument("--network", type=Path, action="append", help="ONNX file, may be repeated")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each runtime in a round")
    parser.add_argument("--core", type=int, default=0, help="to pin everything to")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {arguments.core})
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for path in arguments.network or DEFAULT:
            network = Network(path, Path(folder))
            results[network.name] = measure(prepare(network, arguments.program), arguments.rounds, arguments.seconds)
    print(f"Shortest run in milliseconds, one thread, {processor()}\n")
    print(table(results, list(runtimes(arguments.program))))
    if arguments.json:
        arguments.json.write_text(json.dumps({"processor": processor(), "milliseconds": results}, indent=2))


if __name__ == "__main__":
    main()
