"""Pixels of every format and shape, and what is wrong with others."""

from typing import Any

import numpy as np
import pytest
from conftest import ASTRONAUT, Pixels

import dmue_edge
from dmue_edge import Engine, Frame, FrameError, PhotoError


def test_an_array_and_a_file_give_the_same_answer(engine: Engine, portrait: Pixels) -> None:
    expected = engine.predict_file(ASTRONAUT).predictions
    assert [face.label for face in expected] == ["happiness"]
    alpha = np.full((512, 512, 1), 99, np.uint8)
    blue_first = portrait[..., ::-1]
    cases: list[tuple[Any, Any]] = [
        (portrait, "rgb24"),
        (blue_first.copy(), "bgr24"),
        (np.concatenate([portrait, alpha], axis=2), "rgba32"),
        (np.concatenate([blue_first, alpha], axis=2), "bgra32"),
    ]
    for pixels, format in cases:
        assert engine.predict(pixels, format).predictions == expected, format
    assert engine.predict(Frame.open(ASTRONAUT)).predictions == expected
    assert engine.predict(Frame.decode(ASTRONAUT.read_bytes())).predictions == expected


def test_a_part_of_a_picture_is_seen_where_it_lies(engine: Engine, portrait: Pixels) -> None:
    canvas = np.zeros((600, 700, 3), np.uint8)
    view = canvas[20:532, 30:542]
    frame = Frame(view, "rgb24")
    view[:] = portrait  # after the frame was made: nothing was copied
    assert engine.predict(frame).predictions == engine.predict(portrait, "rgb24").predictions


def test_one_row_and_one_column_of_a_larger_array(engine: Engine, noise: Pixels) -> None:
    canvas = noise.reshape(64, 64)
    for view in [canvas[3:4], canvas[:, 5:6]]:
        copy = np.ascontiguousarray(view)
        assert answers(engine, view, "gray8") == answers(engine, copy, "gray8")


def test_gray_may_have_a_third_dimension(engine: Engine, noise: Pixels) -> None:
    flat = noise.reshape(64, 64)
    assert answers(engine, flat, "gray8") == answers(engine, flat[..., None], "gray8")


