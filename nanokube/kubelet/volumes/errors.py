"""Why a volume cannot be made ready."""


class VolumeFault(Exception):
    """A volume is not ready; the Pod waits and the cause is told as `reason`."""

    reason = "FailedMount"


class WholeFault(VolumeFault):
    """A fault whose text says already what was tried, and on which volume."""


class DeviceFault(WholeFault):
    """A block volume is not ready."""

    reason = "FailedMapVolume"
