"""What componentize-py builds: the plugin in `plugin.py` as a component."""

import sys

from perennial_reward.component import export  # First: the plugin is to find the clock and the streams in order.

try:
    import plugin

    WitWorld = export(plugin)
except BaseException:
    # Nothing is built: what the interpreter says of the error is for who builds, and there is no log yet.
    sys.stderr = sys.__stderr__
    raise
