"""A chain to develop on: an embedded EVM, anvil, stand-in contracts, and a fleet prepared to act on them.

Nothing of the service imports this; the command line and the tests do.
"""
