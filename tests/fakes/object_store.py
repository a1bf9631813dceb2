"""A local server of S3: moto's, with one bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import pytest

SECRET = "s3cr3t-0f-th3-st0r3"


class ObjectStore:
    """Serves from construction until the end of its `with`. Without moto, its test is skipped."""

    def __init__(self, bucket: str) -> None:
        moto = pytest.importorskip("moto.server")
        boto3 = pytest.importorskip("boto3")
        self._server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.url = "http://{}:{}".format(*self._server.get_host_and_port())
        self.client: Any = boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="someone",
            aws_secret_access_key=SECRET,
        )  # fmt: skip
        self.bucket = bucket
        self.client.create_bucket(Bucket=bucket)

    @property
    def credentials(self) -> dict[str, str]:
        """The variables of a user who may use it."""
        return {
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def variables(self) -> dict[str, str]:
        """The credentials, and where the store is."""
        return {**self.credentials, "AWS_ENDPOINT_URL": self.url}

    def put(self, key: str, content: bytes) -> str:
        """Write an object, and return its URI."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)
        return f"s3://{self.bucket}/{key}"

    def put_all(self, directory: Path, prefix: str) -> None:
        """Write all files below a directory under a prefix."""
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(directory)}", path.read_bytes())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Servers of one process share what is in their buckets.
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
            for item in page.get("Contents", ()):
                self.client.delete_object(Bucket=self.bucket, Key=item["Key"])
        self.client.close()
        self._server.stop()
