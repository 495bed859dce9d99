"""What can go wrong, one class per cause. Messages name the value, what is wrong with it and what to do."""


class DmueError(Exception):
    """Every failure of this package. `kind` is a word for programs; later versions may add some."""

    kind = "other"


class FrameError(DmueError):
    """The pixels handed over do not form the frame that was described."""

    kind = "frame"


class PhotoError(DmueError):
    """An image file, or its bytes, cannot be read."""

    kind = "photo"


class OptionError(DmueError):
    """An option is out of range."""

    kind = "option"


class NoModelError(DmueError):
    """No model was named and this build carries none."""

    kind = "no_model"


class ModelError(DmueError):
    """A model file cannot be read or is not what it says it is."""

    kind = "model"


class FaceError(DmueError):
    """A face that the caller described cannot be one."""

    kind = "face"


class RunError(DmueError):
    """A network failed to run: worth reporting."""

    kind = "run"


class BusyError(DmueError):
    """Another thread is inside a call with the same session."""

    kind = "busy"


class TimestampError(DmueError):
    """A frame is older than the one before it."""

    kind = "timestamp"


class PanicError(DmueError):
    """A defect of this package was stopped at its border: worth reporting."""

    kind = "panic"
