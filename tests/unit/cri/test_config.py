"""The configuration file: types, unknown fields, round trip."""

import json
from pathlib import Path

import pytest

from cri import config


def test_a_config_reads_back_as_itself() -> None:
    given = config.Config(
        socket=Path("/x/y.sock"), insecure_registries=("a:5000",), registry_config_dir=Path("/c")
    )
    assert config.from_json(json.loads(json.dumps(config.to_json(given)))) == given
    assert config.from_json({}) == config.Config()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"sockt": "/a"}, "unknown field 'sockt'"),
        ({"socket": "relative"}, "absolute path"),
        ({"socket": 3}, "absolute path"),
        ({"insecure_registries": "a"}, "list of strings"),
        ({"max_workers": "8"}, "type int"),
        ({"stream_port": True}, "type int"),
        ({"spare_namespaces": 5}, "from 0 to 4"),
        ({"spare_namespaces": -1}, "from 0 to 4"),
        ([], "JSON object"),
    ],
)
def test_a_wrong_field_is_named(data: object, message: str) -> None:
    with pytest.raises(config.ConfigError, match=message):
        config.from_json(data)  # type: ignore[arg-type]


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cri.json"
    path.write_text("{")
    with pytest.raises(config.ConfigError, match=r"cri\.json"):
        config.load(path)
