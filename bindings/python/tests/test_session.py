"""Streams: faces followed, labels steadied, one thread at a time."""

import threading
from typing import Any

import pytest
from conftest import ASTRONAUT, Pixels

import dmue_edge
from dmue_edge import Engine, Frame, Session


def test_a_face_is_followed(engine: Engine, portrait: Pixels) -> None:
    session = Session(engine, window_frames=4, tolerated_error=0.1)
    assert session.threshold == engine.threshold(0.1)
    results = [session.process(portrait, frame / 10, "rgb24") for frame in range(3)]
    faces = [face for result in results for face in result.faces]
    assert [face.track_id for face in faces] == [faces[0].track_id] * 3
    assert [face.steadied for face in faces] == ["happiness"] * 3
    assert [face.age for face in faces] == pytest.approx([0, 0.1, 0.2])
    assert [result.searched for result in results] == [True, False, False]
    assert faces[0].answer == faces[0].prediction.label and not faces[0].unsure
    assert faces[0].face == engine.predict(portrait, "rgb24").predictions[0].face
    assert abs(sum(faces[0].steadied_probabilities) - 1) < 1e-5
    assert 0 <= faces[0].window_score <= 1 and 0 <= faces[0].steadied_score <= 1
    assert faces[0].news and results[0].timings.detect_ms > 0
    session.reset()
    (again,) = session.process(portrait, 0, "rgb24").faces
    assert again.track_id > faces[0].track_id and again.age == 0


def test_unsure_is_no_label(engine: Engine, portrait: Pixels) -> None:
    least = min(engine.manifest["abstention"], key=lambda promise: promise["error_rate"])
    session = Session(engine, tolerated_error=least["error_rate"])
    (face,) = session.process(portrait[::4, ::4].copy().repeat(4, 0).repeat(4, 1), 0, "rgb24").faces
    assert face.unsure == (face.prediction.score < least["threshold"])
    assert (face.answer is None) == face.unsure


def test_time_does_not_go_back(engine: Engine) -> None:
    session = Session(engine)
    frame = Frame.open(ASTRONAUT)
    session.process(frame, 5.0)
    with pytest.raises(dmue_edge.TimestampError, match="4.9s"):
        session.process(frame, 4.9)
    for seconds in [-1.0, float("nan"), float("inf")]:
        with pytest.raises(dmue_edge.TimestampError, match="from 0 on"):
            session.process(frame, seconds)
    assert len(session.process(frame, 5.0).faces) == 1, "a failure changes nothing"


def test_a_second_thread_is_told_that_the_session_is_busy(portrait: Pixels) -> None:
    inside, let_go = threading.Event(), threading.Event()

    def stop(level: str, message: str) -> None:
        if level == "debug" and not inside.is_set():
            inside.set()
            let_go.wait(60)

    session = Session(Engine(detector_levels=1, log=stop))
    results: list[dmue_edge.SessionResult] = []
    first = threading.Thread(
        target=lambda: results.append(session.process(portrait, 1, "rgb24"))
    )
    first.start()
    assert inside.wait(60)
    calls: list[Any] = [
        lambda: session.process(portrait, 2, "rgb24"),
        session.reset,
        lambda: session.threshold,
    ]
    for call in calls:
        with pytest.raises(dmue_edge.BusyError, match="another thread"):
            call()
    let_go.set()
    first.join()
    (before,), (after,) = results[0].faces, session.process(portrait, 1.1, "rgb24").faces
    assert before.track_id == after.track_id


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window_frames": 100_001}, ["window.frames", "100001"]),
        ({"window_age": 0}, ["window.age", "above 0"]),
        ({"keyframe_interval": -1}, ["keyframe_interval", "-1"]),
        ({"search_interval": float("nan")}, ["search_interval", "NaN"]),
        ({"lost_after": 1e30}, ["lost_after"]),
        ({"minimum_face": -1}, ["minimum_face", "-1"]),
        ({"maximum_faces": 0}, ["maximum_faces"]),
        ({"smoothing": -0.5}, ["smoothing", "-0.5"]),
        ({"label_margin": 1.5}, ["margin", "1.5"]),
        ({"tolerated_error": 0}, ["tolerated_error", "0"]),
        ({"tolerated_error": 1e-6}, ["0.000001", "promises"]),
    ],
)
def test_bad_options_are_named(
    engine: Engine, options: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(dmue_edge.OptionError) as caught:
        Session(engine, **options)
    assert caught.value.kind == "option"
    assert all(word in str(caught.value) for word in words), str(caught.value)
