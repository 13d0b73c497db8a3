def handler(event, context):
    request = event["Records"][0]["cf"]["request"]
    request["origin"]["custom"]["port"] = 81
    return request
