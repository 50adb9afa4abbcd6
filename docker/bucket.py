"""Make a bucket on the S3-compatible store that the AWS_* variables name, unless it is there: `bucket.py NAME`.

Exit codes: 0 the bucket is there, 1 the store refused or did not answer, 2 the request was wrong.
"""

from __future__ import annotations

import sys

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

MISSING = "404"
OURS = {"BucketAlreadyOwnedByYou"}


def ensure(name: str) -> bool:
    """Make the bucket and return True; return False where it is there already.

    Raises ClientError where the store refuses, BotoCoreError where it cannot be reached.
    """
    store = botocore.session.get_session().create_client(
        "s3", config=Config(retries={"max_attempts": 3, "mode": "standard"}, connect_timeout=5, read_timeout=20)
    )
    try:
        store.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != MISSING:
            raise
    else:
        return False
    try:
        store.create_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in OURS:  # another one may have made it in between
            raise
        return False
    return True


def main() -> int:
    """Run the command line and return its exit code."""
    if len(sys.argv) != 2:
        print("usage: bucket.py NAME", file=sys.stderr)
        return 2
    name = sys.argv[1]
    try:
        made = ensure(name)
    except (ClientError, BotoCoreError) as error:
        print(f"bucket {name}: {error}; check AWS_ENDPOINT_URL and the keys", file=sys.stderr)
        return 1
    print(f"bucket {name}: {'made' if made else 'was there'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
