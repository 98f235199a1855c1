"""What is kept of Java's classes: one file for each of some Javas, the oldest of more are removed."""

import os
from pathlib import Path

from ops.kafka.warm_start import find_outdated


def test_checkouts_with_a_java_each_do_not_remove_each_others_classes(tmp_path: Path) -> None:
    files = [tmp_path / f"{java}.aot" for java in "cadbfe"]
    for second, file in enumerate(files):
        file.touch()
        os.utime(file, (second, second))
    (tmp_path / "kafka.jar").touch()
    assert find_outdated(files[-1]) == files[:2]


def test_a_few_are_all_kept(tmp_path: Path) -> None:
    kept = tmp_path / "java.aot"
    kept.touch()
    assert not find_outdated(kept)
