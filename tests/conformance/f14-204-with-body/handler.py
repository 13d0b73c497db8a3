def handler(event, context):
    return {"status": "204", "body": "x"}
