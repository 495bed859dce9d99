"""What one core of a board cannot be faster than, by arithmetic: an estimate, and no measurement.

Multiply-adds are those of the convolutions and products as the ONNX file states them. An algorithm that needs fewer,
as Winograd's for 3x3, may pass the bound; so the counted instructions give another, at the widest decoding.
"""

from dataclasses import dataclass

import numpy as np
import onnx

PRODUCTS = ("Conv", "Gemm", "MatMul")
FLOAT = 4  # bytes


@dataclass
class Processor:
    board: str
    part: str  # of /proc/cpuinfo, as are the features
    features: str
    ghz: float
    # Vector instructions of four f32 multiply-adds in a cycle: pigirons/cpufp measured 11.96 GFLOPS at 1.5 GHz and 38.37
    # at 2.4 on the two boards (benchmark_result/arm64 in its repository).
    fma: int
    decoded: int  # instructions a cycle, by Arm's description of the core
    gb_s: float  # what the memory's data sheet allows: 32 bits at its rate


PROCESSORS = {
    "cortex-a72": Processor(
        board="Raspberry Pi 4",
        part="0xd08",
        features="fp asimd evtstrm crc32 cpuid",
        ghz=1.8,
        fma=1,
        decoded=3,
        gb_s=12.8,
    ),
    "cortex-a76": Processor(
        board="Raspberry Pi 5",
        part="0xd0b",
        features="fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
        ghz=2.4,
        fma=2,
        decoded=4,
        gb_s=17.1,
    ),
}


@dataclass
class Work:
    """One frame's."""

    multiply_adds: int
    weights: int  # bytes
    activations: int  # bytes that products read and write, once each


def work(path):
    """None for a network in 8 bits."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True, data_prop=True).graph
    values = [*graph.input, *graph.value_info, *graph.output]
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    shapes |= weights
    total = Work(0, 0, 0)
    if any(node.op_type == "QLinearConv" for node in graph.node):
        return None  # the peaks are of floats
    for node in graph.node:
        if node.op_type in PRODUCTS:
            kernel, made = shapes[node.input[1]], np.prod(shapes[node.output[0]])
            total.multiply_adds += int(made * np.prod(kernel) / output_channels(node, kernel))
            total.weights += sum(FLOAT * int(np.prod(weights[name])) for name in node.input[1:] if name in weights)
            total.activations += FLOAT * int(made + np.prod(shapes[node.input[0]]))
    return total


def output_channels(node, kernel):
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return kernel[0] if node.op_type == "Conv" or transposed else kernel[-1]


def bounds(work, processor, instructions):
    """Milliseconds: multiplying, moving every byte once, decoding what was counted."""
    multiplying = work.multiply_adds / (4 * processor.fma * processor.ghz * 1e6)
    moving = (work.weights + work.activations) / (processor.gb_s * 1e6)
    decoding = instructions / (processor.decoded * processor.ghz * 1e6)
    return multiplying, moving, decoding


def table(rows):
    """Of (network, processor, work, instructions of ours)."""
    lines = [
        "| network | processor | multiply-adds | weights, activations | multiplying | moving | roofline | decoding |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for network, name, work, instructions in rows:
        multiplying, moving, decoding = bounds(work, PROCESSORS[name], instructions)
        lines.append(
            f"| {network} | {name} | {work.multiply_adds / 1e6:.1f} M | {work.weights / 1e6:.2f}, "
            f"{work.activations / 1e6:.2f} MB | {multiplying:.2f} | {moving:.2f} | {max(multiplying, moving):.2f} | "
            f"{decoding:.2f} |"
        )
    return "\n".join(lines)
