"""What does every duty look up first? The operation that it serves, which may have ended meanwhile."""

from ghostfleet.domain.decisions import Refused
from ghostfleet.domain.operation import Operation
from ghostfleet.engine.world import World


def under_way(world: World, operation_id: str) -> Operation:
    """The operation as the log has it now. Raises Refused when it is over."""
    operation = world.state.fleet.operation(operation_id)
    if operation is None:
        raise Refused(f"{operation_id} is over")
    return operation
