"""Why a volume cannot be made ready."""


class VolumeFault(Exception):
    """A volume is not ready; the Pod waits and the cause is told as FailedMount."""