@pytest.mark.parametrize("format", ["nv12", "i420"])
def test_planes_may_be_stacked_flat_or_apart(engine: Engine, noise: Pixels, format: Any) -> None:
    width, height = 40, 24
    flat = noise[: width * height * 3 // 2]
    luma, colour = np.split(flat, [width * height])
    stacked = flat.reshape(height * 3 // 2, width)
    padded = np.zeros((height, width + 9), np.uint8)
    padded[:, :width] = luma.reshape(height, width)
    planes: list[Pixels] = [padded[:, :width]]
    if format == "nv12":
        planes += [colour.reshape(height // 2, width // 2, 2)]
    else:
        planes += [plane.reshape(height // 2, width // 2) for plane in np.split(colour, 2)]
    expected = answers(engine, Frame(flat, format, width=width, height=height))
    assert answers(engine, stacked, format) == expected
    assert answers(engine, planes, format) == expected
    assert answers(engine, tuple(planes), format) == expected
    full = Frame(flat, format, width=width, height=height, yuv="bt601_full")
    assert answers(engine, full) != expected, "the range of Y, U and V matters"


def test_yuyv_pairs(engine: Engine, noise: Pixels) -> None:
    pairs = noise[: 40 * 24 * 2].reshape(24, 40, 2)
    flat = Frame(pairs.tobytes(), "yuyv", width=40, height=24)
    assert answers(engine, pairs, "yuyv") == answers(engine, flat)


def test_rows_of_bytes_may_be_padded(engine: Engine, noise: Pixels) -> None:
    frame = Frame(bytes(noise), "gray8", width=30, height=40, stride=64)
    assert (frame.width, frame.height, frame.format) == (30, 40, "gray8")
    assert repr(frame) == "Frame(30x40 gray8)"
    assert answers(engine, frame) == answers(engine, noise.reshape(64, 64)[:40, :30], "gray8")


GRAY = np.zeros((8, 8), np.uint8)
COLOUR = np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("pixels", "format", "words"),
    [
        (COLOUR.astype(np.float32), "rgb24", ["type 'f'", "numpy.uint8"]),
        (COLOUR.astype(np.int8), "rgb24", ["type 'b'"]),
        (COLOUR.astype(bool), "rgb24", ["type '?'"]),
        (COLOUR, "gray8", ["(8, 8, 3)", "(height, width)"]),
        (GRAY, "bgr24", ["(8, 8)", "(height, width, 3)"]),
        (COLOUR, "bgra32", ["(8, 8, 3)", "(height, width, 4)"]),
        (COLOUR, "rgb", ["'rgb'", "rgb24", "yuyv"]),
        (COLOUR[:, ::-1], "rgb24", ["ascontiguousarray"]),
        (COLOUR[::-1], "rgb24", ["ascontiguousarray"]),
        (COLOUR[..., ::-1], "rgb24", ["own format"]),
        (COLOUR[:, ::2], "rgb24", ["ascontiguousarray"]),
        (COLOUR.transpose(1, 0, 2), "rgb24", ["strides"]),
        (np.asfortranarray(COLOUR), "rgb24", ["strides"]),
        (np.broadcast_to(GRAY[:1], (8, 8)), "gray8", ["stride is only 0"]),
        (np.zeros((0, 8), np.uint8), "gray8", ["8x0"]),
        (np.zeros((8, 0, 3), np.uint8), "rgb24", ["0x8"]),
        (np.zeros((1, 70_000), np.uint8), "gray8", ["70000x1"]),
        (np.zeros(64, np.uint8), "gray8", ["(64)", "one dimension"]),
        (np.zeros((10, 8), np.uint8), "nv12", ["(10, 8)", "height * 3 / 2"]),
        (np.zeros((12, 7), np.uint8), "i420", ["(12, 7)", "list of planes"]),
        (np.zeros((12, 9), np.uint8)[:, :8], "i420", ["padding", "list of planes"]),
        ([GRAY], "nv12", ["2 planes, not 1"]),
        ([GRAY, GRAY[:3]], "nv12", ["plane 1", "(3, 8)"]),
        ([GRAY, GRAY[:4, :3], GRAY[:4, :4]], "i420", ["plane 1", "4 rows of 4 bytes"]),
        ([], "i420", ["no planes"]),
        (GRAY, None, ["name its format"]),
        (Frame(GRAY, "gray8"), "gray8", ["leave it out"]),
    ],
)
def test_what_is_wrong_is_named(
    engine: Engine, pixels: Any, format: Any, words: list[str]
) -> None:
    for call in [engine.predict, engine.predict_crop]:
        with pytest.raises(FrameError) as caught:
            call(pixels, format)
        assert caught.value.kind == "frame"
        assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 8}, ["together"]),
        ({"stride": 8}, ["beside"]),
        ({"width": 8, "height": 9}, ["72 bytes", "64"]),
        ({"width": 8, "height": 8, "stride": 7}, ["stride is only 7"]),
        ({"width": 0, "height": 8}, ["0x8"]),
        ({"width": 8, "height": 65535, "stride": 2**64 - 1}, ["address space"]),
        ({"width": 8, "height": 8, "yuv": "bt2020"}, ["bt2020", "bt709_limited"]),
    ],
)
def test_flat_bytes_must_hold_the_picture(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(FrameError) as caught:
        Frame(bytes(64), "gray8", **options)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_an_array_with_rows_needs_no_size() -> None:
    with pytest.raises(FrameError, match="needs no width"):
        Frame(GRAY, "gray8", width=8, height=8)


def test_what_has_no_pixels_is_a_type_error(engine: Engine) -> None:
    wrong: list[Any] = ["astronaut.png", 3, np.zeros((), np.uint8)]
    for pixels in wrong:
        with pytest.raises(TypeError, match=f"{type(pixels).__name__} holds no pixels"):
            engine.predict(pixels, "gray8")


def test_bad_files_are_named() -> None:
    with pytest.raises(PhotoError, match="nowhere.png") as caught:
        Frame.open("nowhere.png")
    assert isinstance(caught.value, dmue_edge.DmueError) and caught.value.kind == "photo"
    with pytest.raises(PhotoError, match="not an image"):
        Frame.decode(b"no image")
    with pytest.raises(PhotoError, match="empty"):
        Frame.decode(b"")
    with pytest.raises(PhotoError, match="damaged"):
        Frame.decode(ASTRONAUT.read_bytes()[:5000])


def answers(engine: Engine, pixels: Any, format: Any = None) -> object:
    return engine.predict_crop(pixels, format).predictions
