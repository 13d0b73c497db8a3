def handler(event, context):
    return {"status": "200", "body": "b" * (1024 * 1024 + 1)}
