"""An agent's password is changed: by an administrator, or by themselves with the one they have.

It is no command, because the answers to commands are kept.
"""

import ipaddress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from deskwire.desk.refusals import Code, Refusal
from deskwire.flows.login import PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, Identity, Logins
from deskwire.web.errors import Refused, refused_with
from deskwire.web.schemas import Body

IPV6_NETWORK_BITS = 64  # as many addresses as one customer has


class PasswordBody(Body):
    """`PUT /api/agent/agents/{person}/password`. `current` goes with one's own, and no other."""

    password: str = Field(
        min_length=PASSWORD_CHARS_MIN,
        max_length=PASSWORD_CHARS_MAX,
        examples=["correct horse battery staple"],
    )
    current: str | None = Field(default=None, max_length=PASSWORD_CHARS_MAX)


class PasswordChanged(BaseModel):
    """How many other logins of that agent have ended by it."""

    logins_ended: int = Field(examples=[2])


REFUSALS = refused_with(
    Refusal(Code.LOGIN_REQUIRED),
    Refusal(Code.NOT_ALLOWED),
    Refusal(Code.NOT_FOUND),
    Refusal(Code.INVALID, {"field": "current"}),
    Refusal(Code.TOO_MANY, {"retry_after_s": 840}),
    Refusal(Code.TRY_LATER, {"retry_after_s": 1}),
)


def passwords_router(identity: Any, logins: Logins) -> APIRouter:
    """`PUT /api/agent/agents/{person}/password`."""
    router = APIRouter(prefix="/api/agent")

    @router.put("/agents/{person}/password", responses=REFUSALS)
    async def change(
        request: Request,
        person: str,
        body: PasswordBody,
        who: Annotated[Identity, Depends(identity)],
    ) -> PasswordChanged:
        answer = await logins.change_password(
            who, person, body.password, current=body.current, address=address_of(request)
        )
        if isinstance(answer, Refusal):
            raise Refused(answer)
        return PasswordChanged(logins_ended=answer)

    return router


def address_of(request: Request) -> str | None:
    """Where a request comes from, as it is counted: of IPv6 the network, for a customer has it all.

    Behind a proxy it is what the server makes of the proxy's headers.
    """
    if request.client is None:
        return None
    try:
        address = ipaddress.ip_address(request.client.host.partition("%")[0])
    except ValueError:  # a name, as of a test's client or a socket of this machine
        return request.client.host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        network = ipaddress.ip_network((address, IPV6_NETWORK_BITS), strict=False)
        return str(network.network_address)
    return str(address)
