raise ValueError("early")


def handler(event, context):
    return 1
