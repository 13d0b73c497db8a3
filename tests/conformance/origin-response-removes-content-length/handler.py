def handler(event, context):
    response = event["Records"][0]["cf"]["response"]
    del response["headers"]["content-length"]
    response["body"] = ""
    return response
