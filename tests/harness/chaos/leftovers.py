"""What services must not leave behind: processes, ports, locks, temporary files."""

import fcntl
from collections.abc import Collection, Iterator
from pathlib import Path

from tests.harness.chaos.verifier import files_in


def leftovers(prefix: str, output: Path, expected: Collection[str]) -> list[str]:
    """What stopped services with this topic prefix have left that should not be there, in words."""
    processes = dict(_processes(prefix))
    told = [f"process {number} still runs: {command}" for number, command in processes.items()]
    told += [f"lock {path.name} is held" for path in output.glob(".nacre/*.lock") if _is_held(path)]
    told += [f"file {path}" for path in set(files_in(output)) - set(expected)]
    # A closed ledger is one file. Lock files stay, because removing one would let two processes hold the lock.
    told += [f"file {path}" for path in output.glob(".nacre/*") if path.suffix not in {".ledger", ".lock"}]
    told += [f"socket {name}" for name in _nacre_sockets() if not _other_services()]
    return told


def _processes(prefix: str) -> Iterator[tuple[int, str]]:
    marker = b"TOPIC_PREFIX=" + prefix.encode() + b"\0"
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (folder / "environ").read_bytes() + b"\0":
                yield int(folder.name), (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (OSError, ValueError):
            continue  # it has just ended, or is somebody else's


def _other_services() -> bool:
    """Whether services of other tests run at the same time: a slot does not show whose it is."""
    commands = (path for path in Path("/proc").glob("[0-9]*/cmdline"))
    return any(b"services." in _read(path) for path in commands)


def _nacre_sockets() -> list[str]:
    lines = _read(Path("/proc/net/unix")).decode(errors="replace").splitlines()
    return [line.split()[-1] for line in lines if "@nacre-" in line]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _is_held(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
