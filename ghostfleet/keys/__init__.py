"""Where private keys come from, and who holds them while the service runs. Nothing here shows a key to anyone."""
