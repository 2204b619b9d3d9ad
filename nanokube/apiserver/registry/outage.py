"""What the API says when the store cannot be reached; how a server catches up with others that write."""

from __future__ import annotations

from nanokube.api import errors
from nanokube.storage.store import Broken, FutureRevision, Store, StoreError, Uncertain


async def synchronize(store: Store, revision: int = 0) -> None:
    """Catch up; see Store.synchronize. Raises ApiError (503), FutureRevision."""
    try:
        await store.synchronize(revision)
    except FutureRevision:
        raise
    except StoreError as err:
        raise explained(err) from err


def explained(err: StoreError) -> errors.ApiError:
    """Say in the API's words that the store failed: 503 if nothing was done, 504 if that is not known.

    No Retry-After: the store itself has waited for longer than an election takes. client-go would ask ten
    times, and kubectl say nothing for minutes.
    """
    if isinstance(err, Uncertain):
        return errors.timeout(str(err))
    if isinstance(err, Broken):
        return errors.internal(str(err))
    return errors.service_unavailable(str(err))
