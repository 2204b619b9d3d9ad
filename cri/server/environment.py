"""What every RPC works with: one record, filled once at start."""

import dataclasses
import time
from collections.abc import Callable

from cri.cgroup.hierarchy import Hierarchies
from cri.config import Config
from cri.images.service import ImageService
from cri.network.attach import Network
from cri.network.spares import Spares
from cri.network.worker import NetworkWorker
from cri.runtime.client import RuntimeClient
from cri.server.events import EventBus
from cri.server.flights import Flights
from cri.server.rates import Rates
from cri.snapshots.overlay import Snapshots
from cri.store.store import Store
from cri.streaming.server import StreamingServer


@dataclasses.dataclass(frozen=True, slots=True)
class Environment:
    """The parts of a running server. now: nanoseconds since the epoch."""

    config: Config
    store: Store
    client: RuntimeClient
    images: ImageService
    snapshots: Snapshots
    network: Network
    worker: NetworkWorker
    events: EventBus
    streaming: StreamingServer
    hierarchies: Hierarchies
    rates: Rates = dataclasses.field(default_factory=Rates)
    spares: Spares = dataclasses.field(default_factory=Spares)
    flights: Flights = dataclasses.field(default_factory=Flights)
    now: Callable[[], int] = time.time_ns
