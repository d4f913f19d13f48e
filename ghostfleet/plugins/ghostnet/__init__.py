"""GHOSTNET on MegaETH: stakes in GhostCore, bets in HashCrash.

protocol: its functions, errors and events · view: what is read each turn · policy: what to do then, and the way out ·
plugin: the three of them as the engine's plugin.
"""

from ghostfleet.plugins.ghostnet.plugin import GhostnetPlugin as GhostnetPlugin
