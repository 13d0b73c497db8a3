def handler(event, context):
    request = event["Records"][0]["cf"]["request"]
    request["body"].update(action="replace", encoding="text", data="zehn bytes")
    return request
