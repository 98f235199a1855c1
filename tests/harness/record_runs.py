"""Single records, grouped into the runs in which a batch is read."""

from collections.abc import Iterable

from common.batches.record_runs import Record, RecordRun


def to_runs(records: Iterable[Record]) -> list[RecordRun | Record]:
    runs: list[RecordRun | Record] = []
    for record in records:
        before = runs[-1] if runs else None
        if record.headers:
            runs.append(record)
        elif (
            isinstance(before, RecordRun)
            and isinstance(before.rows, list)
            and before.key == record.key
            and before.offset + len(before.rows) == record.offset
        ):
            before.rows.append(record.value)
        else:
            runs.append(RecordRun(record.offset, record.key, [record.value]))
    return runs
