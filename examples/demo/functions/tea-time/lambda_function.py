"""Says which tea suits the hour, in Python. Hook: viewer-request."""

import datetime
import json

TEAS = ((11, "assam"), (17, "darjeeling"), (24, "rooibos"))


def lambda_handler(event, context):
    hour = datetime.datetime.now(datetime.timezone.utc).hour
    tea = next(name for until, name in TEAS if hour < until)
    print(f"at {hour} o'clock: {tea}")
    return {
        "status": "200",
        "headers": {
            "content-type": [{"key": "Content-Type", "value": "application/json"}],
            "cache-control": [{"key": "Cache-Control", "value": "no-store"}],
        },
        "body": json.dumps({"hour": hour, "tea": tea, "by": context.function_name}) + "\n",
    }
