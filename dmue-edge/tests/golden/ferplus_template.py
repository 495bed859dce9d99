"""Where eyes, nose and mouth lie in FERPlus' 48x48 faces: the numbers of FaceTemplate::FERPLUS.

    python ferplus_template.py ferplus_train.parquet ../../models/blazeface_back.onnx

Needs numpy, onnxruntime, pillow and pyarrow; 3,000 faces take about 3 minutes on one core. The Parquet
file has a column `image` of PNG bytes. An anchor's best look at each of four pictures of a face counts
if all four agree, which leaves out faces that the detector guesses at.
"""

import io
import sys

import numpy
import onnxruntime
import pyarrow.parquet
from PIL import Image

SIDE = 256
NAMES = ["right_eye", "left_eye", "nose", "mouth"]


def anchor_centres():
    grids = ((16, 2), (8, 6))
    return numpy.array(
        [
            ((x + 0.5) * SIDE / cells, (y + 0.5) * SIDE / cells)
            for cells, count in grids
            for y in range(cells)
            for x in range(cells)
            for _ in range(count)
        ]
    )


def canvases(face):
    """The face at 96 and 128 pixels, surrounded by its border pixels and by its mean."""
    for size in (96, 128):
        large = numpy.asarray(face.resize((size, size), Image.BICUBIC))
        margin = (SIDE - size) // 2
        yield size, numpy.pad(large, margin, mode="edge")
        yield size, numpy.pad(large, margin, constant_values=int(numpy.asarray(face).mean()))


def look(session, centres, canvas, size):
    """Score and the four points in 0..1 of the face's side, by the best anchor."""
    tensor = numpy.repeat(canvas[None, :, :, None], 3, 3).astype(numpy.float32) / 127.5 - 1
    regressors, logits = session.run(None, {"input": tensor})
    best = logits[0, :, 0].argmax()
    points = centres[best] + regressors[0, best, 4:12].reshape(4, 2)
    return 1 / (1 + numpy.exp(-logits[0, best, 0])), (points - (SIDE - size) // 2) / size


def main(parquet, detector):
    session = onnxruntime.InferenceSession(detector)
    images = pyarrow.parquet.read_table(parquet, columns=["image"])["image"]
    centres = anchor_centres()
    chosen = numpy.random.default_rng(0).choice(len(images), 3000, replace=False)
    scores, points = [], []
    for row in chosen:
        face = Image.open(io.BytesIO(images[int(row)].as_py())).convert("L")
        looks = [look(session, centres, canvas, size) for size, canvas in canvases(face)]
        scores.append([score for score, _ in looks])
        points.append([four for _, four in looks])
    points = numpy.array(points)  # [faces, looks, 4, 2]
    middle = numpy.median(points, 1)
    spread = numpy.abs(points - middle[:, None]).max((1, 2, 3))
    agreed = (numpy.array(scores).min(1) > 0.7) & (spread < 0.03)
    eyes = middle[:, 1] - middle[:, 0]
    distance = numpy.linalg.norm(eyes, axis=1)
    roll = numpy.degrees(numpy.arctan2(eyes[:, 1], eyes[:, 0]))
    to_nose = middle[:, 2] - (middle[:, 0] + middle[:, 1]) / 2
    yaw = (to_nose * eyes).sum(1) / distance**2
    frontal = agreed & (abs(roll) < 15) & (abs(yaw) < 0.2) & (distance > 0.2)
    print(f"{len(chosen)} faces, {agreed.sum()} agreed, {frontal.sum()} of them frontal")
    for name, values in zip(NAMES, middle[frontal].transpose(1, 0, 2)):
        print(name, "median", numpy.median(values, 0).round(4), "sd", values.std(0).round(3))


if __name__ == "__main__":
    main(*sys.argv[1:])
