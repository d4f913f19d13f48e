"""Which addresses are this fleet's? Published, signed, for everybody."""

from starlette.responses import Response

from ghostfleet.http.contract import Answer, Ask, Operation
from ghostfleet.http.health import json_response
from ghostfleet.http.problems import Problem


async def manifest(ask: Ask) -> Response:
    """The signed list of the fleet's addresses."""
    desk = ask.doors.manifest
    if desk is None:
        raise Problem(503, "this service has no keys to sign a manifest with")
    return json_response(await desk.current())


OPERATIONS = (
    Operation(
        method="GET",
        path="/fleet/manifest",
        name="manifest",
        summary="The signed list of the fleet's addresses, to tell its traffic apart from real users'",
        needs="public",
        respond=manifest,
        answers={
            200: Answer(
                text="The list, with the text that was signed (EIP-191) by one of its addresses.",
                schema={
                    "type": "object",
                    "required": ["text", "signer", "signature", "chain_id", "issued", "addresses"],
                    "properties": {
                        "text": {"type": "string"},
                        "signer": {"type": "string"},
                        "signature": {"type": "string"},
                        "chain_id": {"type": "integer"},
                        "issued": {"type": "string"},
                        "addresses": {"type": "array", "items": {"type": "string"}},
                    },
                },
            )
        },
        problems=(503,),
    ),
)
