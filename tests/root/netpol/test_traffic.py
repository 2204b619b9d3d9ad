"""NetworkPolicies in a real kernel: connections are refused and allowed as policies come and go."""

import pytest

from tests.root import netns_script

pytestmark = pytest.mark.root


def test_policies_hold_in_the_kernel() -> None:
    netns_script.run("from tests.root.netpol import scenario; scenario.main()")
