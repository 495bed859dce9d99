"""Answers one question a line from standard input, as JSON; the questions come from replay.rs."""

import json
import sys
from pathlib import Path
from typing import Any

from dmue_edge import Engine, FaceBox, Frame, FrameResult, Landmarks, Prediction


def main() -> None:
    engine = Engine(detector_levels=int(sys.argv[1]))
    for line in sys.stdin:
        question = json.loads(line)
        faces = ask(engine, question).predictions
        given = question["place"] if question["kind"] == "box" else [0, 0, 0, 0]
        print(json.dumps([answer(face, given) for face in faces]))


def ask(engine: Engine, question: dict[str, Any]) -> FrameResult:
    pixels = Path(question["file"]).read_bytes()
    frame = Frame(pixels, question["format"], **question["size"])
    match question["kind"], question["place"]:
        case "predict", _:
            return engine.predict(frame)
        case "crop", _:
            return engine.predict_crop(frame)
        case "box", place:
            return engine.predict_faces(frame, [FaceBox(*place)])
        case "landmarks", place:
            return engine.predict_faces(frame, [Landmarks(*place)])
        case kind, _:
            raise ValueError(kind)


def answer(face: Prediction, given: list[float]) -> dict[str, object]:
    box = face.face and face.face.bounding_box
    return {
        "class_index": face.class_index,
        "score": face.score,
        "alpha": face.alpha,
        "bounding_box": [box.x, box.y, box.width, box.height] if box else given,
        "probabilities": face.probabilities,
    }


main()
