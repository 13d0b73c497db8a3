def handler(event, context):
    return {"status": "200", "bodyEncoding": "base64", "body": "***"}
