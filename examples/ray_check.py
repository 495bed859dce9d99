"""Checks ray_label.py: rows of two Ray workers are those of one process, whatever is killed.

`cargo xtask ray` runs it over the FERPlus validation pack. Needs Linux.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from ray_label import Labeller, parts_of

SCRIPT = Path(__file__).with_name("ray_label.py")
PART = 100


def main() -> None:
    source = Path(sys.argv[1]).resolve()
    images = pq.ParquetFile(source).metadata.num_rows
    with tempfile.TemporaryDirectory() as folder:
        damaged(Path(folder))
        expected = alone(source, Path(folder, "alone"))
        assert len(set(zip(expected["path"].to_pylist(), expected["row"].to_pylist()))) == images
        undisturbed(source, Path(folder, "undisturbed"), expected)
        worker_killed(source, Path(folder, "worker"), expected)
        all_killed(source, Path(folder, "all"), expected)


def damaged(folder: Path) -> None:
    """What cannot be read is a row, from a Parquet file and from a folder."""
    table, out, pictures = folder / "damaged.parquet", folder / "damaged", folder / "pictures"
    pq.write_table(pa.table({"image": [b"no image", None, b""]}), table)
    pictures.mkdir()
    (pictures / "empty.png").touch()
    shutil.copy(SCRIPT.with_name("images") / "astronaut.png", pictures)
    out.mkdir()
    labeller = Labeller(str(out), None, False, None)
    for part in [*parts_of(table, out, 2), *parts_of(pictures, out, 2)]:
        labeller.label(part)
    assert not list(parts_of(table, out, 2)) + list(parts_of(pictures, out, 2)), "not all done"
    found = [(row["label"], row["error"]) for row in rows(out).to_pylist()]
    assert [label for label, _ in found].count("happiness") == 1, found
    assert sum(error is not None for _, error in found) == len(found) - 1 == 4, found
    print("damaged and missing images: 4 rows with an error, the portrait beside them labelled")


def alone(source: Path, out: Path) -> pa.Table:
    """All parts in this process, without Ray."""
    out.mkdir()
    start = time.monotonic()
    labeller = Labeller(str(out), None, True, 0.1)
    for part in list(parts_of(source, out, PART)):
        labeller.label(part)
    table = rows(out)
    errors, unsure = len(table) - table["error"].null_count, table["unsure"].to_pylist().count(True)
    print(f"one process: {len(table)} rows, {errors} errors, {unsure} unsure, {since(start)}")
    return table


def undisturbed(source: Path, out: Path, expected: pa.Table) -> None:
    start = time.monotonic()
    finish(begin(source, out), out, expected)
    print(f"two workers: {len(expected)} equal rows, {since(start)}")
    again = begin(source, out)
    output, _ = again.communicate()
    assert again.returncode == 0 and output.startswith("0 parts"), output
    print("the same command again: nothing to do")


def worker_killed(source: Path, out: Path, expected: pa.Table) -> None:
    start = time.monotonic()
    run = begin(source, out)
    wait_for_half(run, out, expected)
    victim, *others = workers(run.pid)
    assert others, "one worker only"
    os.kill(victim, signal.SIGKILL)
    written = len(list(out.glob("*.parquet")))
    finish(run, out, expected)
    print(f"worker {victim} killed after {written} files: {len(expected)} equal rows, {since(start)}")


def all_killed(source: Path, out: Path, expected: pa.Table) -> None:
    start = time.monotonic()
    run = begin(source, out)
    wait_for_half(run, out, expected)
    for process in [run.pid, *descendants(run.pid)]:
        os.kill(process, signal.SIGKILL)
    run.communicate()
    files = {file: file.stat().st_mtime_ns for file in out.glob("*.parquet")}
    finish(begin(source, out), out, expected)
    assert all(file.stat().st_mtime_ns == then for file, then in files.items()), "done twice"
    print(
        f"everything killed after {len(files)} files, started again: {len(expected)} equal rows, "
        f"none of those files made anew, {since(start)}"
    )


def begin(source: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, SCRIPT, source, out, "--crops", "--tolerated-error", "0.1"]
    return subprocess.Popen(
        [*map(str, command), "--part", str(PART)],
        env={**os.environ, "RAY_worker_niceness": "0"},  # Ray's 15 starves workers on a busy machine
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def wait_for_half(run: subprocess.Popen[str], out: Path, expected: pa.Table) -> None:
    while len(list(out.glob("*.parquet"))) < len(expected) / PART / 2:
        assert run.poll() is None, "ended before it was half-way"
        time.sleep(0.02)


def finish(run: subprocess.Popen[str], out: Path, expected: pa.Table) -> None:
    output, _ = run.communicate()
    assert run.returncode == 0, output
    found = rows(out)
    assert found.equals(expected), f"{len(found)} rows of {len(expected)}, or others"


def rows(out: Path) -> pa.Table:
    table = pa.concat_tables(pq.read_table(file) for file in out.glob("*.parquet"))
    return table.sort_by([(key, "ascending") for key in ("path", "row", "face_index")])


def workers(root: int) -> list[int]:
    """Processes of the labelling actors; Ray gives them their class' name."""
    named = lambda pid: Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::MapWorker")
    return sorted(pid for pid in descendants(root) if named(pid))


def descendants(root: int) -> list[int]:
    children = Path(f"/proc/{root}/task/{root}/children")
    found = []
    for task in children.parent.parent.glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *descendants(child)]
    return found


def since(start: float) -> str:
    return f"{time.monotonic() - start:.1f} s"


if __name__ == "__main__":
    main()
