def handler(event, context):
    request = event["Records"][0]["cf"]["request"]
    request["headers"]["accept-encoding"][0]["value"] = "br"
    return request
