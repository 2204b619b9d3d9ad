"""What a server says of its encryption configuration, under upstream's names.

Source: staging apiserver pkg/server/options/encryptionconfig/metrics/metrics.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from nanokube.storage.encryption.store import EncryptedStore

PREFIX = "apiserver_encryption_config_controller_"
IN_USE = f"{PREFIX}last_config_info"


class EncryptionMetrics(Collector):
    """Read from the store when asked."""

    def __init__(self, store: EncryptedStore) -> None:
        self._store = store

    def collect(self) -> Iterable[Metric]:
        """Tell which file is in use, and how often another was taken or refused."""
        used = GaugeMetricFamily(IN_USE, "Hash of the configuration in use.", labels=["hash"])
        used.add_metric([self._store.transformer.config.digest], 1)
        yield used
        reloads = CounterMetricFamily(
            f"{PREFIX}automatic_reloads", "Changed files, by what became of them.", labels=["status"]
        )
        for status, count in self._store.reloads.items():
            reloads.add_metric([status], count)
        yield reloads
