"""The peers that are written in compiled languages: built where the language is, before anything is measured."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.peers import jars
from ops.kafka.jars import LocalKafkaError

_HERE = Path(__file__).parent
# Ignored by git, like the build of a package.
_BUILT = _HERE.parents[1] / "build" / "peers"


class Language(NamedTuple):
    """A compiled language: the command that builds into a folder from the folder of the sources, and what it makes."""

    folder: str
    build: Callable[[Path], list[str]]
    made: str


GO = Language("go", lambda target: ["go", "build", "-o", f"{target}/peer", "."], "peer")
RUST = Language(
    "rust",
    lambda target: ["cargo", "build", "--quiet", "--release", "--target-dir", str(target)],
    "release/peer",
)
JAVA = Language("java", lambda target: jars.compiler(target, "Split.java"), "")


def path_of(language: Language) -> Path:
    """Where the language's peer is once it is built; of Java, the folder of its classes."""
    return _BUILT / language.folder / language.made


def build(language: Language) -> bool:
    """Build the peer; False, said on standard error, where there is no compiler or nothing can be downloaded."""
    target = _BUILT / language.folder
    target.mkdir(parents=True, exist_ok=True)
    try:
        command = language.build(target)
    except LocalKafkaError as error:
        sys.stderr.write(f"no {language.folder}, its peer is left out: {error}\n")
        return False
    if shutil.which(command[0]) is None:
        sys.stderr.write(f"no {command[0]}: its peer is left out\n")
        return False
    if subprocess.run(command, cwd=_HERE / language.folder, check=False).returncode:
        sys.stderr.write(f"{command[0]} failed: its peer is left out\n")
        return False
    return True
