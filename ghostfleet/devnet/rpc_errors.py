"""What a node of ours says no with: geth's words and codes, so that what sorts them is tested on them."""

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
SERVER_ERROR = -32000
EXECUTION_REVERTED = 3
SYNC_TIMEOUT = 4


class RpcError(Exception):
    """An answer that is an error object: code, message and perhaps data."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def as_object(self) -> dict[str, object]:
        """The error member of a response."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return error


def refused(message: str) -> RpcError:
    """A server error without data: what geth answers to most transactions it does not take."""
    return RpcError(SERVER_ERROR, message)


def invalid_params(message: str) -> RpcError:
    """The parameters do not have the shape or the range that the method takes."""
    return RpcError(INVALID_PARAMS, message)
