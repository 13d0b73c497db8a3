def handler(event, context):
    request = event["Records"][0]["cf"]["request"]
    request["headers"]["x-a"] = [{"value": "1"}]
    request["headers"]["X-A"] = [{"value": "2"}]
    return request
