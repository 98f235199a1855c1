from aiokafka import TopicPartition

from common.pipeline.partitions import Partitions, partitions_of
from common.settings import ServiceSettings
from common.settings_reader import make_settings


def test_a_pipeline_has_as_many_partitions_as_the_setting_and_one_for_what_is_rejected() -> None:
    found = Partitions.of(make_settings(ServiceSettings, {"topic_prefix": "p.", "partitions": 2}))
    assert found.progress == partitions_of("p.progress", 2) == (TopicPartition("p.progress", 0), ("p.progress", 1))
    assert found.rows_and_rejected == (("p.rows", 0), ("p.rows", 1), ("p.rejected", 0))
    assert found.categorized_and_rejected == (("p.categorized", 0), ("p.categorized", 1), ("p.rejected", 0))
