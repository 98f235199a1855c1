"""A real bash completes `nacre …` with the script that `nacre completion bash` prints, as someone types."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.__main__ import COMMANDS
from ops.completion import _parser_of

_DEADLINE_S = 20
_ESCAPES = re.compile(rb"\x1b\[\??[0-9;]*[a-zA-Z]|[\x07\r]")

Type = Callable[[str, str], None]


def script_for(shell: str) -> bytes:
    return subprocess.check_output([sys.executable, "-m", "ops", "completion", shell])


@pytest.fixture(scope="module")
def bash_script() -> bytes:
    return script_for("bash")


@pytest.fixture
def type_and_see(tmp_path: Path, bash_script: bytes) -> Iterator[Type]:
    """Type into a bash in a terminal, and wait until it shows a line that ends so."""
    (tmp_path / "nacre.bash").write_bytes(bash_script)
    (tmp_path / "abalone.csv").touch()
    process, terminal = pty.fork()
    if not process:
        os.chdir(tmp_path)
        os.environ |= {"PS1": "> ", "TERM": "dumb", "INPUTRC": "/dev/null"}
        os.execlp("bash", "bash", "--norc", "--noprofile", "-i")  # noqa: S606 - a shell is what is tried

    def type_and_see(typed: str, shown: str) -> None:
        os.write(terminal, typed.encode())
        seen, end = b"", time.monotonic() + _DEADLINE_S
        while not _ESCAPES.sub(b"", seen).endswith(shown.encode()):
            ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{typed!r}: not {shown!r} but {seen!r}"
            seen += os.read(terminal, 4096)

    type_and_see("", "> ")
    type_and_see(". ./nacre.bash\n", "> ")
    yield type_and_see
    # A shell ends with its terminal.
    os.close(terminal)
    os.waitpid(process, 0)


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("nacre val", "nacre validate "),
        ("nacre rejected re", "nacre rejected replay "),
        ("nacre ingest --delim", "nacre ingest --delimiter "),
        ("nacre ingest aba", "nacre ingest abalone.csv "),
        ("nacre sink --output-dir aba", "nacre sink --output-dir abalone.csv "),
        ("nacre completion z", "nacre completion zsh "),
    ],
)
def test_a_bash_completes(type_and_see: Type, typed: str, completed: str) -> None:
    type_and_see(f"{typed}\t", completed)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_its_own_flags(command: str) -> None:
    assert _parser_of(command).prog == f"nacre {command}"


@pytest.mark.skipif(not shutil.which("zsh"), reason="there is no zsh here")
def test_zsh_reads_its_script(tmp_path: Path) -> None:
    (tmp_path / "_nacre").write_bytes(script_for("zsh"))
    subprocess.run(["zsh", "-n", str(tmp_path / "_nacre")], check=True)
