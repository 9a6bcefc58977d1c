"""Work beside the page, where the notebook's home allows it.

In: a function. Out: nothing; it runs in a thread, or, in Colab, at once: Colab does not deliver what a
thread writes to a widget (googlecolab/colabtools issues), so there the click's own callback does the work.
Nothing else on the page knows the difference.
"""

import threading
from collections.abc import Callable

from utils import environment


def start(work: Callable[[], None]) -> None:
    """Run `work`, which catches its own errors."""
    if environment.in_colab():
        work()
    else:
        threading.Thread(target=work, daemon=True).start()
