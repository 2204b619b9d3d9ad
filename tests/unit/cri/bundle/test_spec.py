import gc
import sys

from cri.bundle import spec


def test_to_wire_is_deep() -> None:
    wire = spec.to_wire(spec.Process(argv=("sh",), user=spec.User(uid=1, groups=(2, 3))))
    assert wire["argv"] == ("sh",)
    assert wire["user"] == {"uid": 1, "gid": 0, "groups": (2, 3)}


def test_to_wire_leaves_nothing_behind() -> None:
    made = spec.holder_spec("c", "s", "g")
    spec.to_wire(made)
    gc.collect()  # empties the lists of spare tuples, which end growing at 2000 a length
    before = sys.getallocatedblocks()
    for _ in range(500):
        spec.to_wire(made)
    assert sys.getallocatedblocks() - before < 100
