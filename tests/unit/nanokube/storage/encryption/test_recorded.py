"""What kube-apiserver v1.36 stored under recorded.json's configuration is read here, by every provider."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from nanokube.kit.clock import SYSTEM
from nanokube.storage.encryption import configuration
from nanokube.storage.encryption.transformer import Transformer
from tests.unit.nanokube.storage.encryption import kmsplugin

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("recorded.json").read_text())


@pytest.mark.parametrize("value", RECORDED["values"], ids=lambda value: value["key"])
def test_values_of_kube_apiserver_are_read(value: dict[str, str], tmp_path: Path) -> None:
    socket = tmp_path / "kms.sock"
    text = json.dumps(RECORDED["configuration"]).replace("unix://SOCKET", f"unix://{socket}")
    with kmsplugin.serving(socket, kmsplugin.KmsPlugin()):
        known = Transformer(configuration.parse(text.encode()), SYSTEM)
        known.poll()
        stored, plain = (base64.b64decode(value[name]) for name in ("stored", "plain"))
        assert known.unseal(value["key"], stored, may_ask=True) == plain
        for plugin in known.plugins.values():
            plugin.close()
