import os
from pathlib import Path

import orjson

from common.log.setup import _to_json

NAME = os.fsdecode(b"caf\xe9")


def test_what_is_not_unicode_is_logged_as_text() -> None:
    event = {"event": NAME, "reasons": [NAME, {NAME: (1, None, True)}], "path": Path(NAME), "other": "\ud800 é"}
    assert orjson.loads(_to_json(event)) == {
        "event": r"caf\xe9",
        "reasons": [r"caf\xe9", {r"caf\xe9": [1, None, True]}],
        "path": r"caf\xe9",
        "other": r"\ud800 é",
    }
