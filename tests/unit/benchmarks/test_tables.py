from benchmarks.tables import heading, line, table


def test_a_table_has_a_title_columns_and_rows() -> None:
    assert table("rows", ("p50", "max"), [("250,000", "20", "76"), ("10", "1", "2")]) == (
        "| rows | p50 | max |\n| --- | --- | --- |\n| 250,000 | 20 | 76 |\n| 10 | 1 | 2 |\n"
    )


def test_what_is_empty_takes_no_more_room_than_one_space() -> None:
    assert heading("", ("rows/s",)) == "| | rows/s |\n| --- | --- |\n"
    assert line(("10 rows", "lost", "", "2.1")) == "| 10 rows | lost | | 2.1 |\n"
