"""What an engine and a session answer."""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[float, float]
"""Column and row in frame pixels."""


@dataclass(frozen=True, slots=True)
class FaceBox:
    """A rectangle in frame pixels; it may reach past the frame's border."""

    x: float
    """Left edge."""
    y: float
    """Top edge."""
    width: float
    """Above 0."""
    height: float
    """Above 0."""


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Six points of a face. Right and left are the person's own: the right eye is on the left of a frontal picture."""

    right_eye: Point
    left_eye: Point
    nose: Point
    mouth: Point
    right_ear: Point = (0.0, 0.0)
    """Where the ear meets the cheek; not used in a face that you hand over."""
    left_ear: Point = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Face:
    """One face that the detector found."""

    bounding_box: FaceBox
    """From above the eyebrows to the chin, about square."""
    landmarks: Landmarks
    detection_score: float
    """How sure the detector is that this is a face, 0 to 1."""


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """What the network saw of a face."""

    size: int
    """Side in pixels."""
    channels: int
    """1 (gray) or 3 (red, green, blue)."""
    pixels: bytes
    """`size * size * channels` bytes, row by row."""

    def __repr__(self) -> str:
        return f"FaceCrop(size={self.size}, channels={self.channels})"


@dataclass(frozen=True, slots=True)
class Prediction:
    """The expression of one face."""

    face: Face | None
    """Where it is; None if you gave its place or a crop."""
    crop: FaceCrop
    label: str
    """Name of the most probable class."""
    class_index: int
    """Its position in the engine's classes."""
    probabilities: tuple[float, ...]
    """One per class: softmax of the logits divided by the model's temperature; they add up to 1."""
    logits: tuple[float, ...]
    """One per class, before temperature and softmax."""
    feature: tuple[float, ...]
    """The network's feature vector."""
    score: float
    """Estimated probability that the label is right, 0 to 1."""
    alpha: float
    """The DMUE paper's confidence of the label, 0 to 1, for comparison."""

    def __repr__(self) -> str:
        return f"Prediction(label={self.label!r}, score={self.score:.4f}, face={self.face!r})"


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds of wall time per stage, summed over the frame's faces."""

    detect_ms: float
    align_ms: float
    classify_ms: float


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What an engine says about one frame, or about a list of crops."""

    predictions: tuple[Prediction, ...]
    """One per face: the most confidently detected first, or in the order that you gave."""
    timings: Timings


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """One face of a stream's frame, with what its track says."""

    track_id: int
    """The same for the same face from frame to frame, never used again in a session."""
    face: Face
    prediction: Prediction
    """This frame alone."""
    answer: str | None
    """This frame's label, or None: unsure. The calibrated promise is about this answer."""
    window_score: float
    """The score from the window of this track's frames, 0 to 1."""
    steadied_probabilities: tuple[float, ...]
    """This track's probabilities, smoothed; they add up to 1."""
    steadied_score: float
    """This track's smoothed score, 0 to 1."""
    steadied: str | None
    """The label that holds, or None: unsure, by the same threshold but without its promise."""
    age: float
    """Seconds since the track began."""
    news: bool
    """Whether the frame entered the window."""

    @property
    def unsure(self) -> bool:
        """Whether the score of this frame alone allows no answer at the tolerated error rate."""
        return self.answer is None


@dataclass(frozen=True, slots=True)
class SessionResult:
    """What a session says about one frame."""

    faces: tuple[TrackedFace, ...]
    """The faces in sight, by ascending `track_id`."""
    searched: bool
    """Whether the whole frame was searched, which takes longer."""
    timings: Timings


@dataclass(frozen=True, slots=True)
class Threshold:
    """A promise: of the faces whose score reaches `threshold` at most `error_rate` are labelled wrong."""

    error_rate: float
    """Above 0 and below 1."""
    threshold: float
    """Least score of an answer, 0 to 1."""
    coverage: float
    """Share of the calibration faces that reach it, 0 to 1."""
    confidence: float
    """Probability, over draws of calibration faces, that the promise holds."""
    count: int
    """Number of calibration faces."""
