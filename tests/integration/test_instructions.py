"""What a row costs in the hot functions, counted in instructions: the same on every machine with the same Python."""

import shutil
import sys

import pytest

from benchmarks.instructions import count_all, read_table
from common.batches import loops as batch_loops
from common.rows import loops as row_loops

_MORE = 1.1


@pytest.mark.long
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="no valgrind to count with")
@pytest.mark.skipif("plain" in (batch_loops.KIND, row_loops.KIND), reason="the counts are of compiled loops")
@pytest.mark.skipif(sys.version not in read_table(), reason="no counts for this build of Python")
def test_no_hot_function_costs_more_than_a_tenth_more_than_it_did() -> None:
    before, now = read_table()[sys.version], count_all()
    dearer = {name: (before.get(name), count) for name, count in now.items() if count > _MORE * before.get(name, 0)}
    assert not dearer, "instructions per row, before and now; if it has to be, run python -m benchmarks.instructions"
    assert before.keys() == now.keys()
