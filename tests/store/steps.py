"""Where to kill or stop a process: before each change of a place that it makes; see conftest.py."""

import pytest


class Steps:
    """All changes of a place that an action makes, so many on a disk and so many in a bucket."""

    def __init__(self, disk: range, s3: range) -> None:
        cases = [pytest.param("disk", step, id=f"disk-{step}") for step in disk]
        cases += [pytest.param("s3", step, id=f"s3-{step}", marks=pytest.mark.s3) for step in s3]
        self.each = pytest.mark.parametrize(("kind", "step"), cases)
        self.ends = {"disk": disk.stop, "s3": s3.stop}
