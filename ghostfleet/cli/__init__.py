"""The command `ghost-fleet`: thin shells, one module a subject, over what the other layers do."""
