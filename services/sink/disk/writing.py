"""Small files that are written as a whole: a reader finds each as it was, or as it is now."""

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from common.protocol.output_folder import UNDER_WAY
from services.sink.disk.durability import make_durable
from services.sink.disk.errors import naming
from services.sink.disk.output_root import OutputRoot


def write_whole(root: Path, contents: Mapping[str, bytes]) -> None:
    """Write files by path, each in one step, and make them durable. Raises DiskError."""
    with OutputRoot(root) as output:
        for path, content in contents.items():
            descriptor = output.open(path + UNDER_WAY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, make_folders=True)
            with naming(root / path), os.fdopen(descriptor, "wb") as file:
                file.write(content)
        make_durable(root, [path + UNDER_WAY for path in contents], [], lambda: False)
        for path in contents:
            output.rename(path + UNDER_WAY, path)
    folders = {folder for path in contents for folder in _folders_above(path)}
    make_durable(root, [], folders, lambda: False)


def _folders_above(path: str) -> list[str]:
    return ["" if str(folder) == "." else str(folder) for folder in PurePosixPath(path).parents]
