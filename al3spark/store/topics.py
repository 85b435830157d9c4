"""Tell an Amazon SNS topic something.

In: the ARN of a topic, a subject and a text. Raises: StoreError.
"""

from __future__ import annotations

from al3spark.errors import StoreError


def publish_message(arn: str, subject: str, text: str) -> None:
    """Send a message to everybody who subscribed to a topic. StoreError: the topic or SNS refused it."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        boto3.client("sns", region_name=arn.split(":")[3]).publish(
            TopicArn=arn, Subject=subject, Message=text
        )
    except (BotoCoreError, ClientError) as error:
        raise StoreError(f"{arn}: {' '.join(str(error).split())}") from error
