"""The peers that are written in compiled languages: built where the language is, and after each change of a source."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).parent
# Ignored by git, like the build of a package.
_BUILT = _HERE.parents[1] / "build" / "peers"


class Language(NamedTuple):
    """A compiled language: its compiler, and the command, in the folder of the sources, that builds `{target}`."""

    folder: str
    compiler: str
    build: tuple[str, ...]
    binary: str


GO = Language("go", "go", ("go", "build", "-o", "{target}/peer", "."), "peer")
RUST = Language("rust", "cargo", ("cargo", "build", "--quiet", "--release", "--target-dir", "{target}"), "release/peer")


def path_of(language: Language) -> Path:
    """Where the language's peer is once it is built."""
    return _BUILT / language.folder / language.binary


def build(language: Language) -> bool:
    """Build the peer; False, said on standard error, where there is no compiler or nothing can be downloaded."""
    if shutil.which(language.compiler) is None:
        sys.stderr.write(f"no {language.compiler}: its peer is left out\n")
        return False
    target = _BUILT / language.folder
    target.mkdir(parents=True, exist_ok=True)
    command = [word.format(target=target) for word in language.build]
    done = subprocess.run(command, cwd=_HERE / language.folder, check=False)
    if done.returncode:
        sys.stderr.write(f"{language.compiler} failed: its peer is left out\n")
        return False
    return True
