"""Which endpoints are there, in which order, and which of them may be asked? The set can change while requests are under way."""

from collections.abc import Sequence

from ghostfleet.chain.endpoints import Endpoint, EndpointConfig, OnChange


class EndpointSet:
    """The configured endpoints, in order of preference."""

    def __init__(self, configs: Sequence[EndpointConfig], on_change: OnChange) -> None:
        self._on_change = on_change
        self.all: tuple[Endpoint, ...] = ()
        self.use(configs)

    def use(self, configs: Sequence[EndpointConfig]) -> None:
        """These from now on. What is known of those that stay is kept, a drain too."""
        assert configs, "an edge needs an endpoint"
        before = {(it.name, it.url): it for it in self.all}
        used = {it.name: before.get((it.name, it.url)) or Endpoint(it, self._on_change) for it in configs}
        assert len(used) == len(configs), "two endpoints of one name"
        for config in configs:
            used[config.name].adopt(config)
        for endpoint in self.all:
            if used.get(endpoint.name) is not endpoint:
                endpoint.dismiss()
        self._by_name, self.all = used, tuple(used.values())

    def drain(self, name: str, *, drained: bool) -> None:
        """No new request to this one; or new ones again. An unknown name changes nothing."""
        endpoint = self._by_name.get(name)
        if endpoint is not None:
            endpoint.drained = drained

    def asks(self, name: str) -> bool:
        """Whether this is one that may be asked at all."""
        endpoint = self._by_name.get(name)
        return endpoint is not None and not endpoint.drained

    def candidates(self, wanted: str | None) -> tuple[Endpoint, ...]:
        """Those that a call may go to: all, or the one it is for, unless they are drained."""
        return tuple([it for it in self.all if not it.drained and (wanted is None or it.name == wanted)])

    def standing(self, wanted: str | None, now: float) -> str:
        """Why a call cannot go anywhere right now, for people."""
        if wanted is not None and wanted not in self._by_name:
            return f"{wanted or 'that endpoint'} is not among the configured ones"
        asked = self.all if wanted is None else (self._by_name[wanted],)
        return "; ".join(f"{it.name} is {it.standing(now)}" for it in asked)
