"""Numbers that may be percentages: maxSurge, maxUnavailable, minAvailable. Pure.

Source: apimachinery pkg/util/intstr/intstr.go.

>>> resolve("25%", 10, up=True), resolve("25%", 10, up=False), resolve(4, 10, up=True)
(3, 2, 4)
"""


def resolve(value: int | str, count: int, *, up: bool) -> int:
    """Resolve a number or percentage of count. Raises ValueError."""
    if isinstance(value, str) and value.endswith("%"):
        hundredths = int(value[:-1]) * count
        return -(-hundredths // 100) if up else hundredths // 100
    return int(value)
