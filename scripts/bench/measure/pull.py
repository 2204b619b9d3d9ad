"""Pull and unpack one layer of 40 MB from a registry on loopback, on each runtime in turn; seconds."""

import os
import time
from collections.abc import Sequence

from cri.api import runtime_pb2 as pb
from scripts.bench.measure import progress, registry
from scripts.bench.measure.target import TIMEOUT_S, Target

PULL = "pull and unpack a 40 MB layer"
PULL_CPU = "CPU time of the pull"
_SETTLE_S = 1.0


def measure(targets: Sequence[Target], rounds: int, served: registry.Served) -> None:
    """Pull so many images on each, interleaved; the first warms up. All are removed at the end."""
    for number in progress.count("pulls", rounds + 1):
        for target in targets:
            if number == 1:
                for figure in (PULL, PULL_CPU):
                    target.samples.pop(figure, None)
            _pull(target, served, number)
    for number in range(rounds + 1):
        for target in targets:
            image = pb.ImageSpec(image=served.image(number))
            target.image.RemoveImage(pb.RemoveImageRequest(image=image), timeout=TIMEOUT_S)


def _pull(target: Target, served: registry.Served, number: int) -> None:
    image = pb.ImageSpec(image=served.image(number))
    os.sync()  # the last pull's pages are not this one's burden
    sent, cpu, began = served.sent_bytes, target.account.cpu_ms(), time.perf_counter()
    target.image.PullImage(pb.PullImageRequest(image=image), timeout=TIMEOUT_S)
    target.note(PULL, time.perf_counter() - began)
    if served.sent_bytes - sent < registry.LAYER_BYTES * 0.9:
        raise RuntimeError(f"cannot compare: {target.name} had the layer already")
    time.sleep(_SETTLE_S)
    target.note(PULL_CPU, (target.account.cpu_ms() - cpu) / 1e3)
