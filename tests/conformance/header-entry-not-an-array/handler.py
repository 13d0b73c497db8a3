def handler(event, context):
    request = event["Records"][0]["cf"]["request"]
    request["headers"]["x-a"] = {"key": "X-A", "value": "1"}
    return request
