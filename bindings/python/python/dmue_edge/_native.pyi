"""The engine, sessions and frames; written in Rust."""

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeAlias, final

from typing_extensions import Buffer

from .results import FaceBox, FrameResult, Landmarks, SessionResult, Threshold

__all__ = ["Engine", "Frame", "Session", "__version__"]

__version__: str

class _Array(Protocol):
    """numpy's arrays: before Python 3.12 no type says that they have a buffer."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...

_Bytes: TypeAlias = Buffer | _Array
_Pixels: TypeAlias = _Bytes | Sequence[_Bytes]
_Format: TypeAlias = Literal["gray8", "rgb24", "bgr24", "rgba32", "bgra32", "nv12", "i420", "yuyv"]
_Yuv: TypeAlias = Literal["bt601_limited", "bt601_full", "bt709_limited"]

@final
class Frame:
    """A picture whose description was checked against its bytes. Nothing is copied: do not write to
    the pixels while a call with the frame runs.

    `pixels` is an array of numpy.uint8 (or anything else with a buffer): (height, width) for gray8,
    (height, width, 3) for rgb24 and bgr24, (height, width, 4) for rgba32 and bgra32, (height,
    width, 2) for yuyv, (height * 3 / 2, width) for nv12 and i420 as OpenCV has them. Rows may lie
    apart (a slice of columns and rows of a larger picture); the bytes of a row must lie together and rows run
    downwards, else FrameError says what to do. A list of arrays has a plane each. With `width` and
    `height`, and `stride` bytes from row to row, it is bytes in one dimension, planes one after the
    other. `yuv` says what Y, U and V mean.
    """

    def __new__(
        cls,
        pixels: _Pixels,
        format: _Format,
        *,
        width: int | None = None,
        height: int | None = None,
        stride: int | None = None,
        yuv: _Yuv = "bt601_limited",
    ) -> Frame: ...
    @staticmethod
    def open(path: str | os.PathLike[str]) -> Frame:
        """Reads an image file (PNG, JPEG, BMP or WebP, recognised by content), upright. PhotoError names what is wrong with it."""
    @staticmethod
    def decode(data: _Bytes) -> Frame:
        """Decodes the bytes of such a file."""
    @property
    def width(self) -> int:
        """Pixels of a row."""
    @property
    def height(self) -> int:
        """Rows."""
    @property
    def format(self) -> str:
        """Name of the pixel format."""

@final
class Engine:
    """Answers frames. It never changes: any number of threads may call it at the same time, and
    Python's lock is let go meanwhile. A pickled one is opened again from its model file, or from the
    model's bytes.

    `model` is a model file or its bytes; None is the model in the package. `threads` is how many
    one call may use (1). `minimum_detection_score` (0 to 1), `minimum_face` (width in pixels),
    `maximum_faces` and `detector_levels` (1: one look at the whole frame; each further one finds
    faces half as large) are the detector's. `log` takes a level ("warning", "info", "debug") and a message.
    """

    def __new__(
        cls,
        model: str | os.PathLike[str] | bytes | None = None,
        *,
        threads: int | None = None,
        minimum_detection_score: float | None = None,
        minimum_face: float | None = None,
        maximum_faces: int | None = None,
        detector_levels: int | None = None,
        log: Callable[[str, str], object] | None = None,
    ) -> Engine: ...
    def predict(self, frame: Frame | _Pixels, format: _Format | None = None) -> FrameResult:
        """Finds every face of a picture and names its expression. `format` belongs to an array."""
    def predict_file(self, path: str | os.PathLike[str]) -> FrameResult:
        """`predict` of an image file (PNG, JPEG, BMP or WebP)."""
    def predict_faces(
        self,
        frame: Frame | _Pixels,
        faces: Sequence[FaceBox | Landmarks],
        format: _Format | None = None,
    ) -> FrameResult:
        """Names the expression of faces that your own detector found, in their order; none is looked for."""
    def predict_crops(
        self, frames: Sequence[Frame | _Pixels], format: _Format | None = None
    ) -> FrameResult:
        """Names the expression of pictures that already are one face each, framed as the model's training
        images are: the largest centred square of each is taken."""
    def predict_crop(self, frame: Frame | _Pixels, format: _Format | None = None) -> FrameResult:
        """`predict_crops` of one."""
    def threshold(self, tolerated_error: float) -> Threshold:
        """The calibrated threshold for a tolerated share of wrong answers, above 0 and below 1: answers
        whose score is below it are unsure."""
    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the model's classes."""
    @property
    def manifest(self) -> dict[str, Any]:
        """Everything that the model file says about itself."""
    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, Any]]: ...

@final
class Session:
    """Answers the frames of one stream: follows faces and steadies their labels. One thread at a
    time: another one gets BusyError and changes nothing. Times are in seconds.

    The window keeps `window_frames` frames, none older than `window_age`. The whole frame is
    searched every `keyframe_interval`, and every `search_interval` while a face is missing; one that was not
    seen for `lost_after` is lost. `minimum_face` (pixels) and `maximum_faces` limit what is followed.
    `smoothing` is how long a frame weighs in the steadied label, `label_margin` (0 to 1) by how much
    another class must lead. `tolerated_error` is the share of wrong answers that you accept; None: never unsure.
    """

    def __new__(
        cls,
        engine: Engine,
        *,
        window_frames: int | None = None,
        window_age: float | None = None,
        keyframe_interval: float | None = None,
        search_interval: float | None = None,
        lost_after: float | None = None,
        minimum_face: float | None = None,
        maximum_faces: int | None = None,
        smoothing: float | None = None,
        label_margin: float | None = None,
        tolerated_error: float | None = None,
    ) -> Session: ...
    def process(
        self, frame: Frame | _Pixels, seconds: float, format: _Format | None = None
    ) -> SessionResult:
        """Answers the next frame, captured at `seconds` on any clock that does not go back."""
    def reset(self) -> None:
        """Forgets every face and the time, for another stream. Track ids go on: none is used twice."""
    @property
    def threshold(self) -> Threshold | None:
        """The calibrated threshold behind unsure; None if no error rate was asked for."""
