"""The way to the nodes and back: addresses with several nodes behind them, and everything that gets lost between."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ghostfleet.chain.passage import Passage
from ghostfleet.chain.transport import Response, TransportFault
from tests.simulation.node import Node, RpcError
from tests.simulation.universe import Universe

SENDS = frozenset({"eth_sendRawTransaction", "eth_sendRawTransactionSync", "realtime_sendRawTransaction"})
JSON = {"content-type": "application/json"}
GARBAGE = (
    b"<html><body><h1>502 Bad Gateway</h1></body></html>",
    b"",
    b'{"jsonrpc":"2.0"',
    b"null",
    b"[]",
    b'{"jsonrpc":"2.0","id":99999999,"result":"0x1"}',
    b'[{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"upstream"}}]',
    b"\xff\xfe\x00\x01",
)
WRONG_SHAPES: tuple[Any, ...] = (True, 7, "0x", "0xzz", {}, [], {"hash": 1}, "latest", [None], "0x" + "ff" * 40)

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


@dataclass
class Weather:
    """What goes wrong on the way, each a chance per request."""

    refused: float = 0.0
    """Cannot connect: nothing has left."""
    request_lost: float = 0.0
    answer_lost: float = 0.0
    cut: float = 0.0
    """The connection breaks after the node has worked."""
    twice: float = 0.0
    late: float = 0.0
    """The request, or its answer, takes up to minutes."""
    limited: float = 0.0
    garbage: float = 0.0
    wrong_shape: float = 0.0
    """A call in the request is answered with something of another type."""
    unanswered: float = 0.0
    """A call in a batch is left out of the answer."""
    down: bool = False
    takes_batches: bool = True


class Site:
    """One address, and the nodes behind it."""

    def __init__(self, url: str, nodes: Sequence[Node]) -> None:
        self.url = url
        self.nodes = list(nodes)
        self.weather = Weather()


class Network:
    """Shared by all runs of the service: what one of them sent may arrive while the next one runs."""

    def __init__(self, universe: Universe, sites: Sequence[Site], on_send: Callable[[str], None]) -> None:
        self.universe = universe
        self.sites = {site.url: site for site in sites}
        self.random = universe.random("network")
        self.on_send = on_send
        """Told of the bytes of each send, at the moment they leave the service."""
        self.requests = 0


class SimulatedTransport:
    """A Transport of one run of the service."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def close(self) -> None:
        pass

    async def post(self, url: str, body: bytes, *, timeout_secs: float, passage: Passage | None = None) -> Response:
        """Raises TransportFault."""
        network = self._network
        universe, random, site = network.universe, network.random, network.sites[url]
        weather = site.weather
        network.requests += 1
        document = _decode(body)
        calls = document if isinstance(document, list) else [document]
        if weather.down or random.random() < weather.refused:
            await asyncio.sleep(random.uniform(0.001, 0.02))
            raise TransportFault("cannot connect: simulated", sent=False)
        if passage is not None:
            passage.leave()
        for call in calls:
            if call["method"] in SENDS:
                network.on_send(call["params"][0])
        if passage is not None:
            passage.left()
        answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        cut = random.random() < weather.cut
        lost = random.random() < weather.answer_lost

        def back(response: Response) -> None:
            if lost:
                return
            universe.after(self._secs(weather), lambda: _deliver(answered, response, cut))

        if random.random() >= weather.request_lost:
            for _ in range(2 if random.random() < weather.twice else 1):
                universe.after(self._secs(weather), lambda: _Arrival(network, site, document, back).work())
        try:
            async with asyncio.timeout(timeout_secs):
                return await answered
        except TimeoutError:
            raise TransportFault(f"no answer within {timeout_secs:g} s", sent=True) from None

    def _secs(self, weather: Weather) -> float:
        random = self._network.random
        if random.random() < weather.late:
            return random.uniform(1.0, 180.0)
        return random.uniform(0.002, 0.05)


def _deliver(answered: "asyncio.Future[Response]", response: Response, cut: bool) -> None:
    if answered.done() or answered.get_loop().is_closed():
        return
    if cut:
        answered.set_exception(TransportFault("connection lost: simulated", sent=True))
    else:
        answered.set_result(response)


class _Arrival:
    """A request at its site: worked off by one of the nodes, answered once all of its calls are."""

    def __init__(self, network: Network, site: Site, document: Any, back: Callable[[Response], None]) -> None:
        self._network, self._site, self._document, self._back = network, site, document, back
        self._entries: list[dict[str, Any]] = []
        self._open = 0

    def work(self) -> None:
        random, weather, document = self._network.random, self._site.weather, self._document
        if random.random() < weather.limited:
            self._back(_limited(random))
            return
        if random.random() < weather.garbage / 2:
            self._back(Response(random.choice((200, 502, 503, 500)), {}, random.choice(GARBAGE)))
            return
        if isinstance(document, list) and not weather.takes_batches:
            refusal = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch is not supported"}}
            self._back(Response(200, JSON, _encode(refusal)))
            return
        node = random.choice(self._site.nodes)
        calls = document if isinstance(document, list) else [document]
        self._open = len(calls)
        for call in calls:
            self._call(node, call)

    def _call(self, node: Node, call: dict[str, Any]) -> None:
        number = call["id"]

        def answer(result: Any) -> None:
            self._answered({"jsonrpc": "2.0", "id": number, "result": result})

        def refuse(problem: RpcError) -> None:
            self._answered({"jsonrpc": "2.0", "id": number, "error": problem.error})

        node.call(call["method"], call["params"], answer, refuse)

    def _answered(self, entry: dict[str, Any]) -> None:
        random, weather = self._network.random, self._site.weather
        self._open -= 1
        if random.random() < weather.wrong_shape:
            entry = {"jsonrpc": "2.0", "id": entry["id"], "result": random.choice(WRONG_SHAPES)}
        if random.random() >= weather.unanswered:
            self._entries.append(entry)
        if self._open:
            return
        batch = isinstance(self._document, list)
        if batch:
            random.shuffle(self._entries)
        elif not self._entries:
            self._back(Response(200, JSON, b""))
            return
        if random.random() < weather.garbage / 2:
            self._back(Response(502, {}, GARBAGE[0]))
            return
        self._back(Response(200, JSON, _encode(self._entries if batch else self._entries[0])))


def _limited(random: Any) -> Response:
    kind = random.randrange(3)
    if kind == 0:
        return Response(429, {"retry-after": str(random.randint(1, 5))}, b"slow down")
    if kind == 1:
        error = {"code": -32022, "message": "over compute unit limit, retry in 2 seconds"}
    else:
        error = {"code": -32005, "message": "rate limit"}
    return Response(429, JSON, _encode({"jsonrpc": "2.0", "id": None, "error": error}))
