def handler(event, context):
    request = event["Records"][0]["cf"]["request"]
    request["origin"]["s3"] = {
        "authMethod": "none",
        "customHeaders": {},
        "domainName": "my-bucket.s3.us-east-1.amazonaws.com",
        "path": "",
        "region": "",
    }
    return request
