def handler(event, context):
    request = event["Records"][0]["cf"]["request"]
    request["headers"]["x-edge-foo"] = [{"key": "X-Edge-Foo", "value": "1"}]
    return request
