"""A file system that a test can fill."""

import subprocess
from pathlib import Path

import pytest


class Disk:
    """A small file system, mounted at an output folder."""

    def __init__(self, folder: Path, size_mib: int) -> None:
        self.folder = folder
        self._filler = folder / ".filler"
        self._mount("-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(folder))

    def _mount(self, *arguments: str) -> None:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"this test has to mount a file system, which only root may: {done.stderr.strip()}")

    def fill(self, but_bytes: int = 0) -> None:
        """Leave not a byte free, or only so many."""
        with self._filler.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(2**16)):
                    pass
            except OSError:
                file.truncate(file.tell() - but_bytes)

    def empty(self) -> None:
        """Remove what filled it."""
        self._filler.unlink()

    def grow(self, size_mib: int) -> None:
        """Make it larger."""
        self._mount("-o", f"remount,size={size_mib}m", str(self.folder))

    def forbid_writing(self) -> None:
        """Let nothing be opened for writing. By a mount above: one with files open for writing stays as it is."""
        # Made ready aside, or something could be opened before the mount forbids it.
        aside = self.folder.with_name("aside")
        aside.mkdir(exist_ok=True)
        self._mount("--bind", str(self.folder), str(aside))
        self._mount("-o", "remount,bind,ro", str(aside))
        self._mount("--bind", str(aside), str(self.folder))
        subprocess.run(["umount", "--lazy", str(aside)], check=True)

    def unmount(self) -> None:
        """Take the topmost mount away."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def close(self) -> None:
        """Take every mount away."""
        while self.folder.is_mount():
            self.unmount()
