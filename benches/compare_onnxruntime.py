"""Runs a model file through dmue and through onnxruntime and compares what they answer.

`cargo xtask onnxruntime` calls this with the packages of requirements.txt. Exit status 1 says that
an output differs by more than the tolerance.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow.parquet as parquet
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "dmue-edge/models/edge.dmue.onnx"
FACES = ROOT.parent / "shared/data/ferplus_valid.parquet"
OUTPUTS = ["logits", "feature", "score", "alpha"]
IMAGE_EXTENSIONS = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
# Of each output's range; single-precision sums in another order differ by a few 1e-6 of it.
TOLERANCE = 1e-4
# In 8 bits a sum between two steps may fall to either side, and a feature is the mean of few values.
TOLERANCE_8_BITS = 2e-2
# A float has seven digits: an output that hardly moves is held to this share of its size instead
# of to its range.
LEAST_RANGE = 1e-3


def main():
    arguments = parse_arguments()
    faces = read_faces(arguments.data, arguments.count)
    with tempfile.TemporaryDirectory() as folder:
        images, crops = Path(folder, "images"), Path(folder, "crops")
        write_images(faces, images)
        ours = run_dmue(arguments, images, crops)
        theirs = run_onnxruntime(arguments.model, crops, len(ours["score"]))
    print(f"{arguments.model.name}: {len(faces)} faces, onnxruntime {onnxruntime.__version__}")
    in_8_bits = b"QLinearConv" in arguments.model.read_bytes()
    return report(ours, theirs, TOLERANCE_8_BITS if in_8_bits else TOLERANCE)


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="cargo xtask onnxruntime", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", type=Path, default=MODEL, help="NAME.dmue.onnx [%(default)s]")
    parser.add_argument(
        "--data",
        type=Path,
        default=FACES,
        help="faces: a Parquet file with a column `image` of encoded images, or a folder of "
        "images [%(default)s]",
    )
    parser.add_argument("--count", type=int, default=256, help="faces at most [%(default)s]")
    parser.add_argument(
        "--dmue", type=Path, help="a dmue program that is built already [built from source]"
    )
    arguments = parser.parse_args()
    if arguments.count < 2:
        parser.error(f"--count is {arguments.count}: a range takes at least 2 faces")
    for name in ("model", "data"):
        path = getattr(arguments, name)
        if not path.exists():
            parser.error(f"'{path}' does not exist: name another with --{name}")
    return arguments


def read_faces(data, count):
    """The bytes of `count` images spread evenly over the whole set."""
    if data.is_dir():
        files = sorted(p for p in data.rglob("*") if p.suffix.lower() in IMAGE_EXTENSIONS)
        faces = [path.read_bytes() for path in spread(files, count)]
    else:
        column = parquet.read_table(data, columns=["image"])["image"]
        faces = [column[row].as_py() for row in spread(range(len(column)), count)]
    if len(faces) < 2:
        sys.exit(f"'{data}' holds {len(faces)} images: at least 2 are needed")
    return faces


def spread(items, count):
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def write_images(faces, folder):
    folder.mkdir()
    for number, face in enumerate(faces):
        # dmue looks at an image's content; the extension only makes it a part of the folder.
        (folder / f"{number:06}.png").write_bytes(face)


def run_dmue(arguments, images, crops):
    cargo = [os.environ.get("CARGO", "cargo"), "run", "--release", "--quiet"]
    cargo += ["--manifest-path", ROOT / "Cargo.toml", "--package", "dmue-edge", "--"]
    command = [arguments.dmue.resolve()] if arguments.dmue else cargo
    command += ["predict", "--cropped", "--json", "--outputs", "--dump-crops", crops]
    command += ["--model", arguments.model, images]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"dmue failed with exit status {done.returncode}")
    answers = [json.loads(line)["faces"][0] for line in done.stdout.splitlines()]
    return {name: np.array([answer[name] for answer in answers], np.float64) for name in OUTPUTS}


def run_onnxruntime(model, crops, count):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    manifest = json.loads(session.get_modelmeta().custom_metadata_map["dmue.manifest"])
    names = [crops / f"{number:06}-face1.png" for number in range(count)]
    faces = np.stack([normalise(Image.open(name), manifest["input"]) for name in names])
    answers = session.run(OUTPUTS, {"face": faces})
    return {name: answer.astype(np.float64) for name, answer in zip(OUTPUTS, answers)}


def normalise(crop, spec):
    """`(pixel / 255 - mean) / std` as planes [channels, size, size]."""
    pixels = np.asarray(crop, np.float32).reshape(crop.height, crop.width, -1) / 255
    mean, std = np.array(spec["mean"], np.float32), np.array(spec["std"], np.float32)
    return ((pixels - mean) / std).transpose(2, 0, 1)


def report(ours, theirs, tolerance):
    print(f"{'output':10} {'difference':>11} {'of its range':>13} {'range':>22}")
    worst = 0.0
    for name in OUTPUTS:
        if ours[name].shape != theirs[name].shape:
            sys.exit(f"{name}: shape {ours[name].shape} here, {theirs[name].shape} there")
        difference = np.abs(ours[name] - theirs[name]).max()
        low, high = theirs[name].min(), theirs[name].max()
        share = difference / max(high - low, LEAST_RANGE * np.abs(theirs[name]).max(), 1e-30)
        worst = max(worst, share) if np.isfinite(share) else np.inf
        print(f"{name:10} {difference:11.2e} {share:13.2e} {low:10.4f} .. {high:8.4f}")
    agree = worst <= tolerance
    print(f"{'agree' if agree else 'DISAGREE'}: {worst:.2e}, allowed is {tolerance:.0e}")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
