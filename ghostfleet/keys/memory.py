"""What keeps keys that are in memory off the disk?"""

import resource


def no_core_files() -> None:
    """A process that crashes writes none of its memory to a file. The hard limit stays, for whoever has to debug it."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
