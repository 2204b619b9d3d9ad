import gc
import sys

from cri.api import runtime_pb2 as pb
from cri.store import codec, records


def test_encoding_leaves_nothing_behind() -> None:
    made = records.Container(id="c", sandbox_id="s", config=pb.ContainerConfig(), image_id="sha256:1")
    codec.encode_container(made)
    gc.collect()  # empties the lists of spare tuples, which end growing at 2000 a length
    before = sys.getallocatedblocks()
    for _ in range(1500):
        codec.encode_container(made)
    assert sys.getallocatedblocks() - before < 500  # JSON encoders are cycles: some wait for a collection
