def handler(event, context):
    return {"status": "302", "statusDescription": "Found", "headers": {"location": [{"value": "/x"}]}}
