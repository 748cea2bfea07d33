"""What componentize-py builds: the plugin in `plugin.py` as a component."""

from perennial_reward.component import export  # First: the plugin is to find the clock and the streams in order.

import plugin

WitWorld = export(plugin)
