"""What an engine answers, and how it is shared."""

import dataclasses
import pickle
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ASTRONAUT, WORKSPACE, Pixels

import dmue_edge
from dmue_edge import Engine, FaceBox, Frame, Landmarks

MODEL = WORKSPACE / "dmue-edge/models/edge.dmue.onnx"


def test_a_prediction_is_whole(engine: Engine) -> None:
    (face,) = engine.predict_file(ASTRONAUT).predictions
    assert engine.classes[face.class_index] == face.label == "happiness"
    assert len(face.probabilities) == len(face.logits) == len(engine.classes) == 8
    assert abs(sum(face.probabilities) - 1) < 1e-5
    logits, likely = np.array(face.logits), np.argsort(face.logits)[::-1]
    logs = np.log(np.array(face.probabilities)[likely[:2]])
    temperature = (logits[likely[0]] - logits[likely[1]]) / (logs[0] - logs[1])
    shares = np.exp((logits - logits.max()) / temperature)
    assert 0.05 < temperature < 20 and np.allclose(face.probabilities, shares / shares.sum(), atol=1e-5)
    assert 0.9 < face.score <= 1 and 0 <= face.alpha <= 1 and len(face.feature) > 8
    assert len(face.crop.pixels) == face.crop.size**2 * face.crop.channels
    assert face.face is not None and face.face.detection_score > 0.6
    box, eyes = face.face.bounding_box, face.face.landmarks
    assert 90 < box.width < 120 and 160 < box.x < 185 and 60 < box.y < 90
    assert box.x < eyes.right_eye[0] < eyes.nose[0] < eyes.left_eye[0] < box.x + box.width
    assert eyes.nose[1] < eyes.mouth[1] < box.y + box.height
    assert "happiness" in repr(face) and "FaceBox(x=" in repr(face)


def test_results_are_frozen_equal_and_picklable(engine: Engine) -> None:
    result = engine.predict_file(ASTRONAUT)
    assert pickle.loads(pickle.dumps(result)) == result
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.predictions[0].label = "anger"  # type: ignore[misc]
    assert result.timings.detect_ms > 0 and result.timings.classify_ms > 0


def test_known_faces_come_in_the_callers_order(engine: Engine, portrait: Pixels) -> None:
    found = engine.predict(portrait, "rgb24").predictions[0]
    assert found.face is not None
    given: list[FaceBox | Landmarks] = [found.face.bounding_box, found.face.landmarks]
    boxed, landmarked = engine.predict_faces(portrait, given, "rgb24").predictions
    assert landmarked.probabilities == found.probabilities and landmarked.face is None
    assert boxed.crop != landmarked.crop
    bad = FaceBox(0, 0, float("nan"), 9)
    with pytest.raises(dmue_edge.FaceError, match="face 1"):
        engine.predict_faces(portrait, [given[0], bad], "rgb24")
    ears_left_out = Landmarks((202, 102), (246, 102), (224, 125), (223, 147))
    assert len(engine.predict_faces(portrait, [ears_left_out], "rgb24").predictions) == 1
    nothing: Any = [3]
    with pytest.raises(TypeError):
        engine.predict_faces(portrait, nothing, "rgb24")


def test_crops_together_and_alone(engine: Engine, noise: Pixels) -> None:
    crops: list[Any] = [noise[:2304].reshape(48, 48), Frame(noise[1000:3304].reshape(48, 48), "gray8")]
    together = engine.predict_crops([crops[0]], "gray8").predictions
    together += engine.predict_crops([crops[1]]).predictions
    assert together[0] == engine.predict_crop(crops[0], "gray8").predictions[0] != together[1]
    assert engine.predict_crops([]).predictions == ()


def test_models_from_files_and_bytes(engine: Engine, noise: Pixels) -> None:
    crop = Frame(noise.reshape(64, 64), "gray8")
    expected = engine.predict_crop(crop).predictions
    models: list[str | Path | bytes] = [str(MODEL), MODEL, MODEL.read_bytes()]
    for model in models:
        assert Engine(model).predict_crop(crop).predictions == expected
    assert engine.manifest["classes"] == list(engine.classes)
    assert engine.manifest["name"] in repr(engine)


