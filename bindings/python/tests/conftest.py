"""What the tests share."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import dmue_edge

Pixels = npt.NDArray[np.uint8]

WORKSPACE = Path(__file__).resolve().parents[3]
ASTRONAUT = WORKSPACE / "examples/images/astronaut.png"


@pytest.fixture(scope="session")
def engine() -> dmue_edge.Engine:
    """One look at a frame is enough for the astronaut."""
    return dmue_edge.Engine(detector_levels=1)


@pytest.fixture(scope="session")
def portrait() -> Pixels:
    """The astronaut, 512 x 512 x 3, red first."""
    return np.asarray(Image.open(ASTRONAUT).convert("RGB"))


@pytest.fixture
def noise() -> Pixels:
    """4096 bytes."""
    return np.random.default_rng(7).integers(0, 256, 4096, dtype=np.uint8)
