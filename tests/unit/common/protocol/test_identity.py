"""What a pipeline was begun with, compared with what exists: which differences are refused, and in which words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.kafka.topic_metadata import Topic
from common.pipeline.topics import FoundTopics, Topics, find_losses, find_misfits, wanted_topics
from common.protocol.identity import (
    Identity,
    check_version,
    decode_identity,
    encode_identity,
    find_changes,
    with_known_ids,
)
from common.settings import ServiceSettings
from common.settings_reader import read_settings
from tests.harness.setting_names import names_of

TOPICS = Topics.under("nacre.")
BEGUN = Identity("cluster", 6, {name: f"id of {name}" for name in TOPICS.names})
IDS = st.one_of(st.just(""), st.text("abcdefghij", min_size=22, max_size=22))
IDENTITIES = st.builds(
    Identity, st.text(max_size=22), st.integers(1, 10_000), st.fixed_dictionaries(dict.fromkeys(TOPICS.names, IDS))
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in names_of(ServiceSettings):
        monkeypatch.delenv(name.upper(), raising=False)


def settings(*argv: str) -> ServiceSettings:
    return read_settings(ServiceSettings, argv, program="test")


def found(begun: Identity | None = BEGUN, **partitions: int) -> FoundTopics:
    """All topics as they have to be, except for these partition counts."""
    wanted = wanted_topics(settings())
    counts = {name: each.partitions for name, each in wanted.items()} | {f"nacre.{k}": v for k, v in partitions.items()}
    topics = {name: Topic(f"id of {name}", count, 1) for name, count in counts.items()}
    return FoundTopics("cluster", topics, {name: dict(each.configs) for name, each in wanted.items()}, begun)


@given(IDENTITIES)
def test_what_is_written_down_is_read_back_and_nothing_has_changed(identity: Identity) -> None:
    assert decode_identity(encode_identity(identity)) == identity
    assert find_changes(identity, identity) == []


def test_fields_that_this_version_does_not_know_are_ignored_and_other_versions_refused() -> None:
    fields = json.loads(encode_identity(BEGUN))
    assert decode_identity(json.dumps(fields | {"more": 1}).encode()) == BEGUN
    assert decode_identity(json.dumps(fields | {"version": 1}).encode()).format == 1
    with pytest.raises(ValueError, match="of format 3, and this version reads format 1 and 2"):
        decode_identity(json.dumps(fields | {"version": 3}).encode())
    with pytest.raises(ValueError, match="from before format 1"):
        check_version({"number": 1}, 1)


@given(IDENTITIES, st.sampled_from(TOPICS.names), IDS, st.booleans())
def test_a_topic_is_another_only_where_both_ids_are_known(
    begun: Identity,
    name: str,
    topic_id: str,
    is_gone: bool,  # noqa: FBT001 - drawn
) -> None:
    topics = dict(begun.topics)
    if is_gone:
        del topics[name]
    else:
        topics[name] = topic_id
    lines = find_changes(begun, replace(begun, topics=topics))
    is_other = bool(begun.topics[name] and topic_id) and begun.topics[name] != topic_id
    assert len(lines) == (is_gone or is_other)
    assert all(f"topic {name} was deleted" in line for line in lines)


@given(IDENTITIES, IDENTITIES)
def test_ids_are_pinned_once_they_are_known_and_never_changed(begun: Identity, now: Identity) -> None:
    pinned = with_known_ids(begun, now)
    assert with_known_ids(pinned, now) == pinned
    for name, topic_id in begun.topics.items():
        assert pinned.topics[name] == (topic_id or now.topics[name])
    assert (pinned.cluster, pinned.partitions) == (begun.cluster, begun.partitions)


def test_another_cluster_is_one_line_whatever_its_ids() -> None:
    [line] = find_changes(BEGUN, Identity("another", 3, {}))
    assert "were begun in Kafka cluster cluster, this is another" in line


def test_a_pipeline_that_is_as_it_was_is_not_refused() -> None:
    assert find_losses(found(), settings()) == find_misfits(found(), settings()) == []


def test_topics_that_were_written_to_and_say_nothing_of_their_beginning_are_refused() -> None:
    assert find_losses(found(begun=None), settings()) == []
    [line] = find_losses(replace(found(begun=None), used=(TOPICS.rows,)), settings())
    assert line.startswith("topic nacre.schemas does not say what topic nacre.rows was begun with")


def test_records_that_must_be_kept_and_are_gone_are_refused() -> None:
    [line] = find_losses(replace(found(), expired={(TOPICS.progress, 2): 17}), settings())
    assert line.startswith("topic nacre.progress, partition 2: its records before offset 17 are gone")


def test_partitions_that_were_added_are_refused_and_no_setting_is_advised() -> None:
    for argv in ((), ("--partitions=12",)):
        lines = find_misfits(found(rows=12, categorized=12, progress=12), settings(*argv))
        assert len(lines) == 3
        assert all("was begun with 6" in line and "PARTITIONS" not in line for line in lines)
    # Before the pipeline has begun, the setting may follow the topics.
    [line] = find_misfits(found(begun=None, rows=12, categorized=12, progress=12), settings())
    assert "set PARTITIONS=12" in line


def test_each_topic_with_another_cleanup_policy_is_a_line() -> None:
    configs = {name: {"cleanup.policy": "compact,delete"} for name in TOPICS.names}
    lines = find_misfits(replace(found(), configs=configs), settings())
    assert [line.split()[1] for line in lines] == list(wanted_topics(settings()))
    assert [line.split(":")[0].rpartition(" ")[2] for line in lines] == ["delete"] * 3 + ["compact"] * 5
