"""Schemas that several replicas meet at the same time: each gets one number, and no replica keeps another from it."""

import json

from tests.harness.pipeline import Pipeline

REPLICAS = 4
HEADERS = [f"Sex,Column {number}" for number in range(4)]
SOURCES = 24


def test_replicas_that_register_schemas_at_the_same_time_agree_on_their_numbers(pipeline: Pipeline) -> None:
    folder = pipeline.folder / "in"
    folder.mkdir()
    pipeline.start("split", SPLIT_BY="*")
    pipeline.start("sink")
    ingests = [pipeline.start("ingest", folder) for _ in range(REPLICAS)]
    pipeline.wait_until(
        lambda: sum(len(ingest.events("partitions assigned")[-1:]) for ingest in ingests) == REPLICAS,
        "every replica has partitions",
    )
    rows = {header: set[str]() for header in HEADERS}
    for source in range(SOURCES):
        header = HEADERS[source % len(HEADERS)]
        rows[header].add(f"M,{source}")
        (folder / f"{source}.csv").write_text(f"{header}\nM,{source}\n")
    pipeline.wait_for_size(sum(len(f"{line}\n") for header in HEADERS for line in (header, *rows[header])))

    schemas = [json.loads(record.value) for record in pipeline.observer.schemas()]
    assert [schema["number"] for schema in schemas] == [1, 2, 3, 4]
    for schema in schemas:
        header = ",".join(schema["columns"])
        name = "all.csv" if schema["number"] == 1 else f"all~{schema['number']}.csv"
        first, *found = (pipeline.output / name).read_text().splitlines()
        assert (first, sorted(found)) == (header, sorted(rows[header]))
