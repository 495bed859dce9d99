"""Facial expression recognition that knows when it does not know.

>>> import dmue_edge
>>> engine = dmue_edge.Engine()  # load once, share between threads
>>> for face in engine.predict_file("examples/images/astronaut.png").predictions:
...     print(f"{face.label}, right with probability {face.score:.2f}")
happiness, right with probability 1.00
"""

from ._native import Engine, Frame, Session, __version__
from .errors import (
    BusyError,
    DmueError,
    FaceError,
    FrameError,
    ModelError,
    NoModelError,
    OptionError,
    PanicError,
    PhotoError,
    RunError,
    TimestampError,
)
from .results import (
    Face,
    FaceBox,
    FaceCrop,
    FrameResult,
    Landmarks,
    Prediction,
    SessionResult,
    Threshold,
    Timings,
    TrackedFace,
)

__all__ = [
    "BusyError",
    "DmueError",
    "Engine",
    "Face",
    "FaceBox",
    "FaceCrop",
    "FaceError",
    "Frame",
    "FrameError",
    "FrameResult",
    "Landmarks",
    "ModelError",
    "NoModelError",
    "OptionError",
    "PanicError",
    "PhotoError",
    "Prediction",
    "RunError",
    "Session",
    "SessionResult",
    "Threshold",
    "Timings",
    "TimestampError",
    "TrackedFace",
    "__version__",
]
