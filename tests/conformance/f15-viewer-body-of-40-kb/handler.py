def handler(event, context):
    return {"status": "200", "body": "b" * (40 * 1024)}
