"""Labels the faces of a folder or a Parquet file of images on a Ray cluster.

    pip install -r examples/ray_requirements.txt dmue_edge-*.whl
    python examples/ray_label.py PHOTOS labels             # a folder: faces are looked for
    python examples/ray_label.py faces.parquet labels --crops   # column `image`: bytes of face crops

Each worker opens the engine once and writes a Parquet file for each part of the images; a part is
written whole or not at all, so the same command again does only what is missing, whatever was killed.
A picture has a row for each face, one row if it has none, and one with `error` if it cannot be read.
`path` and `row` (0 for an image file, else its row in the Parquet file) say which picture it is.
On several machines both folders must be shared.
"""

import argparse
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import dmue_edge

IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
SCHEMA = pa.schema(
    [("path", pa.string()), ("row", pa.int64()), ("face_index", pa.int32())]
    + [(f"box_{side}", pa.float32()) for side in ("x", "y", "width", "height")]
    + [("label", pa.string()), ("class_index", pa.int32())]
    + [("probabilities", pa.list_(pa.float32())), ("score", pa.float32())]
    + [("unsure", pa.bool_()), ("error", pa.string())]
)


def parts_of(source: Path, out: Path, size: int) -> Iterator[str]:
    """What is not in `out` yet, as JSON, at most `size` images a part."""
    done: set[tuple[str, int]] = set()
    for file in out.glob("*.parquet"):
        table = pq.read_table(file, columns=["path", "row"])
        done.update(zip(table["path"].to_pylist(), table["row"].to_pylist()))
    for group, images in groups_of(source):
        left = [image for image in images if image not in done]
        for start in range(0, len(left), size):
            yield json.dumps({"group": group, "images": left[start : start + size]})


def groups_of(source: Path) -> Iterator[tuple[int | None, list[tuple[str, int]]]]:
    """Images as path and row, by the row group of a Parquet file; None for image files."""
    if source.is_dir():
        files = sorted(file for file in source.rglob("*") if file.suffix.lower() in IMAGES)
        yield None, [(str(file), 0) for file in files]
        return
    first, metadata = 0, pq.ParquetFile(source).metadata
    for group in range(metadata.num_row_groups):
        count = metadata.row_group(group).num_rows
        yield group, [(str(source), row) for row in range(first, first + count)]
        first += count


class Labeller:
    """One to each worker: opens the engine once, then labels parts."""

    def __init__(self, out: str, model: str | None, crops: bool, tolerated: float | None) -> None:
        self.engine = dmue_edge.Engine(model)
        self.ask = self.engine.predict_crop if crops else self.engine.predict
        self.least = self.engine.threshold(tolerated).threshold if tolerated else None
        self.out = Path(out)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[int]]:
        """Labels the parts of a batch; gives how many images they have, and errors."""
        counts = [self.label(part) for part in batch["part"]]
        return {"images": [images for images, _ in counts], "errors": [bad for _, bad in counts]}

    def label(self, part: str) -> tuple[int, int]:
        """Writes a part's rows; one that is done twice is the same file."""
        rows: list[dict[str, Any]] = []
        places, images = images_of(**json.loads(part))
        for (path, row), image in zip(places, images):
            rows += [{"path": path, "row": row, **answer} for answer in self.answers(image)]
        name = hashlib.sha256(part.encode()).hexdigest()[:16]
        write_whole(pa.Table.from_pylist(rows, schema=SCHEMA), self.out / f"{name}.parquet")
        return len(images), sum("error" in row for row in rows)

    def answers(self, image: bytes | Path | None) -> list[dict[str, Any]]:
        try:
            if image is None:
                return [{"error": "no image"}]
            open_image = dmue_edge.Frame.open if isinstance(image, Path) else dmue_edge.Frame.decode
            faces = self.ask(open_image(image)).predictions  # type: ignore[arg-type]
        except dmue_edge.DmueError as error:
            return [{"error": f"{error.kind}: {error}"}]
        return [self.row(index, face) for index, face in enumerate(faces)] or [{}]

    def row(self, index: int, face: dmue_edge.Prediction) -> dict[str, Any]:
        box = face.face and face.face.bounding_box
        place = {f"box_{side}": getattr(box, side) for side in box.__slots__} if box else {}
        fields = ("label", "class_index", "probabilities", "score")
        unsure = None if self.least is None else face.score < self.least
        answer = {field: getattr(face, field) for field in fields}
        return {"face_index": index, **place, **answer, "unsure": unsure}


def images_of(group: int | None, images: list[tuple[str, int]]) -> tuple[list[Any], list[Any]]:
    """The images of a part, and their paths or the bytes that stand in a row group."""
    if group is None:
        return images, [Path(path) for path, _ in images]
    file = pq.ParquetFile(images[0][0])
    before = sum(file.metadata.row_group(index).num_rows for index in range(group))
    column = file.read_row_group(group, columns=["image"])["image"]
    return images, column.take([row - before for _, row in images]).to_pylist()


def write_whole(table: pa.Table, path: Path) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with open(partial, "wb") as file:
        pq.write_table(table, file)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=Path, help="folder of images, or Parquet file")
    parser.add_argument("out", type=Path, help="folder for the labels")
    parser.add_argument("--crops", action="store_true", help="the images are cut-out faces")
    parser.add_argument("--model", help="model file; default: the one in the package")
    parser.add_argument("--tolerated-error", type=float, help="share of wrong answers: `unsure`")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cpus", type=float, default=0.5, help="of each; Ray needs some itself")
    parser.add_argument("--part", type=int, default=100, help="images a file")
    parser.add_argument("--address", help="of a running cluster; default: this machine")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # or Ray reports over the network
    import ray

    source, out = given.source.resolve(), given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for cut_short in out.glob(".*.partial"):
        cut_short.unlink()
    parts = [{"part": part} for part in parts_of(source, out, given.part)]
    print(f"{len(parts)} parts to label", flush=True)
    if not parts:
        return
    ray.init(address=given.address, include_dashboard=False, log_to_driver=False)
    labelled = ray.data.from_items(parts, override_num_blocks=len(parts)).map_batches(
        Labeller,
        fn_constructor_args=(str(out), given.model, given.crops, given.tolerated_error),
        compute=ray.data.ActorPoolStrategy(size=given.workers),
        num_cpus=given.cpus,
        batch_size=1,
    )
    images = errors = 0
    for counts in labelled.iter_batches(batch_size=None):
        images, errors = images + counts["images"].sum(), errors + counts["errors"].sum()
        print(f"{images} images labelled, {errors} with an error", flush=True)


if __name__ == "__main__":
    main()
