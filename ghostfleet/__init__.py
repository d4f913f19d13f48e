"""Ghost Fleet: an event-sourced service that runs a fleet of an operator's own EVM wallets."""

__version__ = "0.2.0"
