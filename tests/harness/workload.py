"""A big file on its way through all three services, and how far each of them has come."""

from collections.abc import Sequence
from pathlib import Path

from tests.harness.expectation import ABALONE, expected_files
from tests.harness.pipeline import SERVICES, Pipeline, Service

_SPLITS = ("*", "Sex", "Rings:int")


class Workload:
    """All three services at work on one file; each ends by itself once everything is done."""

    def __init__(self, pipeline: Pipeline, path: Path, splits: Sequence[str] = _SPLITS, **settings: str) -> None:
        self._pipeline = pipeline
        self._settings = {
            "SPLIT_BY": ",".join(splits),
            "INPUT": str(path),
            "ONCE": "true",
            "EXIT_WHEN_DONE": "true",
            **settings,
        }
        source = path.read_bytes()
        rows = source.count(b"\n") - 1
        self.expected = expected_files(source, [ABALONE[split] for split in splits])
        self._totals = {
            "ingest": rows,
            "split": rows * len(splits),
            "sink": sum(map(len, self.expected.values())),
        }
        self.running: dict[str, Service] = {}
        for name in SERVICES:
            self.start(name)

    def start(self, name: str, **settings: str) -> None:
        """Start a service, also after it has ended."""
        self.running[name] = self._pipeline.start(name, **{**self._settings, **settings})

    def done(self, name: str) -> int:
        """How much this service has done. Rows of aborted transactions count too, so the number is never too low."""
        if name == "sink":
            return self._pipeline.output_size()
        return sum(self._pipeline.observer.ends("rows" if name == "ingest" else "categorized"))

    def is_done(self, name: str) -> bool:
        """Whether this service may have done all its work; if not, it is in the middle of it."""
        return self.done(name) >= self._totals[name]

    def wait_for_share(self, name: str, share: float) -> None:
        """Wait until this service has done this share of its work."""
        amount = share * self._totals[name]
        self._pipeline.wait_until(lambda: self.done(name) >= amount, f"{name} has done {share:.0%} of its work")

    def wait_for_more(self, name: str, done: int) -> float:
        """Wait until this service has clearly done more than that; return how many seconds it took."""
        # A start alone adds a few records: those that end the predecessor's transactions.
        amount = done + 1_000
        return self._pipeline.wait_until(lambda: self.done(name) > amount, f"{name} is at work again")

    def finish(self) -> None:
        """Wait until all have ended, and compare the files."""
        self._pipeline.finish(*self.running.values())
        self._pipeline.check_files(self.expected)
