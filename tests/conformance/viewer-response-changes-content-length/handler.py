def handler(event, context):
    response = event["Records"][0]["cf"]["response"]
    response["headers"]["content-length"][0]["value"] = "6"
    return response
