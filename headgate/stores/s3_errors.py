"""What a server's or client's error means for the caller: which of the families, and what to do. It asks no server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError, ResponseStreamingError
from botocore.exceptions import ConnectionError as NoConnection
from urllib3.exceptions import HTTPError

from headgate.errors import HeadgateError, Rejected, Unavailable
from headgate.stores.keys import already_written, nothing_under

NO_ANSWER = (HTTPClientError, NoConnection, IncompleteReadError, ResponseStreamingError, HTTPError)
NO_ROOM = {
    "QuotaExceeded",
    "InsufficientStorage",
    "XMinioStorageFull",
    "ServiceQuotaExceededException",
    "EntityTooLarge",
}
BUSY = {"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "Throttling", "RequestLimitExceeded"}
ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}


@contextmanager
def answered(address: str) -> Iterator[None]:
    """Turn what a request to `address` raises into one of the families."""
    try:
        yield
    except S3UploadFailedError as error:
        cause = error.__context__
        raise meaning(cause if isinstance(cause, ClientError | BotoCoreError) else error, address) from error
    except (ClientError, BotoCoreError, HTTPError, ValueError) as error:
        raise meaning(error, address) from error


def meaning(error: Exception, address: str) -> HeadgateError:
    """The family of an error."""
    if isinstance(error, ClientError):
        return refusal(error, address)
    if isinstance(error, NO_ANSWER):
        return Unavailable(
            f"no whole answer for {address}: {error}",
            "check AWS_ENDPOINT_URL_S3 and the network, then do the same again",
        )
    return Rejected(
        f"{address} cannot be asked: {error}",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or a role), and AWS_ENDPOINT_URL_S3 unless it is AWS",
    )


def refusal(error: ClientError, address: str) -> HeadgateError:
    """The family of a server's answer that is no success."""
    said = error.response.get("Error", {})
    code, status = said.get("Code", ""), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    says = f"{address}: {code} {said.get('Message', '')}".rstrip()
    if code in NO_ROOM or status == 507:
        return Unavailable(f"{says}; nothing was written", "make room (or raise the quota), then do the same again")
    if status == 412:
        return already_written(address)
    if code == "NoSuchBucket":
        return Rejected(
            says, "correct its name; the first write makes the bucket if the login may, or make it yourself"
        )
    if status == 404:
        return nothing_under(address)
    if status == 501:
        return Rejected(
            f"{says}: the server cannot do this", "use a server with conditional writes, or a file:/// store"
        )
    if status in {409, 429} or status >= 500 or code in BUSY:
        return Unavailable(says, "wait a little, then do the same again")
    if code in ELSEWHERE:
        return Rejected(says, "set AWS_REGION to the bucket's region")
    if status in {401, 403}:
        return Rejected(says, "check the login (AWS_ACCESS_KEY_ID ...), what it may do in this bucket, and this clock")
    return Rejected(says, "see what the server says, correct the address or the settings, then try again")


def server_said(error: HeadgateError) -> tuple[int, str]:
    """Status and code of the server's answer behind an error; (0, "") when there was none."""
    cause = error.__cause__
    if not isinstance(cause, ClientError):
        return 0, ""
    status = cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status, cause.response.get("Error", {}).get("Code", "")
