"""Whatever sources hold and however they are read: what the services' own code leaves is well."""

import os
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.verify.command import verify
from ops.verify.settings import read_arguments
from services.sink.paths.template import path_rule
from services.sink.rolling.limits import NOTHING_FINISHED, Limits, Rolling
from tests.harness.csv_pieces import PIECES
from tests.harness.delivered import delivered

# With zeros a source may look like UTF-16, which ingest refuses.
LINES = [*(piece for piece in PIECES if piece != b"\0"), b"a,b\n", b"1,2\n", b"3,x\r\n"]
SOURCES = st.lists(st.lists(st.sampled_from(LINES), max_size=30), min_size=1, max_size=3)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "header": st.sampled_from(["first", "none"]),
        "quote": st.sampled_from(["none", "auto"]),
        "row_format": st.just("json"),
        "encoding": st.sampled_from(["latin-1", "cp1252"]),
        "skip_lines": st.sampled_from(["1", "2"]),
    },
)
ROLLING = Rolling(path_rule("{split}/{category}.csv", rolls=True, packed_suffix=".gz"), Limits(rows=2))


@given(SOURCES, SETTINGS, st.sampled_from([NOTHING_FINISHED, ROLLING]), st.integers(0, 99))
@settings(max_examples=50, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_the_services_leave_is_well(
    monkeypatch: pytest.MonkeyPatch, sources: list[list[bytes]], options: dict[str, str], rolling: Rolling, seed: int
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    split_by = "*,#1,#2:int,#1+#2:float/0.5" if options.get("header") == "none" else "*,a,b:int,#1+b:float/0.5"
    with tempfile.TemporaryDirectory() as folder:
        contents = {f"{number}.csv": b"".join(pieces) for number, pieces in enumerate(sources)}
        rng = random.Random(seed)  # noqa: S311 - a test's own mixture
        ends = rolling is ROLLING
        delivered(Path(folder), split_by, contents, settings=dict(options), rolling=rolling, ends=ends, rng=rng)
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        out, given_sources = str(Path(folder, "out")), str(Path(folder, "in"))
        report = verify(read_arguments([out, "--source", given_sources, "--split-by", split_by, *flags]))
        assert [finding.text for finding in (*report.differs.first, *report.not_yet.first)] == []
