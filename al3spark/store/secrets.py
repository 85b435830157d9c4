"""Read a secret of AWS Secrets Manager.

In: the name or ARN of a secret. Out: its bytes. Raises: StoreError, without anything of the secret.
"""

from __future__ import annotations

from al3spark.errors import StoreError


def read_secret(name: str) -> bytes:
    """Give the current value of a secret. StoreError: it is not there, or AWS refuses it."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    parts = name.split(":")
    region = parts[3] if parts[0] == "arn" and len(parts) > 6 else None  # arn:aws:secretsmanager:REGION:...
    try:
        answer = boto3.client("secretsmanager", region_name=region).get_secret_value(SecretId=name)
    except (BotoCoreError, ClientError) as error:
        raise StoreError(f"secret {name}: {' '.join(str(error).split())}") from error
    binary: bytes = answer.get("SecretBinary") or answer.get("SecretString", "").encode()
    return binary
