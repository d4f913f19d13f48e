"""Does an endpoint that is about to be asked serve the chain of the log? Asked on its own, before anything depends on it."""

from ghostfleet.chain.edge import RpcEdge, RpcRefused
from ghostfleet.chain.endpoints import EndpointConfig
from ghostfleet.chain.reads import Chain
from ghostfleet.chain.transport import Transport
from ghostfleet.config.loaded import Endpoint
from ghostfleet.domain.fleet import Fleet
from ghostfleet.engine.gate import Gate, Reason
from ghostfleet.engine.reloading import WrongEndpoint
from ghostfleet.errors import TryAgain

CHECK_SECS = 5.0
"""An endpoint that takes longer is down, or as good as."""


class Borrowed:
    """A transport that others go on using when this edge is closed."""

    def __init__(self, transport: Transport) -> None:
        self.post = transport.post

    async def close(self) -> None: ...


async def check_endpoint(endpoint: Endpoint, *, transport: Transport, fleet: Fleet) -> bool:
    """Whether it answered. Raises WrongEndpoint when it serves another chain than the log's."""
    config = EndpointConfig(name=endpoint.name, url=endpoint.url)
    shut = Gate()
    shut.shut(Reason.STOP)  # it is only asked, and nothing is sent
    async with RpcEdge([config], Borrowed(transport), gate=shut, request_timeout_secs=CHECK_SECS) as edge:
        chain = Chain(edge)
        try:
            serves = (await chain.chain_id(), await chain.genesis_hash())
        except (TryAgain, RpcRefused):
            return False
    if serves != (fleet.chain_id, fleet.genesis_hash):
        raise WrongEndpoint(
            f"nothing was applied: {endpoint.name} serves chain {serves[0]} with genesis {serves[1]}, "
            f"the log is of chain {fleet.chain_id} with genesis {fleet.genesis_hash}"
        )
    return True