def test_a_pickled_engine_answers_alike(
    noise: Pixels, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    crop = Frame(noise.reshape(64, 64), "gray8")
    monkeypatch.chdir(MODEL.parent)
    engines = [Engine(), Engine(MODEL.name, maximum_faces=1), Engine(MODEL.read_bytes())]
    pickled = [pickle.dumps(engine) for engine in engines]
    assert len(pickled[1]) < 1000 < MODEL.stat().st_size < len(pickled[2])
    monkeypatch.chdir(tmp_path)  # a relative path must not matter
    for engine, pickle_ in zip(engines, pickled):
        copy = pickle.loads(pickle_)
        assert copy.predict_crop(crop).predictions == engine.predict_crop(crop).predictions
        assert copy.__getnewargs_ex__() == engine.__getnewargs_ex__()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"model": b"no model"}, dmue_edge.ModelError, []),
        ({"model": b""}, dmue_edge.ModelError, []),
        ({"model": "/nowhere/to/be.found"}, dmue_edge.ModelError, ["/nowhere/to/be.found"]),
        ({"model": 3}, TypeError, []),
        ({"threads": 0}, dmue_edge.OptionError, ["threads", "0"]),
        ({"threads": -1}, OverflowError, []),
        ({"minimum_detection_score": 2}, dmue_edge.OptionError, ["minimum_score", "2"]),
        ({"minimum_face": float("nan")}, dmue_edge.OptionError, ["minimum_face", "NaN"]),
        ({"maximum_faces": 0}, dmue_edge.OptionError, ["maximum_faces"]),
        ({"detector_levels": 0}, dmue_edge.OptionError, ["levels"]),
        ({"speed": 9}, TypeError, ["speed"]),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], error: Any, words: list[str]) -> None:
    with pytest.raises(error) as caught:
        Engine(**options)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_every_error_is_a_dmue_error_of_its_own_kind() -> None:
    errors = [
        value
        for name, value in vars(dmue_edge).items()
        if name.endswith("Error") and issubclass(value, dmue_edge.DmueError)
    ]
    assert len({error.kind for error in errors}) == len(errors) == 11
    error = pickle.loads(pickle.dumps(dmue_edge.FrameError("too small")))
    assert str(error) == "too small" and error.kind == "frame"


def test_thresholds_are_the_models(engine: Engine) -> None:
    threshold = engine.threshold(0.1)
    assert dataclasses.asdict(threshold) in engine.manifest["abstention"]
    assert threshold.error_rate <= 0.1 and 0 < threshold.threshold < 1
    with pytest.raises(dmue_edge.OptionError, match="1e-9|0.000000001"):
        engine.threshold(1e-9)


def test_messages_go_to_a_function() -> None:
    messages: list[tuple[str, str]] = []
    engine = Engine(detector_levels=1, maximum_faces=1, log=lambda *line: messages.append(line))
    engine.predict_file(ASTRONAUT)
    assert [level for level, _ in messages] == ["info", "debug", "warning"]
    assert "maximum_faces" in messages[2][1]


def test_a_function_that_raises_fails_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)
    engine = Engine(detector_levels=1, log=lambda level, message: 1 / 0)
    assert len(engine.predict_file(ASTRONAUT).predictions) == 1
    assert [type(one.exc_value) for one in raised] == [ZeroDivisionError] * 2


def test_other_threads_run_meanwhile(engine: Engine, portrait: Pixels) -> None:
    stamps: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.001):
            stamps.append(time.perf_counter())

    ticker = threading.Thread(target=tick)
    ticker.start()
    start = time.perf_counter()
    engine.predict(portrait, "rgb24")
    end = time.perf_counter()
    done.set()
    ticker.join()
    inside = [stamp for stamp in stamps if start < stamp < end]
    assert inside and max(inside) - min(inside) > (end - start) / 2, "Python stood still"


def test_threads_share_an_engine(portrait: Pixels) -> None:
    both_inside = threading.Barrier(2, timeout=60)
    inside = threading.local()

    def meet(level: str, message: str) -> None:
        if level == "debug":
            both_inside.wait()  # breaks unless two calls run at the same time
            inside.met = True

    engine = Engine(detector_levels=1, log=meet)

    def ask(_: int) -> tuple[object, bool]:
        return engine.predict(portrait, "rgb24").predictions, inside.met

    with ThreadPoolExecutor(2) as pool:
        (first, met), (second, also_met) = pool.map(ask, range(2))
    assert met and also_met and first == second
