"""A source's receipt has a path of its own, below the folder of receipts."""

from hypothesis import given
from hypothesis import strategies as st

from services.sink.paths.receipts import receipt_path

PARTS = st.lists(
    st.text(st.sampled_from("aAß.~ /json") | st.characters(exclude_characters="/\0"), min_size=1, max_size=12).map(
        lambda text: text.replace("/", "_")
    )
    | st.sampled_from(["a.json", "a.JSON", "~", "..", "x" * 300]),
    min_size=1,
    max_size=4,
)
SOURCES = PARTS.map(lambda parts: "/" + "/".join(parts)) | st.text(min_size=1, max_size=9).map(
    lambda name: f"stdin-{name}"
)


def test_a_receipt_is_named_after_its_source() -> None:
    assert receipt_path("/data/abalone.csv") == "_receipts/data/abalone.csv.json"
    assert receipt_path("stdin-abalone") == "_receipts/~/stdin-abalone.json"


@given(st.sets(SOURCES, min_size=2, max_size=6))
def test_no_two_receipts_share_a_path_and_none_is_in_another_ones_way(sources: set[str]) -> None:
    paths = [receipt_path(source) for source in sources]
    assert len(set(paths)) == len(paths)
    for path in paths:
        steps = path.split("/")
        assert steps[0] == "_receipts"
        assert not {"", ".", ".."} & set(steps)
        assert not any("/".join(steps[:count]) in paths for count in range(1, len(steps)))
        assert all(len(step.encode()) <= 255 for step in steps)
