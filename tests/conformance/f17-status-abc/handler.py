def handler(event, context):
    return {"status": "abc"}
