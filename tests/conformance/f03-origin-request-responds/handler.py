def handler(event, context):
    return {"status": "200", "body": "hi", "headers": {"cache-control": [{"value": "max-age=60"}]}}
