def handler(event, context):
    return {"status": "200", "body": "b" * (41 * 1024)}
