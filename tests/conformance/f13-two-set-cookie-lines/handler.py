def handler(event, context):
    response = event["Records"][0]["cf"]["response"]
    response["headers"]["set-cookie"] = [
        {"key": "Set-Cookie", "value": "a=1"},
        {"key": "Set-Cookie", "value": "b=2"},
    ]
    return response
