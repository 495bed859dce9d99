"""Runs one ONNX network in onnxruntime on one thread, as `time_network.rs` does in dmue-edge: prints the first output
for the same made numbers, then answers each line with a count on standard input when so many runs are done.

`count_instructions.py` starts it in an emulator, where only numpy and onnxruntime are.
"""

import sys

import numpy as np
import onnxruntime


def say(line):
    """In one call of the system: the emulator counts at each."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    count = int(np.prod(given.shape))
    values = ((np.arange(count) * 37 % 256) / 128 - 1).astype(np.float32).reshape(given.shape)
    say(" ".join(map(str, np.ravel(session.run(None, {given.name: values})[0]))))
    for line in sys.stdin:
        for _ in range(int(line)):
            session.run(None, {given.name: values})
        say(line.strip())


main()
