"""The order of versions: stable before beta before alpha, later before earlier. Pure.

>>> sorted(["v1", "v2alpha1", "v10", "foo", "v1beta2", "v0", "v1beta1"], key=rank)
['v10', 'v1', 'v0', 'v1beta2', 'v1beta1', 'v2alpha1', 'foo']

Source: apimachinery/pkg/util/version/helpers.go (CompareKubeAwareVersionStrings).
"""

from __future__ import annotations

import re
from typing import Final

_VERSION: Final = re.compile(r"v([0-9]+)(?:(alpha|beta)([0-9]+))?")
_STAGES: Final = {None: 0, "beta": 1, "alpha": 2}


def rank(version: str) -> tuple[int, int, int, str]:
    """Return a key that sorts versions, the preferred one first; other names come last, by name."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return 3, 0, 0, version
    return _STAGES[found[2]], -int(found[1]), -int(found[3] or 0), ""
