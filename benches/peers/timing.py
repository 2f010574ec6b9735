"""Wall time of a callable."""

import time
from collections.abc import Callable


def samples(run: Callable[[], object], runs: int, warm_up: int = 2) -> list[float]:
    """Microseconds of each of `runs` calls, after `warm_up` more."""
    out = []
    for _ in range(warm_up + runs):
        start = time.perf_counter_ns()
        run()
        out.append((time.perf_counter_ns() - start) / 1e3)
    return out[warm_up:]
